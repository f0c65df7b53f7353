"""What is wished for again and again is one occasion: told once, reminded of seldom, whatever is restarted when."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.telling.letters import BREACH, T0
from tests.telling.paperday import BTC, HOUR_NS, run_of
from tests.telling.test_fanout import Office, letters

from quantlytic.model.equity import Decided, Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.order import OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.store.control.records import Message

RUN = run_of()
HALTED = "trading is halted (kill): the kill switch was pressed"


class Life:
    """A run of which nothing but its streams is there, written bar by bar."""

    def __init__(self, office: Office, run: Run = RUN) -> None:
        self.run, self._office = run, office
        self._bar = self._signals = 0
        self._executions, self._decisions = (
            office.log.writer(f"test.{stream}") for stream in (run.executions_stream, run.decisions_stream)
        )

    def bar(self, *wishes: Side, filled: bool = False, refused: str = "") -> int:
        """What became of the last order, then the bar, then what is wished for after it; returns the bar's time."""
        at, run, name = T0 + self._bar * HOUR_NS, self.run.run_id, BTC.id
        before: list[Event] = []
        if refused:
            before.append(OrderUpdate(run, self._signals, name, at, OrderStatus.REJECTED, refused))
        if filled:
            before.append(Fill(run, self._bar + 1, self._signals, name, at, Side.BUY, 1.0, 100.0, 0.0, self._bar))
        executed = Equity(run, name, at, 1e5, 1e5, 0.0, 100.0, self._bar)
        self._executions.commit({self.run.executions_stream: [*before, executed]})
        told: list[Event] = []
        for side in wishes:
            self._signals += 1
            told.append(Signal(run, self._signals, name, at, side, float(side), 100.0, self._bar))
        self._decisions.commit({self.run.decisions_stream: [*told, Decided(run, self._bar)]})
        self._bar += 1
        return at


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.control.close()
    made.log.close()


@pytest.fixture
def life(office: Office) -> Life:
    return Life(office)


def signals(told: list[Message]) -> list[int]:
    """The hours at which signals were told."""
    return [(one.event_time - T0) // HOUR_NS for one in letters(told, "signal")]


def test_a_refused_wish_is_told_once_and_reminded_of_after_a_day(office: Office, life: Life) -> None:
    life.bar(Side.BUY)
    for _ in range(126):
        life.bar(Side.BUY, refused=HALTED)
    told = office.told()
    assert signals(told) == [0, 24, 48, 72, 96, 120], "127 bars, one wish: once, and once a day"
    assert told[1].subject == "BUY BTCUSDT at 100.00 (sma-cross, paper), still"
    assert letters(told, "signal")[1].lines[0] == (
        f"It still wants to buy, for 25 bars since 2026-09-21 14:13:20 UTC; refused: {HALTED}."
    )


def test_a_fill_the_other_side_or_a_lull_make_it_news(office: Office, life: Life) -> None:
    life.bar(Side.BUY)  # 0
    life.bar(Side.BUY, refused="insufficient-cash")
    life.bar(Side.BUY, filled=True)  # 2: after a fill
    life.bar(Side.BUY)
    life.bar(Side.SELL)  # 4: the other side
    life.bar(Side.SELL)
    life.bar(Side.BUY)  # 6: the other side
    for _ in range(9):
        life.bar()
    life.bar(Side.BUY)  # 16: nothing for nine bars only
    for _ in range(10):
        life.bar()
    life.bar(Side.BUY)  # 27: nothing for ten
    assert signals(office.told()) == [0, 2, 4, 6, 27]


def test_both_sides_at_once_are_two_wishes(office: Office, life: Life) -> None:
    """A market maker wishes to buy and to sell at each bar."""
    for _ in range(20):
        life.bar(Side.BUY, Side.SELL)
    life.bar(Side.SELL, Side.BUY, filled=True)
    assert signals(office.told()) == [0, 0, 20, 20]


def test_restarts_anywhere_judge_the_same(office: Office, life: Life, tmp_path: Path) -> None:
    """Read as it comes, with restarts that have saved or not, and read at one go: the same messages."""
    seed = random.randrange(10**9)
    dice = random.Random(seed)
    fanout = office.fanout()
    for _ in range(150):
        wishes = dice.choice(((), (Side.BUY,), (Side.BUY,), (Side.BUY,), (Side.SELL,), (Side.BUY, Side.SELL)))
        life.bar(*wishes, filled=dice.random() < 0.1, refused=HALTED if dice.random() < 0.5 else "")
        if dice.random() < 0.4:
            office.told(fanout)
        if dice.random() < 0.1:
            office.time_s += 31.0
            fanout.pump()
        if dice.random() < 0.2:
            if dice.random() < 0.5:
                fanout.close()
            fanout = office.fanout()
    slowly = {one.message_id: one.payload for one in office.told(fanout) if one.kind == "signal"}
    at_once = Office(tmp_path / "other")
    at_once.log.close()
    at_once.log = office.log
    found = {one.message_id: one.payload for one in at_once.told() if one.kind == "signal"}
    at_once.control.close()
    assert found.keys() == slowly.keys(), f"seed {seed}"
    assert 10 < len(found) < 120, f"seed {seed}"


def test_a_limit_that_refuses_each_minute_is_told_once_a_day(office: Office) -> None:
    minute = 60_000_000_000
    office.write(
        "account.spot", *[msgspec.structs.replace(BREACH, event_time=T0 + k * minute, order_id=k) for k in range(2000)]
    )
    other = msgspec.structs.replace(BREACH, event_time=T0 + 2000 * minute, limit="price_collar_bps")
    later = msgspec.structs.replace(BREACH, event_time=T0 + 2200 * minute)  # three bars and more
    office.write("account.spot", other, later)
    told = office.told()
    assert [one.subject.partition(":")[0] for one in told] == [
        "REFUSED by max_order_notional", "REFUSED by max_order_notional", "REFUSED by price_collar_bps",
        "REFUSED by max_order_notional",
    ]  # fmt: skip
    assert letters(told, "risk")[1].lines[0] == "1,441 times since 2026-09-21 14:13:20 UTC; this was the last."


def test_in_alert_mode_signals_are_told_and_no_fill(office: Office) -> None:
    run = msgspec.structs.replace(RUN, run_id="alert-1", mode="alert")
    office.runs = [run]
    life = Life(office, run)
    life.bar(Side.BUY)
    life.bar(Side.SELL, filled=True)
    told = office.told()
    assert [one.kind for one in told] == ["signal", "signal"]
    assert "no order is sent by anybody but you" in letters(told, "signal")[0].small[0]
