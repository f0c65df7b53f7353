"""Strategies by name."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from pathlib import Path

import pytest

from quantlytic import Strategy
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.strategies import catalogue
from quantlytic.strategies.buy_and_hold import BuyAndHold
from quantlytic.strategies.sma_cross import SmaCross

MINE = "from quantlytic import Strategy\nclass Mine(Strategy):\n    def on_bar(self, bar, broker):\n        pass\n"


def test_built_in() -> None:
    assert catalogue.find("sma-cross") is SmaCross
    assert catalogue.find("buy-and-hold") is BuyAndHold
    assert catalogue.names() == sorted(catalogue.BUILT_IN)
    assert len(catalogue.names()) >= 24


def test_every_strategy_file_is_in_the_catalogue() -> None:
    """But for what strategies share: helpers, and strategies that others build on."""
    listed = {entry.strategy for entry in catalogue.entries()}
    bases = {base for strategy in listed for base in strategy.__mro__[1:]}
    for path in Path(catalogue.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"quantlytic.strategies.{path.stem}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__:
                assert value in listed | bases, f"{value.__name__} is not listed in catalogue.BUILT_IN"


def test_entries() -> None:
    entry = catalogue.describe("bollinger")
    assert (entry.name, entry.family, entry.needs) == ("bollinger", "reversion", "bars")
    assert entry.idea.startswith("Buys a close below the lower band and sells at the middle;")
    assert "\n" not in entry.idea
    assert entry.source.startswith("Bollinger, Bollinger on Bollinger Bands (2001)")
    assert (entry.params["period"].default, entry.params["period"].low, entry.params["period"].high) == (20, 5, 200)
    assert [one.name for one in catalogue.entries()] == list(catalogue.BUILT_IN)


def test_the_source_hash_covers_what_a_strategy_builds_on(tmp_path: Path) -> None:
    (tmp_path / "shared_base.py").write_text(MINE)
    file = tmp_path / "child.py"
    file.write_text("from shared_base import Mine\nclass Child(Mine):\n    pass\n")
    child = catalogue.find(f"{file}:Child")
    before = catalogue.source_hash(child)
    (tmp_path / "shared_base.py").write_text(MINE + "# changed\n")
    assert catalogue.source_hash(child) != before
    own = hashlib.sha256(Path(inspect.getfile(SmaCross)).read_bytes()).hexdigest()
    assert catalogue.source_hash(SmaCross) == own


def test_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "my strategy.py"
    file.write_text(MINE)
    assert catalogue.find(f"{file}:Mine").__name__ == "Mine"
    assert catalogue.find(str(file)).__name__ == "Mine"
    monkeypatch.chdir(tmp_path)
    assert catalogue.find("my strategy.py:Mine").__name__ == "Mine"
    (tmp_path / "helper.py").write_text("X = 3\n")
    file.write_text("import helper\n" + MINE + "    X = helper.X\n")
    assert vars(catalogue.find(str(file)))["X"] == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sma-cros", "no strategy 'sma-cros': did you mean sma-cross or ema-cross?"),
        ("zzz", "no strategy 'zzz': `quantlytic strategies` lists"),
        ("", "no strategy ''"),
        ("nowhere.py:Mine", "no strategy file 'nowhere.py'"),
        ("catalogue", "no strategy 'catalogue'"),
    ],
)
def test_unknown(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        catalogue.find(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "class_name", "error", "message"),
    [
        (MINE, "Yours", InputError, "has no strategy 'Yours': it has Mine"),
        (MINE + MINE.replace("Mine", "Other"), "", InputError, "has several strategies"),
        ("x = 1\n", "", InputError, "has no class that derives from Strategy"),
        ("from quantlytic.strategies.sma_cross import SmaCross\n", "", InputError, "has no class that derives"),
        (MINE + "    def (\n", "", StrategyError, ":5: invalid syntax"),
        (MINE + "\nx = 1 / 0\n", "", StrategyError, ":6: ZeroDivisionError: division by zero"),
        ("import nothing_of_that_name\n" + MINE, "", StrategyError, ":1: ModuleNotFoundError"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, class_name: str, error: type[Exception], message: str) -> None:
    file = tmp_path / "bad.py"
    file.write_text(text)
    with pytest.raises(error) as caught:
        catalogue.find(f"{file}:{class_name}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
