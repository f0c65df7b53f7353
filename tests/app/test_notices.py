"""That compiling is told, where somebody waits for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from quantlytic.app.notices import COMPILING, tell_when_compiling
from quantlytic.engine.account import cold, counter  # noqa: F401 - the second installs the rest of the broker
from quantlytic.engine.compiler import jitcache
from quantlytic.engine.run import loop, tapeloop
from quantlytic.strategies.sma_cross import SmaCross


@pytest.fixture
def listening() -> Iterator[None]:
    """As in a process that has just begun."""
    logger = logging.getLogger("quantlytic.compiler")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers = []
    tell_when_compiling()
    yield
    logger.handlers, logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize("terminal", [True, False])
def test_one_line_on_a_terminal_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    jitcache._tell(SmaCross.on_bar)  # a strategy alone is quick
    assert capsys.readouterr() == ("", "")
    for function in (loop.run, tapeloop.run_trades, tapeloop.run_tape, cold.installed()):
        jitcache._tell(function)
    assert capsys.readouterr() == ("", f"{COMPILING}\n" if terminal else "")
    tell_when_compiling()
    jitcache._tell(loop.run)
    assert capsys.readouterr() == ("", "")


def test_names_of_large_functions_are_those_of_the_engine() -> None:
    functions = (loop.run, tapeloop.run_trades, tapeloop.run_tape, cold.installed())
    assert tuple(one.__name__ for one in functions) == jitcache.LARGE
