"""Instruments that somebody asked for."""

from __future__ import annotations

from quantlytic.store.control.control import Control
from quantlytic.store.control.records import WantedInstrument


def test_asked_for_once_done_once(control: Control) -> None:
    assert control.wanted.add("yahoo:AAPL", 5)
    assert not control.wanted.add("yahoo:AAPL", 6)
    assert control.wanted.add("binance:SOLUSDT", 4)
    assert control.wanted.list() == [WantedInstrument("binance:SOLUSDT", 4), WantedInstrument("yahoo:AAPL", 5)]
    control.wanted.done("yahoo:AAPL", 9)
    assert [one.instrument for one in control.wanted.list()] == ["binance:SOLUSDT"]
    assert control.wanted.list(is_done=True) == [WantedInstrument("yahoo:AAPL", 5, 9)]
    assert len(control.wanted.list(is_done=None)) == 2
    assert not control.wanted.add("yahoo:AAPL", 10)


def test_one_that_could_not_be_had_may_be_asked_for_again(control: Control) -> None:
    control.wanted.add("yahoo:NOPE", 5)
    control.wanted.done("yahoo:NOPE", 6, "there is no such instrument")
    assert control.wanted.list() == []
    assert control.wanted.list(is_done=True)[0].error == "there is no such instrument"
    assert control.wanted.add("yahoo:NOPE", 7)
    assert control.wanted.list() == [WantedInstrument("yahoo:NOPE", 7)]
