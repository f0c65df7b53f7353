"""The registry: whole or not there, changed never, and one winner of two promotions."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.learn.artifacts import small_artifact

from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.model.errors import DataError, InputError, StoreError

ALIAS = "trend/pooled/champion"


def test_puts_and_gets_the_same(tmp_path: Path) -> None:
    registry, artifact = Registry(tmp_path), small_artifact()
    model_id = registry.put(artifact)
    assert model_id == artifact.model_id == registry.put(artifact)
    assert registry.get(model_id) == artifact
    assert registry.get(model_id[:8]) == artifact
    assert registry.list() == ([artifact.manifest], [])


def test_time_is_not_part_of_the_id(tmp_path: Path) -> None:
    registry, artifact = Registry(tmp_path), small_artifact()
    later = Artifact(msgspec.structs.replace(artifact.manifest, created_ns=99), artifact.content)
    assert registry.put(later) == registry.put(artifact)
    assert registry.manifest(artifact.model_id).created_ns == 99
    assert small_artifact(seed=2).model_id != artifact.model_id


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_changed_or_cut_file_is_refused(tmp_path: Path, name: str) -> None:
    registry, artifact = Registry(tmp_path), small_artifact()
    model_id = registry.put(artifact)
    path = tmp_path / "models" / model_id / name
    right = path.read_bytes()
    middle = len(right) // 2
    changed = right[:middle] + bytes([right[middle] ^ 1]) + right[middle + 1 :]
    for wrong in (b"", right[:-1], changed):
        path.write_bytes(wrong)
        with pytest.raises(DataError):
            registry.get(model_id)
        with pytest.raises(DataError):
            registry.promote(model_id, ALIAS, "why not", "me", 1)
        assert registry.alias(ALIAS) is None
    registry.put(artifact)
    assert registry.get(model_id) == artifact


def test_a_model_without_manifest_is_not_there(tmp_path: Path) -> None:
    registry, artifact = Registry(tmp_path), small_artifact()
    folder = tmp_path / "models" / artifact.model_id
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(artifact.content[:100])  # what a crash may leave, and worse
    assert registry.list() == ([], [])
    with pytest.raises(InputError, match="there is no model"):
        registry.get(artifact.model_id)
    registry.put(artifact)
    assert registry.get(artifact.model_id) == artifact


def test_aliases_move_back_and_remember(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first, second, third = (registry.put(small_artifact(seed=seed)) for seed in (1, 2, 3))
    assert registry.alias(ALIAS) is None
    for time_ns, model_id in enumerate((first, second, third), 1):
        registry.promote(model_id, ALIAS, "better", "gate", time_ns)
    assert registry.alias(ALIAS) == third
    assert registry.rollback(ALIAS, "worse live", "me", 4).model_id == second
    assert registry.rollback(ALIAS, "worse still", "me", 5).model_id == first
    with pytest.raises(InputError, match="no earlier model"):
        registry.rollback(ALIAS, "further", "me", 6)
    registry.promote(third, ALIAS, "again", "me", 7)
    assert registry.rollback(ALIAS, "no", "me", 8).model_id == first
    history = registry.history(ALIAS)
    assert [one.number for one in history] == list(range(1, 8))
    assert [one.cause for one in history[3:]] == ["rollback", "rollback", "promotion", "rollback"]
    assert all(a.model_id == b.previous for a, b in itertools.pairwise(history))
    assert registry.aliases() == {ALIAS: first}


def test_a_model_of_another_line_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    model_id = registry.put(small_artifact())
    with pytest.raises(InputError, match="cannot be other/pooled/champion"):
        registry.promote(model_id, "other/pooled/champion", "", "me", 1)
    for name in ("champion", "../../x", "a/b/c/d", "a/../champion", "trend/pooled/"):
        with pytest.raises(InputError, match="no alias"):
            registry.promote(model_id, name, "", "me", 1)
    with pytest.raises(InputError, match="no model"):
        registry.get("beef")
    with pytest.raises(InputError, match="hex digits"):
        registry.get("../../etc")


def test_of_promotions_at_once_each_is_recorded(tmp_path: Path) -> None:
    ids = [Registry(tmp_path).put(small_artifact(seed=seed)) for seed in range(4)]
    threads = [
        threading.Thread(target=Registry(tmp_path).promote, args=(one, ALIAS, "race", "thread", 1)) for one in ids
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = Registry(tmp_path).history(ALIAS)
    assert sorted(one.model_id for one in history) == sorted(ids)
    assert [one.number for one in history] == [1, 2, 3, 4]
    assert [one.previous for one in history] == ["", *(one.model_id for one in history[:-1])]


def test_who_expected_another_model_changes_nothing(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first, second = (registry.put(small_artifact(seed=seed)) for seed in (1, 2))
    registry.promote(first, ALIAS, "", "me", 1, expected="")
    with pytest.raises(StoreError, match="somebody else"):
        registry.promote(second, ALIAS, "", "me", 2, expected="")
    assert registry.alias(ALIAS) == first


def test_an_alias_that_was_withdrawn_means_none(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    first, second = (registry.put(small_artifact(seed=seed)) for seed in (1, 2))
    with pytest.raises(InputError, match="nothing to withdraw"):
        registry.withdraw(ALIAS, "", "me", 1)
    registry.promote(first, ALIAS, "", "me", 1)
    gone = registry.withdraw(ALIAS, "no more", "me", 2)
    assert (gone.number, gone.previous, gone.model_id, gone.cause) == (2, first, "", "withdrawal")
    assert registry.alias(ALIAS) is None
    assert (registry.aliases(), registry.latest("trend")) == ({}, {})
    assert registry.changes("trend") == {ALIAS: gone}
    assert registry.promote(second, ALIAS, "", "me", 3).previous == ""
    assert registry.rollback(ALIAS, "", "me", 4).model_id == ""
    assert registry.alias(ALIAS) is None
    assert registry.rollback(ALIAS, "", "me", 5).model_id == first


def test_a_damaged_alias_is_told_and_can_be_promoted_anew(tmp_path: Path) -> None:
    registry, pin = Registry(tmp_path), "trend/pooled/pinned"
    first, second = (registry.put(small_artifact(seed=seed)) for seed in (1, 2))
    registry.promote(first, ALIAS, "", "me", 1)
    registry.promote(second, pin, "", "me", 2)
    path = tmp_path / "aliases" / ALIAS / "00000001.json"
    for content in (b"", b"{", path.read_bytes()[:-9], b"[1]"):
        path.write_bytes(content)
        assert registry.aliases() == {pin: second}
        assert registry.latest("trend").keys() == {pin}
        damaged = registry.changes("trend")[ALIAS]
        assert (damaged.number, damaged.model_id, damaged.cause) == (1, "", "damaged")
        assert "is damaged" in damaged.reason
        for ask in (registry.alias, registry.history):
            with pytest.raises(DataError, match="promote the model again by its id"):
                ask(ALIAS)
    assert registry.promote(second, ALIAS, "mended", "me", 3).number == 2
    assert registry.alias(ALIAS) == second


def test_a_full_disk_leaves_nothing_half(tmp_path: Path) -> None:
    """A file may not grow past 2,000 bytes: what does not fit is told in one line, and is not there."""
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from tests.learn.artifacts import small_artifact\n"
        "from quantlytic.learn.registry.registry import Registry\n"
        "from quantlytic.model.errors import StoreError\n"
        "artifact, registry = small_artifact(columns=200), Registry(sys.argv[1])\n"
        "assert len(artifact.content) > 2000\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n    registry.put(artifact)\n"
        "except StoreError as error:\n    sys.exit(7 if str(error).count('\\n') == 0 else 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 7
    assert Registry(tmp_path).list() == ([], [])
    artifact = small_artifact(columns=200)
    Registry(tmp_path).put(artifact)
    assert Registry(tmp_path).get(artifact.model_id) == artifact


def test_served_as_it_was_trained(tmp_path: Path) -> None:
    registry, artifact = Registry(tmp_path), small_artifact()
    model = ServedModel(registry.get(registry.put(artifact)))
    model.golden()
    rows = np.random.default_rng(0).standard_normal((40, 3))
    values = model.predict(rows)
    assert all(model.predict(row)[0] == value for row, value in zip(rows, values, strict=True))
    rows[3, 1], rows[5, 0], rows[7, 2] = np.nan, np.inf, 1e300
    again = model.predict(rows)
    assert np.flatnonzero(np.isnan(again)).tolist() == [3, 5, 7]
    assert np.array_equal(np.delete(again, [3, 5, 7]), np.delete(values, [3, 5, 7]))
    with pytest.raises(DataError, match="takes 3 columns, not 4"):
        model.predict(np.zeros((2, 4)))


def test_golden_rows_tell_another_model() -> None:
    artifact = small_artifact()
    values = tuple(value + 2e-6 for value in artifact.manifest.golden_values)
    wrong = Artifact(msgspec.structs.replace(artifact.manifest, golden_values=values), artifact.content)
    with pytest.raises(DataError, match="golden rows"):
        ServedModel(wrong).golden()


def test_a_manifest_of_other_columns_is_refused() -> None:
    artifact = small_artifact()
    wrong = Artifact(msgspec.structs.replace(artifact.manifest, columns=("a", "b")), artifact.content)
    with pytest.raises(DataError, match="3 columns, and its manifest names 2"):
        ServedModel(wrong)
