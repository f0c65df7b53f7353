"""Time in force, brackets, OCO, reduce-only, post-only, amendments, cancellations: worked by hand. Bar 0 closes at 100."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.engine.orders import BTC, BUY, FLAT, MINUTE_NS, SELL, bars_of, ends, fills, play

from quantlytic import Session, TimeInForce
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.market import Market
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.order import OrderStatus

DAY = 86_400_000_000_000
HALF = Market(participation=0.5, allow_short=True)


# ---- time in force ----


@pytest.mark.parametrize(
    ("force", "bar", "end"),
    [
        (TimeInForce.IOC, (100, 101, 94, 100), "EXPIRED not-filled-at-once"),
        (TimeInForce.FOK, (100, 101, 94, 100), "EXPIRED not-filled-at-once"),
        (TimeInForce.IOC, (94, 101, 94, 100), "FILLED"),
        (TimeInForce.FOK, (94, 101, 94, 100), "FILLED"),
        (TimeInForce.GTC, (100, 101, 94, 100), "FILLED"),
        (TimeInForce.DAY, (100, 101, 94, 100), "FILLED"),
        (TimeInForce.GTC, (100, 101, 96, 100), "NEW"),
    ],
)
def test_a_limit_at_95(force: int, bar: Any, end: str) -> None:
    assert ends(play({0: lambda b: b.limit(BUY, 1, 95, force)}, FLAT, bar)) == {1: end}


@pytest.mark.parametrize(
    ("minutes", "end"),
    [(1, "EXPIRED expired-gtd"), (2, "EXPIRED expired-gtd"), (2.5, "FILLED"), (3, "FILLED"), (60, "FILLED")],
)
def test_gtd_meets_the_bars_that_open_before_its_time(minutes: float, end: str) -> None:
    """Sent at minute 1; the bar that reaches it opens at minute 3."""
    until = int((1 + minutes) * MINUTE_NS)
    plan = {0: lambda b: b.limit(BUY, 1, 95, TimeInForce.GTD, False, False, until)}
    session = play(plan, FLAT, FLAT, FLAT, (100, 100, 94, 100))
    assert ends(session) == {1: end}
    if end != "FILLED":
        assert session.updates["event_time"][-1] == until


def test_day_ends_with_the_utc_day() -> None:
    steps = [FLAT, FLAT, FLAT, (100, 100, 94, 100)]
    bars = bars_of(steps, start=24 * 60 - 3)  # the last bar opens at midnight
    for force, expected in ((TimeInForce.DAY, "EXPIRED expired-day"), (TimeInForce.GTC, "FILLED")):
        session = play({0: lambda b, force=force: b.limit(BUY, 1, 95, force)}, FLAT)
        fresh = Session(session.strategy, [BTC], 1e6, compiled=False)
        fresh.run(bars)
        assert ends(fresh) == {1: expected}
    assert fresh.updates["event_time"][-1] == DAY + MINUTE_NS


def test_day_market_orders_end_as_well() -> None:
    session = play({0: lambda b: b.buy(2000, TimeInForce.DAY)}, FLAT, FLAT, market=Market(participation=0.5))
    assert ends(session) == {1: "PARTIALLY_FILLED"}


def at_times(plan: Any, steps: Any, starts: list[int], market: Market | None = None, actions: Any = ()) -> Session:
    """Bars that open at given minutes; actions (minute, kind) come before bars that close at or after them."""
    session = play(plan, FLAT)
    bars = np.concatenate([bars_of([step], start=start) for step, start in zip(steps, starts, strict=True)])
    fresh = Session(session.strategy, [BTC], 1e6, market=market or Market(allow_short=True), compiled=False)
    waiting = list(actions)
    for bar in bars:
        while waiting and waiting[0][0] * MINUTE_NS <= bar["close_time"]:
            minute, kind = waiting.pop(0)
            row = np.zeros(1, ACTION)
            row[0] = (0, int(minute * MINUTE_NS), kind, 0.0)
            fresh._account.time = row[0]["event_time"]
            fresh._machine.act(fresh._arena_at, fresh._at(row.view(np.uint8)))
        fresh.run(np.atleast_1d(bar))
    return fresh


def test_at_open_meets_the_next_days_first_open() -> None:
    noon = 24 * 60
    for send, expected in (
        (lambda b: b.buy(1, TimeInForce.AT_OPEN), [(3, 1, 1.0, 103.0)]),
        (lambda b: b.limit(BUY, 1, 104, TimeInForce.AT_OPEN), [(3, 1, 1.0, 103.0)]),
        (lambda b: b.limit(BUY, 1, 102, TimeInForce.AT_OPEN), []),
    ):
        steps = [FLAT, (101, 104, 99, 101), (102, 104, 99, 101), (103, 104, 99, 101), (104, 104, 99, 101)]
        session = at_times({0: send}, steps, [noon - 3, noon - 2, noon - 1, noon, noon + 1])
        assert fills(session) == expected
    assert ends(session) == {1: "EXPIRED not-filled-at-once"}


def test_at_close_gets_the_days_last_close() -> None:
    midnight = 24 * 60
    steps = [FLAT, (101, 104, 99, 101), (102, 104, 99, 103), (104, 104, 99, 101)]
    session = at_times({0: lambda b: b.buy(1, TimeInForce.AT_CLOSE)}, steps, [midnight - 3 + k for k in range(4)])
    assert fills(session) == [(2, 1, 1.0, 103.0)]
    assert session.fills["event_time"].tolist() == [DAY]


def test_at_close_in_a_day_that_ends_early_gets_its_last_price() -> None:
    steps = [FLAT, (101, 104, 99, 103), (110, 110, 110, 110)]
    session = at_times({0: lambda b: b.buy(1, TimeInForce.AT_CLOSE)}, steps, [10, 11, 24 * 60 + 5])
    assert [f[1:] for f in fills(session)] == [(1, 1.0, 103.0)]


def test_at_close_sent_after_the_last_trade_of_the_day_expires() -> None:
    session = at_times({0: lambda b: b.buy(1, TimeInForce.AT_CLOSE)}, [FLAT, (110, 110, 110, 110)], [10, 24 * 60 + 5])
    assert ends(session) == {1: "EXPIRED not-filled-at-once"}


def test_at_close_with_a_limit() -> None:
    midnight = 24 * 60
    for price, expected in ((104, "FILLED"), (102, "EXPIRED not-filled-at-once")):
        plan = {0: lambda b, price=price: b.limit(BUY, 1, price, TimeInForce.AT_CLOSE)}
        session = at_times(plan, [FLAT, (101, 104, 99, 103)], [midnight - 2, midnight - 1])
        assert ends(session) == {1: expected}


def test_sessions_end_day_orders_and_open_and_close_auctions() -> None:
    actions = [(12, ActionKind.CLOSE), (20, ActionKind.OPEN), (30, ActionKind.CLOSE)]
    steps = [FLAT, (100, 101, 99, 101), (105, 106, 104, 104), (104, 105, 90, 102)]
    starts = [10, 11, 20, 29]
    day = at_times({0: lambda b: b.limit(BUY, 1, 95, TimeInForce.DAY)}, steps, starts, actions=actions)
    assert ends(day) == {1: "EXPIRED expired-day"}
    later = at_times({1: lambda b: b.limit(BUY, 1, 95, TimeInForce.DAY)}, steps, starts, actions=actions)
    assert fills(later)[0][1:] == (1, 1.0, 95.0)
    opening = at_times({0: lambda b: b.buy(1, TimeInForce.AT_OPEN)}, steps, starts, actions=actions)
    assert fills(opening)[0][1:] == (1, 1.0, 105.0)
    closing = at_times({0: lambda b: b.buy(1, TimeInForce.AT_CLOSE)}, steps, starts, actions=actions)
    assert fills(closing)[0][1:] == (1, 1.0, 101.0)
    second = at_times({1: lambda b: b.sell(1, TimeInForce.AT_CLOSE)}, steps, starts, actions=actions)
    assert fills(second)[0][1:] == (-1, 1.0, 102.0)


# ---- brackets and OCO ----

BRACKETS: dict[str, tuple[Any, list[tuple[float, ...]], list[tuple[int, int, float]], dict[int, str]]] = {
    "target": (lambda b: b.bracket(BUY, 1, 95, 105), [FLAT, (100, 106, 99, 104)], [(1, 1, 100), (2, -1, 105)],
               {1: "FILLED", 2: "CANCELED oco", 3: "FILLED"}),
    "stop": (lambda b: b.bracket(BUY, 1, 95, 105), [FLAT, (100, 101, 94, 96)], [(1, 1, 100), (2, -1, 95)],
             {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "both in one bar: the stop": (lambda b: b.bracket(BUY, 1, 95, 105), [FLAT, (100, 106, 94, 104)], [(1, 1, 100), (2, -1, 95)],
                                  {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "both in the entry's bar: the stop": (lambda b: b.bracket(BUY, 1, 95, 105), [(100, 106, 94, 104)], [(1, 1, 100), (1, -1, 95)],
                                          {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "target in the entry's bar": (lambda b: b.bracket(BUY, 1, 95, 105), [(100, 106, 99, 104)], [(1, 1, 100), (1, -1, 105)],
                                  {1: "FILLED", 2: "CANCELED oco", 3: "FILLED"}),
    "open beyond the stop": (lambda b: b.bracket(BUY, 1, 95, 105), [(93, 96, 92, 94)], [(1, 1, 93), (1, -1, 93)],
                             {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "short, target": (lambda b: b.bracket(SELL, 1, 105, 95), [FLAT, (100, 101, 94, 96)], [(1, -1, 100), (2, 1, 95)],
                      {1: "FILLED", 2: "CANCELED oco", 3: "FILLED"}),
    "short, stop": (lambda b: b.bracket(SELL, 1, 105, 95), [FLAT, (100, 106, 99, 104)], [(1, -1, 100), (2, 1, 105)],
                    {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "entry by limit, not filled": (lambda b: b.bracket(BUY, 1, 90, 105, 97), [(100, 106, 98, 100)], [],
                                   {1: "NEW", 2: "NEW", 3: "NEW"}),
    "entry inside, target uncertain": (lambda b: b.bracket(BUY, 1, 90, 99, 97), [(100, 101, 96, 98)], [(1, 1, 97)],
                                       {1: "FILLED", 2: "NEW", 3: "NEW"}),
    "entry inside, target certain by the close": (lambda b: b.bracket(BUY, 1, 90, 99, 97), [(100, 101, 96, 99.5)],
                                                  [(1, 1, 97), (1, -1, 99)], {1: "FILLED", 2: "CANCELED oco", 3: "FILLED"}),
    "entry inside, stopped": (lambda b: b.bracket(BUY, 1, 95, 105, 97), [(100, 106, 94, 104)], [(1, 1, 97), (1, -1, 95)],
                              {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}),
    "entry cancelled": (lambda b: b.cancel(b.bracket(BUY, 1, 90, 105, 97)), [FLAT], [],
                        {1: "CANCELED", 2: "CANCELED parent", 3: "CANCELED parent"}),
    "entry expired": (lambda b: b.bracket(BUY, 1, 90, 105, 97, TimeInForce.IOC), [FLAT], [],
                      {1: "EXPIRED not-filled-at-once", 2: "CANCELED parent", 3: "CANCELED parent"}),
    "entry beyond cash": (lambda b: b.bracket(BUY, 1e6, 90, 105), [FLAT], [],
                          {1: "REJECTED insufficient-cash", 2: "CANCELED parent", 3: "CANCELED parent"}),
    "stop above a long entry": (lambda b: b.bracket(BUY, 1, 101, 105), [FLAT], [],
                                {1: "REJECTED contradictory", 2: "REJECTED parent", 3: "REJECTED parent"}),
    "target below a long entry": (lambda b: b.bracket(BUY, 1, 95, 99), [FLAT], [],
                                  {1: "REJECTED contradictory", 2: "REJECTED parent", 3: "REJECTED parent"}),
    "stop at the entry": (lambda b: b.bracket(BUY, 1, 97, 105, 97), [FLAT], [],
                          {1: "REJECTED contradictory", 2: "REJECTED parent", 3: "REJECTED parent"}),
    "short upside down": (lambda b: b.bracket(SELL, 1, 95, 105), [FLAT], [],
                          {1: "REJECTED contradictory", 2: "REJECTED parent", 3: "REJECTED parent"}),
    "no stop price": (lambda b: b.bracket(BUY, 1, math.nan, 105), [FLAT], [],
                      {1: "REJECTED invalid-price", 2: "REJECTED parent", 3: "REJECTED parent"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BRACKETS)
def test_brackets(name: str) -> None:
    send, bars, expected, ended = BRACKETS[name]
    session = play({0: send}, FLAT, *bars)
    assert [(bar, side, price) for bar, side, _, price in fills(session)] == expected
    assert ends(session) == ended


def test_scaling_in_each_entry_has_its_own_exits() -> None:
    plan = {0: lambda b: (b.bracket(BUY, 1, 90, 105), b.bracket(BUY, 2, 80, 110, 96))}
    session = play(plan, FLAT, (100, 101, 95, 97), (97, 106, 97, 104), (104, 111, 104, 110))
    assert fills(session) == [(1, 1, 1.0, 100.0), (1, 1, 2.0, 96.0), (2, -1, 1.0, 105.0), (3, -1, 2.0, 110.0)]
    assert session.positions[BTC.id] == 0.0


def test_exits_wake_with_what_was_filled() -> None:
    """Half of the volume of 100 a bar: the entry of 80 fills 50 and 30; the target takes 50 in between."""
    plan = {0: lambda b: b.bracket(BUY, 80, 90, 105)}
    thin = [(*FLAT, 100.0), (100, 101, 99, 100, 100.0), (100, 101, 99, 100, 100.0), (100, 106, 100, 105, 100.0), FLAT]
    session = play(plan, *thin, market=HALF)
    assert fills(session) == [(1, 1, 50.0, 100.0), (2, 1, 30.0, 100.0), (3, -1, 50.0, 105.0)]
    last = play(plan, *thin[:4], (95, 96, 89, 90, 100.0), market=HALF)
    assert fills(last)[-1] == (4, -1, 30.0, 90.0)
    assert ends(last) == {1: "FILLED", 2: "FILLED", 3: "CANCELED oco"}


def test_an_entry_cancelled_half_way_keeps_the_exits_of_what_it_bought() -> None:
    plan = {0: lambda b: b.bracket(BUY, 80, 90, 105), 1: lambda b: b.cancel(1)}
    session = play(plan, FLAT, (100, 101, 99, 100, 100.0), (100, 106, 99, 105), market=HALF)
    assert fills(session) == [(1, 1, 50.0, 100.0), (2, -1, 50.0, 105.0)]
    assert ends(session) == {1: "CANCELED", 2: "CANCELED oco", 3: "FILLED"}


def test_a_bracket_needs_room_for_all_three() -> None:
    session = play({0: lambda b: b.bracket(BUY, 1, 95, 105)}, FLAT, FLAT, max_open_orders=2)
    assert ends(session)[1] == "REJECTED too-many-open-orders"
    assert len(session.fills) == 0


# ---- reduce-only and post-only ----


@pytest.mark.parametrize(
    ("before", "send", "expected", "end"),
    [
        (None, lambda b: b.sell(1, TimeInForce.GTC, True), [], "CANCELED reduce-only"),
        (None, lambda b: b.buy(1, TimeInForce.GTC, True), [], "CANCELED reduce-only"),
        (lambda b: b.buy(2), lambda b: b.sell(1, TimeInForce.GTC, True), [(-1, 1.0)], "FILLED"),
        (lambda b: b.buy(2), lambda b: b.sell(2, TimeInForce.GTC, True), [(-1, 2.0)], "FILLED"),
        (lambda b: b.buy(2), lambda b: b.sell(5, TimeInForce.GTC, True), [(-1, 2.0)], "CANCELED reduce-only"),
        (lambda b: b.buy(2), lambda b: b.buy(1, TimeInForce.GTC, True), [], "CANCELED reduce-only"),
        (lambda b: b.sell(2), lambda b: b.buy(5, TimeInForce.GTC, True), [(1, 2.0)], "CANCELED reduce-only"),
        (lambda b: b.buy(2), lambda b: b.stop(SELL, 5, 99, 1, True), [(-1, 2.0)], "CANCELED reduce-only"),
        (lambda b: b.buy(2), lambda b: b.limit(SELL, 5, 101, 1, False, True), [(-1, 2.0)], "CANCELED reduce-only"),
    ],
)
def test_reduce_only_never_opens_and_never_flips(before: Any, send: Any, expected: Any, end: str) -> None:
    plan = {1: send} if before is None else {0: before, 1: send}
    session = play(plan, FLAT, FLAT, (100, 102, 98, 100), FLAT)
    first = 0 if before is None else 1
    assert [(side, quantity) for _, side, quantity, _ in fills(session)[first:]] == expected
    assert ends(session)[first + 1] == end


@pytest.mark.parametrize(
    ("price", "bar", "end"),
    [
        (99, (100, 100, 98, 100), "FILLED"),
        (99, (98, 100, 98, 100), "REJECTED post-only-would-take"),
        (100, (100, 100, 98, 100), "REJECTED post-only-would-take"),
        (99, (100, 100, 99.5, 100), "NEW"),
    ],
)
def test_post_only(price: float, bar: Any, end: str) -> None:
    session = play({0: lambda b: b.limit(BUY, 1, price, TimeInForce.GTC, True)}, FLAT, bar)
    assert ends(session) == {1: end}
    assert all(session.fills["maker"])


def test_post_only_that_rested_may_be_gapped_over() -> None:
    session = play({0: lambda b: b.limit(BUY, 1, 99, TimeInForce.GTC, True)}, FLAT, FLAT, (97, 98, 96, 97))
    assert fills(session) == [(2, 1, 1.0, 97.0)]


# ---- amendments and cancellations ----


@pytest.mark.parametrize(
    ("amend", "reason", "expected"),
    [
        (lambda b: b.amend(1, math.nan, 96), "amended", [(2, 1, 10.0, 96.0)]),
        (lambda b: b.amend(1, 4), "amended", [(2, 1, 4.0, 95.0)]),
        (lambda b: b.amend(1, 20, 97), "amended", [(2, 1, 20.0, 97.0)]),
        (lambda b: b.amend(1, -4), "invalid-quantity", [(2, 1, 10.0, 95.0)]),
        (lambda b: b.amend(1, 0), "invalid-quantity", [(2, 1, 10.0, 95.0)]),
        (lambda b: b.amend(1, math.inf), "invalid-quantity", [(2, 1, 10.0, 95.0)]),
        (lambda b: b.amend(1, math.nan, 0), "invalid-price", [(2, 1, 10.0, 95.0)]),
        (lambda b: b.amend(1, math.nan, math.nan, 90), "invalid-price", [(2, 1, 10.0, 95.0)]),
    ],
)
def test_amend_a_limit(amend: Any, reason: str, expected: Any) -> None:
    session = play({0: lambda b: b.limit(BUY, 10, 95), 1: amend}, FLAT, FLAT, (100, 100, 94, 100))
    assert fills(session) == expected
    assert len(session.amends) == 1
    assert any(f"NEW {reason}" == end for end in every_end(session))


def every_end(session: Session) -> list[str]:
    from quantlytic.model.order import Reason

    return [f"{OrderStatus(u['status']).name} {Reason(u['reason']).text}" for u in session.updates]


def test_amend_a_stop() -> None:
    plan = {0: lambda b: b.stop(SELL, 1, 95), 1: lambda b: b.amend(1, math.nan, math.nan, 97)}
    assert fills(play(plan, FLAT, FLAT, (100, 100, 94, 100))) == [(2, -1, 1.0, 97.0)]


@pytest.mark.parametrize(
    ("amend", "first"),
    [
        (lambda b: b.amend(1, 4), 1),  # less: keeps its place
        (lambda b: b.amend(1, 6), 2),  # more: to the back
        (lambda b: b.amend(1, 5, 95), 1),  # nothing changes
        (lambda b: b.amend(1, 4, 96), 2),  # another price
    ],
)
def test_priority_is_kept_only_by_asking_for_less(amend: Any, first: int) -> None:
    plan = {0: lambda b: (b.limit(BUY, 5, 95), b.limit(BUY, 5, 95)), 1: amend}
    session = play(plan, FLAT, FLAT, (90, 91, 89, 90))
    assert session.fills["order_id"][0] == first


def test_amended_quantity_counts_what_is_filled() -> None:
    plan = {0: lambda b: b.buy(80), 1: lambda b: b.amend(1, 60)}
    session = play(plan, FLAT, (100, 100, 100, 100, 100.0), FLAT, market=HALF)
    assert fills(session) == [(1, 1, 50.0, 100.0), (2, 1, 10.0, 100.0)]


def test_amending_what_is_not_there() -> None:
    seen: list[bool] = []
    session = play({0: lambda b: seen.append(b.amend(7, 1))}, FLAT, FLAT)
    assert seen == [False]
    assert len(session.amends) == 0


def test_status_of_orders() -> None:
    seen: list[Any] = []
    plan = {
        0: lambda b: seen.append((b.limit(BUY, 2, 95), b.order_status(1), b.left(1), b.open_orders)),
        1: lambda b: seen.append((b.order_status(1), b.left(1), b.order_status(9))),
        2: lambda b: seen.append((b.order_status(1), b.left(1), b.average_price, b.open_orders)),
    }
    play(plan, FLAT, FLAT, (100, 100, 94, 100))
    assert seen == [(1, OrderStatus.PENDING_NEW, 2.0, 1), (OrderStatus.NEW, 2.0, 0), (OrderStatus.FILLED, 0.0, 95.0, 0)]


# ---- latency ----


def late(seconds: float) -> Market:
    return Market(latency=Latency(int(seconds * 1e9)), allow_short=True)


@pytest.mark.parametrize(
    ("seconds", "send", "expected"),
    [
        (0, lambda b: b.buy(1), [(1, 1, 1.0, 100.0)]),
        (15, lambda b: b.buy(1), [(1, 1, 1.0, 102.0)]),  # a quarter of the way from 100 to 108
        (30, lambda b: b.buy(1), [(1, 1, 1.0, 104.0)]),
        (60, lambda b: b.buy(1), [(2, 1, 1.0, 108.0)]),
        (90, lambda b: b.buy(1), [(2, 1, 1.0, 108.0)]),
        (15, lambda b: b.limit(BUY, 1, 101), []),  # the low of 99 may have been before, the close is above
        (15, lambda b: b.limit(BUY, 1, 103), [(1, 1, 1.0, 102.0)]),
        (15, lambda b: b.limit(SELL, 1, 107), [(1, -1, 1.0, 107.0)]),  # the close is above
        (15, lambda b: b.limit(SELL, 1, 109), []),  # the high of 110 may have been before
        (15, lambda b: b.stop(SELL, 1, 99.5), [(1, -1, 1.0, 99.5)]),  # worst: the low came after
        (15, lambda b: b.limit(BUY, 1, 101, TimeInForce.IOC), []),
        (15, lambda b: b.limit(BUY, 1, 103, TimeInForce.GTC, True), []),  # post-only would take
    ],
)
def test_latency_inside_a_bar(seconds: float, send: Any, expected: Any) -> None:
    session = play({0: send}, FLAT, (100, 110, 99, 108), (108, 108, 108, 108), market=late(seconds))
    assert fills(session) == expected


def test_a_late_cancellation_lets_the_order_fill() -> None:
    plan = {0: lambda b: b.limit(BUY, 1, 95), 1: lambda b: b.cancel(1)}
    bars = [FLAT, FLAT, (100, 100, 94, 100)]
    assert ends(play(plan, *bars)) == {1: "CANCELED"}
    assert ends(play(plan, *bars, market=late(1))) == {1: "FILLED"}
    assert ends(play(plan, *bars[:2], FLAT, market=late(1))) == {1: "CANCELED"}


def test_a_late_amendment() -> None:
    plan = {0: lambda b: b.limit(BUY, 1, 95), 1: lambda b: b.amend(1, math.nan, 97)}
    bars = [FLAT, FLAT, (100, 100, 96, 100), (100, 100, 96, 100)]
    assert fills(play(plan, *bars)) == [(2, 1, 1.0, 97.0)]
    assert fills(play(plan, *bars, market=late(1))) == [(3, 1, 1.0, 97.0)]


def test_sampled_lags_are_the_same_again() -> None:
    lags = Latency(lags_ns=tuple(range(0, 60_000_000_000, 1_000_000_000)), seed=3)
    steps = [(100 + k, 102 + k, 99 + k, 101 + k) for k in range(20)]
    plan = {k: lambda b: b.buy(1) for k in range(19)}
    one, two = (play(plan, *steps, market=Market(latency=lags)) for _ in range(2))
    assert one.digest == two.digest
    assert len({f[3] - f[0] for f in fills(one)}) > 10
    other = play(plan, *steps, market=Market(latency=Latency(lags_ns=lags.lags_ns, seed=4)))
    assert other.digest != one.digest


@pytest.mark.parametrize(("whole", "bought"), [(50, 50), (100, 100), (200, 200)])
def test_exits_follow_an_amended_entry(whole: float, bought: float) -> None:
    """70 are held besides, which reduce-only exits must leave alone."""
    plan = {0: lambda b: (b.buy(70), b.bracket(BUY, 100, 90, 110, 99.0)), 1: lambda b: b.amend(2, quantity=whole)}
    session = play(plan, FLAT, FLAT, (100, 100, 98, 99), (99, 99, 85, 86))
    assert fills(session)[1:] == [(2, 1, bought, 99.0), (3, -1, bought, 90.0)]
    assert session.positions[BTC.id] == 70.0


@pytest.mark.parametrize(("whole", "left"), [(60, 0.0), (150, 0.0), (40, 0.0)])
def test_exits_follow_an_entry_amended_half_way(whole: float, left: float) -> None:
    """40 a bar may be bought: 40 are when it is amended."""
    plan = {0: lambda b: b.bracket(BUY, 100, 90, 110), 1: lambda b: b.amend(1, quantity=whole)}
    steps = [(100, 100, 100, 100, 80)] * 5
    session = play(plan, *steps, (99, 99, 85, 86, 1000), market=Market(participation=0.5))
    assert session.positions[BTC.id] == left
    bought = max(whole, 40) if whole != 40 else 100  # 40 is what is filled already: refused
    assert fills(session)[-1][1:] == (-1, bought, 90.0)


def test_exits_of_broken_quantities_leave_no_dust() -> None:
    steps = [(100, 100, 100, 100, volume) for volume in (1, 1, 2, 3, 1)]
    session = play(
        {0: lambda b: b.bracket(BUY, 0.7, 90, 110)}, *steps, (99, 99, 85, 86, 4), (86, 86, 85, 86, 9),
        market=Market(participation=0.1),
    )  # fmt: skip
    assert len(session.fills) == 6
    assert session.positions[BTC.id] == 0.0


@pytest.mark.parametrize("sold", [50, 100])
def test_an_exit_that_finds_nothing_more_takes_the_other_with_it(sold: float) -> None:
    """What is bought later is not of that bracket."""
    plan = {0: lambda b: b.bracket(BUY, 100, 90, 110), 1: lambda b: b.sell(sold), 3: lambda b: b.buy(100)}
    session = play(plan, FLAT, FLAT, FLAT, (99, 99, 85, 86), FLAT, (100, 120, 100, 115))
    assert ends(session) == {
        1: "FILLED", 2: "CANCELED reduce-only", 3: "CANCELED oco", 4: "FILLED", 5: "FILLED"
    }  # fmt: skip
    assert session.positions[BTC.id] == 100.0


@pytest.mark.parametrize("seconds", [0, 1])
@pytest.mark.parametrize("post_only", [False, True])
def test_a_limit_amended_through_the_market_takes(post_only: bool, seconds: float) -> None:
    plan = {0: lambda b: b.limit(BUY, 1, 90.0, post_only=post_only), 1: lambda b: b.amend(1, price=105.0)}
    session = play(plan, FLAT, FLAT, (100, 100, 98, 99), FLAT, market=late(seconds))
    if post_only:
        assert ends(session) == {1: "REJECTED post-only-would-take"}
    else:
        assert fills(session) == [(3 if seconds else 2, 1, 1.0, 100.0)]
        assert not session.fills["maker"].any()


def test_an_amendment_on_its_way_is_split_as_well() -> None:
    plan = {0: lambda b: b.limit(BUY, 10, 90.0), 1: lambda b: b.amend(1, 20, 80.0)}
    at = 2 * MINUTE_NS + 1
    session = play(plan, FLAT, market=late(30))
    row = np.zeros(1, ACTION)
    row[0] = (0, at, ActionKind.SPLIT, 2.0)
    bars = bars_of([FLAT, FLAT, (50, 50, 50, 50), (50, 50, 39, 50)])
    halves = Session(session.strategy, [BTC], 1e6, market=late(30), compiled=False)
    halves.run(bars[:2])
    halves._machine.act(halves._arena_at, halves._at(row.view(np.uint8)))
    halves.run(bars[2:])
    assert fills(halves)[-1][1:] == (1, 40.0, 40.0)


def test_in_a_bar_of_unknown_volume_a_capped_order_waits() -> None:
    steps = [FLAT, (*FLAT, math.nan), (*FLAT, 0.0), (*FLAT, 10.0)]
    assert fills(play({0: lambda b: b.buy(5)}, *steps, market=Market(participation=0.5))) == [(3, 1, 5.0, 100.0)]
