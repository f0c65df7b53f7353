"""Compiled code on disk: found again when nothing changed, never used when something did, never in the way."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from quantlytic.engine.compiler import jitcache
from quantlytic.engine.compiler.fingerprint import fingerprint_of
from quantlytic.engine.compiler.jit import compile_function
from quantlytic.engine.compiler.jitcache import cache_folder
from quantlytic.engine.compiler.record import layout_of
from quantlytic.indicators import EMA, SMA
from quantlytic.strategies.catalogue import find

STRATEGY = """
from quantlytic import Strategy
from quantlytic.indicators import SMA
from factors import FACTOR, scaled

class Mine(Strategy):
    SHARE = 0.5
    def setup(self):
        self.mean = SMA(3)
    def on_bar(self, bar, broker):
        if bar.close > self.mean.update(bar.close) and broker.is_flat:
            broker.target_quantity(scaled(FACTOR) * self.SHARE)
"""
FACTORS = "FACTOR = 2.0\ndef scaled(x):\n    return x * 10.0\n"
SCRIPT = """
import time, sys, os
begun = time.perf_counter()
import numpy as np
from quantlytic import Instrument, Session
from quantlytic.engine.compiler import jitcache
from quantlytic.model.bar import blank_bars
from quantlytic.strategies.catalogue import find
compiled = []
plain = jitcache.FingerprintCache.save_overload
jitcache.FingerprintCache.save_overload = lambda self, sig, data: (compiled.append(1), plain(self, sig, data))
bars = blank_bars(20)
price = 10 + np.arange(20) % 5
for name in ("open", "high", "low", "close"):
    bars[name] = price
bars["close_time"] = np.arange(20) + 1
session = Session(find("mine.py"), [Instrument("v:X")], 1e6)
session.run(bars)
for bar in bars[:3]:
    session.execute(bar); session.accept(*session.decide(bar)[1:])
print(len(compiled), session.fills["quantity"][0], round(time.perf_counter() - begun, 2))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(STRATEGY)
    (tmp_path / "factors.py").write_text(FACTORS)
    return tmp_path


def start(folder: Path, cache: str | None = None) -> tuple[int, float]:
    """A process of its own; returns how many functions it compiled, and the quantity of the first fill."""
    environment = os.environ | {"QUANTLYTIC_CACHE": str(folder / "cache") if cache is None else cache}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    compiled, quantity, _ = done.stdout.split()
    return int(compiled), float(quantity)


def test_the_second_start_compiles_nothing_and_a_change_compiles_the_strategy_alone(folder: Path) -> None:
    if cache_folder().is_dir():  # the engine itself is compiled by now, most likely
        shutil.copytree(cache_folder(), folder / "cache" / "compiled")
    assert start(folder)[1] == 10.0
    assert start(folder) == (0, 10.0)
    # A constant and a helper of another module are frozen into the code: a change of theirs must be seen.
    (folder / "factors.py").write_text(FACTORS.replace("2.0", "3.0").replace("10.0", "20.0"))
    assert start(folder) == (1, 30.0)
    # A class constant is state, not code.
    (folder / "mine.py").write_text(STRATEGY.replace("0.5", "0.25"))
    assert start(folder) == (0, 15.0)
    # Damaged files mean compiling again.
    for file in (folder / "cache" / "compiled").glob("step*"):
        file.write_bytes(file.read_bytes()[:100])
    assert start(folder) == (1, 15.0)
    assert start(folder) == (0, 15.0)


@pytest.mark.slow  # compiles everything
def test_a_cache_that_cannot_be_written_is_done_without(folder: Path) -> None:
    (folder / "file").write_text("")
    assert start(folder, str(folder / "file")) == (0, 10.0)


