"""Each order type against one or two bars: what fills, where. Orders are sent at the close of bar 0 (100)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.orders import BUY, FLAT, SELL, ends, fills, play

from quantlytic import Instrument
from quantlytic.engine.market.market import Market

# name: (what is sent at bar 0, bar 1, fills of bar 1 as (side, price))
ONE_BAR: dict[str, tuple[Any, tuple[float, ...], list[tuple[int, float]]]] = {
    "buy stop reached": (lambda b: b.stop(BUY, 1, 105), (100, 106, 99, 104), [(1, 105)]),
    "buy stop just touched": (lambda b: b.stop(BUY, 1, 105), (100, 105, 99, 104), [(1, 105)]),
    "buy stop not reached": (lambda b: b.stop(BUY, 1, 105), (100, 104.9, 99, 104), []),
    "buy stop gapped over": (lambda b: b.stop(BUY, 1, 105), (107, 108, 104, 104), [(1, 107)]),
    "buy stop at the open": (lambda b: b.stop(BUY, 1, 105), (105, 108, 104, 104), [(1, 105)]),
    "sell stop reached": (lambda b: b.stop(SELL, 1, 95), (100, 101, 94, 96), [(-1, 95)]),
    "sell stop just touched": (lambda b: b.stop(SELL, 1, 95), (100, 101, 95, 96), [(-1, 95)]),
    "sell stop not reached": (lambda b: b.stop(SELL, 1, 95), (100, 101, 95.1, 96), []),
    "sell stop gapped under": (lambda b: b.stop(SELL, 1, 95), (93, 96, 92, 96), [(-1, 93)]),
    "sell stop above the market goes at the open": (lambda b: b.stop(SELL, 1, 110), (100, 101, 99, 100), [(-1, 100)]),
    "buy stop below the market goes at the open": (lambda b: b.stop(BUY, 1, 90), (100, 101, 99, 100), [(1, 100)]),
    "take-profit sale reached": (lambda b: b.take_profit(SELL, 1, 105), (100, 106, 99, 104), [(-1, 105)]),
    "take-profit sale gapped over": (lambda b: b.take_profit(SELL, 1, 105), (107, 108, 104, 104), [(-1, 107)]),
    "take-profit sale not reached": (lambda b: b.take_profit(SELL, 1, 105), (100, 104, 99, 104), []),
    "take-profit buy reached": (lambda b: b.take_profit(BUY, 1, 95), (100, 101, 94, 96), [(1, 95)]),
    "take-profit buy gapped under": (lambda b: b.take_profit(BUY, 1, 95), (93, 96, 92, 96), [(1, 93)]),
    "take-profit buy not reached": (lambda b: b.take_profit(BUY, 1, 95), (100, 101, 95.5, 96), []),
    "stop-limit buy, limit beyond the stop": (
        lambda b: b.stop_limit(BUY, 1, 105, 106),
        (100, 107, 99, 104),
        [(1, 105)],
    ),
    "stop-limit buy, limit at the stop": (lambda b: b.stop_limit(BUY, 1, 105, 105), (100, 107, 99, 104), [(1, 105)]),
    "stop-limit buy, not triggered": (lambda b: b.stop_limit(BUY, 1, 105, 106), (100, 104, 99, 104), []),
    "stop-limit buy, gap within the limit": (
        lambda b: b.stop_limit(BUY, 1, 105, 108),
        (107, 109, 106, 106),
        [(1, 107)],
    ),
    "stop-limit buy, gap beyond, comes back": (
        lambda b: b.stop_limit(BUY, 1, 105, 106),
        (107, 109, 104, 108),
        [(1, 106)],
    ),
    "stop-limit buy, gap beyond, stays": (lambda b: b.stop_limit(BUY, 1, 105, 106), (107, 109, 106.5, 108), []),
    "stop-limit buy, limit below, close certain": (
        lambda b: b.stop_limit(BUY, 1, 105, 103),
        (104, 106, 102, 102.5),
        [(1, 103)],
    ),
    "stop-limit buy, limit below, uncertain": (lambda b: b.stop_limit(BUY, 1, 105, 103), (104, 106, 102, 104), []),
    "stop-limit sale, limit beyond the stop": (lambda b: b.stop_limit(SELL, 1, 95, 94), (100, 101, 93, 96), [(-1, 95)]),
    "stop-limit sale, gap within the limit": (lambda b: b.stop_limit(SELL, 1, 95, 92), (93, 94, 91, 94), [(-1, 93)]),
    "stop-limit sale, gap beyond, comes back": (lambda b: b.stop_limit(SELL, 1, 95, 94), (93, 96, 92, 92), [(-1, 94)]),
    "stop-limit sale, limit above, close certain": (
        lambda b: b.stop_limit(SELL, 1, 95, 97),
        (96, 98, 94, 97.5),
        [(-1, 97)],
    ),
    "stop-limit sale, limit above, uncertain": (lambda b: b.stop_limit(SELL, 1, 95, 97), (96, 98, 94, 96), []),
    "trailing sale, level of before": (lambda b: b.trailing_stop(SELL, 1, 5), (100, 101, 94, 96), [(-1, 95)]),
    "trailing sale, gapped under": (lambda b: b.trailing_stop(SELL, 1, 5), (93, 101, 92, 96), [(-1, 93)]),
    "trailing sale, close under the raised level": (
        lambda b: b.trailing_stop(SELL, 1, 5),
        (100, 110, 99, 104),
        [(-1, 105)],
    ),
    "trailing sale, close above the raised level": (lambda b: b.trailing_stop(SELL, 1, 5), (100, 110, 99, 106), []),
    "trailing buy, level of before": (lambda b: b.trailing_stop(BUY, 1, 5), (100, 106, 99, 104), [(1, 105)]),
    "trailing buy, close over the lowered level": (lambda b: b.trailing_stop(BUY, 1, 5), (100, 101, 90, 96), [(1, 95)]),
    "trailing buy, close under the lowered level": (lambda b: b.trailing_stop(BUY, 1, 5), (100, 101, 90, 94), []),
    "trailing sale in percent": (lambda b: b.trailing_stop(SELL, 1, 10, True), (100, 101, 89, 96), [(-1, 90)]),
    "trailing buy in percent": (lambda b: b.trailing_stop(BUY, 1, 10, True), (100, 111, 99, 104), [(1, 110)]),
    "market": (lambda b: b.buy(1), (103, 104, 99, 100), [(1, 103)]),
    "two stops, the worse first": (
        lambda b: (b.stop(SELL, 1, 97), b.stop(SELL, 1, 95)),
        (100, 101, 94, 96),
        [(-1, 95), (-1, 97)],
    ),
}


@pytest.mark.parametrize("name", ONE_BAR)
def test_one_bar(name: str) -> None:
    send, bar, expected = ONE_BAR[name]
    session = play({0: send}, FLAT, bar)
    assert [(side, price) for _, side, _, price in fills(session)] == expected


def both_sides(broker: Any) -> None:
    broker.limit(BUY, 1, 95)
    broker.limit(SELL, 1, 105)


def same_price(broker: Any) -> None:
    broker.limit(BUY, 1, 95)
    broker.limit(BUY, 2, 95)


# The same orders where the path inside the bar is assumed: name: (what, path, bar 1, fills)
PATHS: dict[str, tuple[Any, str, tuple[float, ...], list[tuple[int, float]]]] = {
    "trailing sale, high first": (lambda b: b.trailing_stop(SELL, 1, 5), "ohlc", (100, 110, 99, 108), [(-1, 105)]),
    "trailing sale, low first": (lambda b: b.trailing_stop(SELL, 1, 5), "olhc", (100, 110, 99, 108), []),
    "trailing sale, low first, falls back": (lambda b: b.trailing_stop(SELL, 1, 5), "olhc", (100, 110, 99, 104), [(-1, 105)]),
    "trailing sale, low first, level of before": (lambda b: b.trailing_stop(SELL, 1, 5), "olhc", (100, 110, 94, 108), [(-1, 95)]),
    "trailing buy, low first": (lambda b: b.trailing_stop(BUY, 1, 5), "olhc", (100, 101, 90, 92), [(1, 95)]),
    "trailing buy, high first": (lambda b: b.trailing_stop(BUY, 1, 5), "ohlc", (100, 101, 90, 92), []),
    "stop-limit, comes back after the stop": (lambda b: b.stop_limit(BUY, 1, 105, 103), "ohlc", (104, 106, 102, 104), [(1, 103)]),
    "stop-limit, low before the stop": (lambda b: b.stop_limit(BUY, 1, 105, 103), "olhc", (104, 106, 102, 104), []),
    "both sides, high first": (both_sides, "ohlc", (100, 106, 94, 100), [(-1, 105), (1, 95)]),
    "both sides, low first": (both_sides, "olhc", (100, 106, 94, 100), [(1, 95), (-1, 105)]),
    "nearer first": (lambda b: (b.limit(BUY, 1, 95), b.limit(BUY, 1, 97)), "ohlc", (100, 101, 94, 100), [(1, 97), (1, 95)]),
    "same price: sent first": (same_price, "ohlc", (100, 101, 94, 100), [(1, 95), (1, 95)]),
    "stop on the last leg": (lambda b: b.stop(BUY, 1, 105), "ohlc", (100, 106, 94, 100), [(1, 105)]),
    "flat bar": (lambda b: b.limit(BUY, 1, 100), "ohlc", FLAT, [(1, 100)]),
    "exits of a bracket, high first": (lambda b: b.bracket(BUY, 1, 95, 105), "ohlc", (100, 106, 94, 100), [(1, 100), (-1, 105)]),
    "exits of a bracket, low first": (lambda b: b.bracket(BUY, 1, 95, 105), "olhc", (100, 106, 94, 100), [(1, 100), (-1, 95)]),
    "entry inside, then its target": (lambda b: b.bracket(BUY, 1, 90, 99, 97), "ohlc", (100, 101, 96, 99.5), [(1, 97), (-1, 99)]),
    "target was before the entry": (lambda b: b.bracket(BUY, 1, 90, 101, 97), "ohlc", (100, 102, 96, 99), [(1, 97)]),
    "entry inside, then its stop": (lambda b: b.bracket(BUY, 1, 95, 105, 97), "ohlc", (100, 106, 94, 100), [(1, 97), (-1, 95)]),
}  # fmt: skip


@pytest.mark.parametrize("name", PATHS)
def test_paths(name: str) -> None:
    send, path, bar, expected = PATHS[name]
    session = play({0: send}, FLAT, bar, market=Market(path=path, allow_short=True))
    assert [(side, price) for _, side, _, price in fills(session)] == expected


def test_a_trailing_stop_never_goes_back() -> None:
    bars = [(100, 100, 100, 100), (100, 110, 100, 110), (110, 110, 106, 108), (108, 109, 104, 105)]
    assert fills(play({0: lambda b: b.trailing_stop(SELL, 1, 5)}, *bars)) == [(3, -1, 1.0, 105.0)]


def test_a_stop_limit_keeps_resting_as_a_limit() -> None:
    bars = [FLAT, (104, 106, 103.5, 105), (105, 106, 104, 105), (105, 106, 102, 105)]
    session = play({0: lambda b: b.stop_limit(BUY, 1, 105, 103)}, *bars)
    assert fills(session) == [(3, 1, 1.0, 103.0)]
    assert session.fills["maker"].tolist() == [True]


@pytest.mark.parametrize(
    ("send", "bar", "maker"),
    [
        (lambda b: b.buy(1), FLAT, False),
        (lambda b: b.limit(BUY, 1, 101), FLAT, False),
        (lambda b: b.limit(BUY, 1, 99), (100, 100, 98, 99), True),
        (lambda b: b.stop(BUY, 1, 101), (100, 102, 100, 101), False),
        (lambda b: b.take_profit(BUY, 1, 99), (100, 100, 98, 99), False),
        (lambda b: b.stop_limit(BUY, 1, 101, 102), (100, 102, 100, 101), False),
        (lambda b: b.trailing_stop(BUY, 1, 1), (100, 102, 100, 101), False),
    ],
    ids=["market", "marketable limit", "resting limit", "stop", "take-profit", "stop-limit", "trailing"],
)
def test_who_takes_and_who_makes(send: Any, bar: Any, maker: bool) -> None:
    assert play({0: send}, FLAT, bar).fills["maker"].tolist() == [maker]


def test_triggers_are_rounded_to_the_tick_that_is_reached_later() -> None:
    rules = Instrument("test:R", tick_size=0.5, lot_size=0.1)
    plan = {0: lambda b: (b.stop(BUY, 1.05, 104.2), b.stop(SELL, 1, 95.9), b.take_profit(SELL, 1, 108.1))}
    session = play(plan, FLAT, FLAT, instrument=rules)
    assert session.orders["stop_price"].tolist() == [104.5, 95.5, 108.5]
    assert session.orders["quantity"].tolist() == [1.0, 1.0, 1.0]


def test_a_trailing_level_is_on_the_tick() -> None:
    rules = Instrument("test:R", tick_size=0.5)
    session = play({0: lambda b: b.trailing_stop(SELL, 1, 4.8)}, FLAT, (100, 100, 95, 96), instrument=rules)
    assert fills(session) == [(1, -1, 1.0, 95.0)]


NONSENSE = {
    "negative quantity": (lambda b: b.stop(BUY, -1, 105), "REJECTED invalid-quantity"),
    "no quantity": (lambda b: b.take_profit(BUY, 0, 95), "REJECTED invalid-quantity"),
    "NaN quantity": (lambda b: b.trailing_stop(BUY, float("nan"), 5), "REJECTED invalid-quantity"),
    "no stop price": (lambda b: b.stop(BUY, 1, 0), "REJECTED invalid-price"),
    "negative stop price": (lambda b: b.stop(SELL, 1, -3), "REJECTED invalid-price"),
    "NaN stop price": (lambda b: b.stop_limit(BUY, 1, float("nan"), 100), "REJECTED invalid-price"),
    "NaN limit of a stop-limit": (lambda b: b.stop_limit(BUY, 1, 105, float("nan")), "REJECTED invalid-price"),
    "no trail": (lambda b: b.trailing_stop(SELL, 1, 0), "REJECTED invalid-price"),
    "negative trail": (lambda b: b.trailing_stop(SELL, 1, -1), "REJECTED invalid-price"),
    "trail of 100 percent": (lambda b: b.trailing_stop(SELL, 1, 100, True), "REJECTED invalid-price"),
    "infinite price": (lambda b: b.limit(BUY, 1, float("inf")), "REJECTED invalid-price"),
    "no such time in force": (lambda b: b.limit(BUY, 1, 95, 0), "REJECTED invalid-order"),
    "no such side": (lambda b: b.limit(2, 1, 95), "REJECTED invalid-order"),
    "stop at once": (lambda b: b.stop(BUY, 1, 105, 2), "REJECTED contradictory"),
    "trailing stop at the open": (lambda b: b.trailing_stop(BUY, 1, 5, False, 6), "REJECTED contradictory"),
    "post-only and at once": (lambda b: b.limit(BUY, 1, 95, 2, True), "REJECTED contradictory"),
    "GTD without a time": (lambda b: b.limit(BUY, 1, 95, 5), "REJECTED contradictory"),
    "GTD in the past": (lambda b: b.limit(BUY, 1, 95, 5, False, False, 1), "REJECTED contradictory"),
    "a time without GTD": (lambda b: b.limit(BUY, 1, 95, 1, False, False, 10**15), "REJECTED contradictory"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_rejected_with_a_reason(name: str) -> None:
    send, expected = NONSENSE[name]
    session = play({0: send}, FLAT, (100, 120, 80, 100))
    assert ends(session) == {1: expected}
    assert len(session.fills) == len(session.signals) == 0
