"""Strategies by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.model.errors import InputError, StrategyError
from quantlytic.strategies import catalogue
from quantlytic.strategies.buy_and_hold import BuyAndHold
from quantlytic.strategies.sma_cross import SmaCross

MINE = "from quantlytic import Strategy\nclass Mine(Strategy):\n    def on_bar(self, bar, broker):\n        pass\n"


def test_built_in() -> None:
    assert catalogue.find("sma-cross") is SmaCross
    assert catalogue.find("buy-and-hold") is BuyAndHold
    assert catalogue.names() == ["buy-and-hold", "sma-cross"]
    for name in catalogue.names():
        assert catalogue.find(name).__doc__


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
        ("sma-cros", "no strategy 'sma-cros': did you mean sma-cross?"),
        ("zzz", "no strategy 'zzz': there are buy-and-hold, sma-cross"),
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