def test_fingerprints_follow_the_code_and_nothing_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # edits within a second would be read from a stale .pyc
    before = fingerprint_of(find(f"{folder}/mine.py:Mine"))
    (folder / "mine.py").write_text("# a comment\n" + STRATEGY)
    assert fingerprint_of(find(f"{folder}/mine.py:Mine")) == before
    for old, new in (("2.0", "3.0"), ("x * 10.0", "x * 11.0")):
        (folder / "factors.py").write_text(FACTORS.replace(old, new))
        monkeypatch.delitem(sys.modules, "factors")
        assert fingerprint_of(find(f"{folder}/mine.py:Mine")) != before
    (folder / "factors.py").write_text(FACTORS)
    monkeypatch.delitem(sys.modules, "factors")
    assert fingerprint_of(find(f"{folder}/mine.py:Mine")) == before
    for old, new in ((">", "<"), ("SMA(3)", "SMA(4)"), ("0.5", "0.6")):
        (folder / "mine.py").write_text(STRATEGY.replace(old, new))
        assert fingerprint_of(find(f"{folder}/mine.py:Mine")) != before
    assert fingerprint_of(layout_of(SMA(3))) != fingerprint_of(layout_of(SMA(9)))  # windows of 4 and 16
    assert fingerprint_of(layout_of(EMA(3))) == fingerprint_of(layout_of(EMA(9)))
    assert fingerprint_of(object()) != fingerprint_of(object())


# ---- the folder ----


@pytest.fixture
def adder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compiles a small function anew, as another process would; says whether it came from disk."""
    monkeypatch.setenv("QUANTLYTIC_CACHE", str(tmp_path))
    jitcache._warn_once.cache_clear()

    def run(number: int = 1) -> bool:
        def add(x: float) -> float:
            return x + number

        function = compile_function(add, "float64(float64)")
        assert function(1.0) == 1.0 + number
        return sum(function.stats.cache_hits.values()) == 1

    yield run
    jitcache._warn_once.cache_clear()


def test_damaged_files_are_compiled_anew(adder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any byte: machine code that is not what was written must not run."""
    assert not adder()
    assert adder()
    (code,) = (tmp_path / "compiled").glob("*.nbc")
    (index,) = (tmp_path / "compiled").glob("*.nbi")
    for path in (code, index):
        whole = path.read_bytes()
        for place in range(0, len(whole), max(len(whole) // 12, 1)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
            adder()
            path.write_bytes(whole[:place])
            adder()
        path.write_bytes(b"")
        adder()
        assert adder()
    assert not caplog.records


def test_another_version_or_processor_does_not_use_it(adder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    adder()
    with monkeypatch.context() as patch:
        patch.setattr(jitcache, "_toolchain", lambda: "another version")
        assert not adder()
        assert adder()
    with monkeypatch.context() as patch:
        patch.setattr("numba.core.codegen.JITCPUCodegen.magic_tuple", lambda _self: ("x86_64", "z80", "+nothing"))
        assert not adder()
        assert adder()


def test_a_full_or_read_only_folder_is_told_once_and_done_without(
    adder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adder(1)

    def full(*_args: Any, **_kwargs: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("numba.core.caching.IndexDataCacheFile._save_data", full)
        assert not adder(2)
        assert not adder(3)
    assert len(caplog.records) == 1
    assert f"cannot be kept in {tmp_path / 'compiled'} (No space left on device)" in caplog.text
    caplog.clear()
    jitcache._warn_once.cache_clear()
    monkeypatch.setattr("tempfile.TemporaryFile", full)  # how it is found out whether a folder can be written
    assert adder(1)  # what is there is still read
    assert len(caplog.records) == 1


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    for k in range(6):
        for suffix in (".nbi", ".1.nbc"):
            path = tmp_path / f"step-{k}{suffix}"
            path.write_bytes(b"x" * 500)
            os.utime(path, (k, k))
    os.utime(tmp_path / "step-0.nbi", (99, 99))  # used
    jitcache.prune(tmp_path, 3_000)
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"step-0", "step-4", "step-5"}
    jitcache.prune(tmp_path, 3_000)
    assert len(list(tmp_path.iterdir())) == 6


def test_the_folder_stays_small(adder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adder(1)
    size = sum(path.stat().st_size for path in (tmp_path / "compiled").iterdir())
    monkeypatch.setattr(jitcache, "LIMIT_BYTES", 3 * size)
    for number in range(2, 7):
        adder(number)
    assert sum(path.stat().st_size for path in (tmp_path / "compiled").iterdir()) <= 3.2 * size
    assert adder(6)
    assert not adder(1)


def test_two_processes_at_once(folder: Path) -> None:
    """Both write the same files; neither is disturbed, and the third finds them."""
    if cache_folder().is_dir():
        shutil.copytree(cache_folder(), folder / "cache" / "compiled")
    with ThreadPoolExecutor(2) as pool:
        assert [one[1] for one in pool.map(lambda _: start(folder), range(2))] == [10.0, 10.0]
    assert start(folder) == (0, 10.0)
