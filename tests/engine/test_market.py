"""The market's models, each by hand: fees, slippage, participation, borrow; actions; the market itself as words and numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from tests.engine.orders import BTC, BUY, FLAT, MINUTE_NS, SELL, bars_of, ends, fills, play

from quantlytic import Fees, Instrument, Session, TimeInForce
from quantlytic.engine.market.latency import Latency, pick
from quantlytic.engine.market.margin import Margin
from quantlytic.engine.market.market import Market
from quantlytic.engine.market.slippage import (
    FixedSlippage,
    NoSlippage,
    SpreadSlippage,
    SquareRootImpact,
    VolumeShareSlippage,
)
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.cashflow import CashFlowKind
from quantlytic.model.errors import InputError


def buy_and_rest(broker: Any) -> None:
    broker.buy(10)
    broker.limit(BUY, 10, 99)


@pytest.mark.parametrize(
    ("fees", "taker", "maker"),
    [
        (Fees(), 0.0, 0.0),
        (Fees(10), 1.0, 0.99),
        (Fees(10, 2), 1.0, 0.198),
        (Fees(10, -1), 1.0, -0.099),
        (Fees(per_order=1.5), 1.5, 1.5),
        (Fees(per_unit=0.01), 0.1, 0.1),
        (Fees(per_unit=0.005, minimum=1.0), 1.0, 1.0),
        (Fees(10, 2, per_order=1.0, per_unit=0.1), 3.0, 2.198),
        (Fees(10, 2, minimum=0.5), 1.0, 0.5),
    ],
)
def test_fees(fees: Fees, taker: float, maker: float) -> None:
    session = play({0: buy_and_rest}, FLAT, (100, 100, 98, 99), market=Market(fees=fees))
    assert session.fills["fee"] == pytest.approx([taker, maker], rel=1e-12)


def test_an_orders_fees_are_one_minimum_and_one_flat_fee() -> None:
    market = Market(fees=Fees(per_order=1.0, per_unit=0.01, minimum=2.0), participation=0.5)
    session = play({0: lambda b: b.buy(150)}, FLAT, *[(*FLAT, 100.0)] * 3, market=market)
    assert session.fills["quantity"].tolist() == [50.0, 50.0, 50.0]
    assert session.fills["fee"] == pytest.approx([2.0, 0.5, 0.5])  # 1 + 0.5 = 1.5: 2; then 0.5 each


def test_tiers_count_thirty_days() -> None:
    tiers = Fees(10, 5, tiers=((1500, 8, 4), (2500, 6, 3)))
    plan = {k: lambda b: b.buy(10) for k in range(6)}
    session = play(plan, FLAT)
    bars = bars_of([FLAT] * 6)
    bars["open_time"][4:] += 29 * 86_400 * 10**9
    bars["open_time"][5:] += 2 * 86_400 * 10**9
    bars["close_time"] = bars["open_time"] + MINUTE_NS
    fresh = Session(session.strategy, [BTC], 1e6, market=Market(fees=tiers), compiled=False)
    fresh.run(bars)
    # 0, 1000, 2000 traded before; then 3000, still all within 30 days; then only the fill of day 29 is
    assert fresh.fills["fee"] == pytest.approx([1.0, 1.0, 0.8, 0.6, 1.0])


SLIPPAGE = {
    "none": (NoSlippage(), 100.0, 100.0),
    "fixed": (FixedSlippage(20), 100.2, 99.8),
    "half of a stated spread": (SpreadSlippage(20), 100.1, 99.9),
    "volume share": (VolumeShareSlippage(0.1, 0.5), 100 * (1 + 0.1 * 0.01), 100 * (1 - 0.1 * 0.01)),
    "volume share, limited": (VolumeShareSlippage(0.1, 0.05), 100 * (1 + 0.1 * 0.0025), 100 * (1 - 0.1 * 0.0025)),
    "square root, nothing known": (SquareRootImpact(), 100.0, 100.0),
}


@pytest.mark.parametrize("name", SLIPPAGE)
def test_slippage(name: str) -> None:
    model, buy, sell = SLIPPAGE[name]
    market = Market(slippage=model, allow_short=True)
    for send, price in ((lambda b: b.buy(100), buy), (lambda b: b.sell(100), sell)):
        session = play({0: send}, FLAT, FLAT, market=market)
        assert fills(session)[0][3] == pytest.approx(price, rel=1e-12)
        assert session.fills["slippage"][0] == pytest.approx(100 * abs(price - 100), abs=1e-9)


def test_square_root_impact_knows_the_bars_before() -> None:
    """Closes 100, 101, 100: with span 3 (weight 1/2) of squared log returns, and of volumes 1000, 2000, 3000."""
    change = math.log(1.01) ** 2
    variance, volume = 0.5 * (0.5 * change) + 0.5 * change, 0.5 * (0.5 * 1000 + 0.5 * 2000) + 0.5 * 3000
    steps = [(100, 100, 100, 100, 1000.0), (100, 101, 100, 101, 2000.0), (101, 101, 100, 100, 3000.0), FLAT]
    session = play({2: lambda b: b.buy(50)}, *steps, market=Market(slippage=SquareRootImpact(0.7, 3)))
    expected = 100 * (1 + 0.7 * math.sqrt(variance) * math.sqrt(50 / volume))
    assert session.fills["price"][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("send", "bar", "price"),
    [
        (lambda b: b.limit(BUY, 1, 100.5), FLAT, 100.5),  # takes, but never beyond its limit
        (lambda b: b.limit(BUY, 1, 105), FLAT, 101.0),
        (lambda b: b.limit(BUY, 1, 99), (100, 100, 98, 99), 99.0),  # makes
        (lambda b: b.stop(BUY, 1, 102), (100, 103, 100, 101), 103.02),
        (lambda b: b.stop_limit(BUY, 1, 102, 102.5), (100, 103, 100, 101), 102.5),
        (lambda b: b.take_profit(SELL, 1, 102), (100, 103, 100, 101), 100.98),
    ],
)
def test_who_slips(send: Any, bar: Any, price: float) -> None:
    market = Market(slippage=FixedSlippage(100), allow_short=True)
    assert fills(play({0: send}, FLAT, bar, market=market))[0][3] == pytest.approx(price)


# ---- participation ----

THIN = (100.0, 100.0, 98.0, 99.0, 100.0)


@pytest.mark.parametrize(
    ("send", "expected", "end"),
    [
        (lambda b: b.buy(60), [(1, 25.0), (2, 25.0), (3, 10.0)], "FILLED"),
        (lambda b: b.buy(25), [(1, 25.0)], "FILLED"),
        (lambda b: b.buy(100), [(1, 25.0), (2, 25.0), (3, 25.0)], "PARTIALLY_FILLED"),
        (lambda b: b.limit(BUY, 60, 99), [(1, 25.0), (2, 25.0), (3, 10.0)], "FILLED"),
        (lambda b: b.limit(BUY, 60, 100, TimeInForce.IOC), [(1, 25.0)], "EXPIRED not-filled-at-once"),
        (lambda b: b.limit(BUY, 60, 100, TimeInForce.FOK), [], "EXPIRED not-filled-at-once"),
        (lambda b: b.limit(BUY, 25, 100, TimeInForce.FOK), [(1, 25.0)], "FILLED"),
        (lambda b: b.stop(SELL, 60, 98.5), [(1, 25.0), (2, 25.0), (3, 10.0)], "FILLED"),
    ],
)
def test_participation(send: Any, expected: Any, end: str) -> None:
    session = play({0: send}, FLAT, THIN, THIN, THIN, market=Market(participation=0.25, allow_short=True))
    assert [(bar, quantity) for bar, _, quantity, _ in fills(session)] == expected
    assert ends(session) == {1: end}


def test_the_cap_is_for_all_orders_of_a_bar_and_whole_lots() -> None:
    rules = Instrument("test:R", lot_size=2.0)
    plan = {0: lambda b: (b.buy(16), b.buy(20))}
    session = play(plan, FLAT, THIN, market=Market(participation=0.25), instrument=rules)
    assert [quantity for _, _, quantity, _ in fills(session)] == [16.0, 8.0]


def test_a_triggered_stop_goes_on_as_a_market_order() -> None:
    market = Market(participation=0.25, allow_short=True)
    session = play({0: lambda b: b.stop(SELL, 50, 98.5)}, FLAT, THIN, (105, 106, 104, 105, 100.0), market=market)
    assert fills(session) == [(1, -1, 25.0, 98.5), (2, -1, 25.0, 105.0)]


def test_no_volume_no_fill() -> None:
    session = play({0: lambda b: b.buy(1)}, FLAT, (*FLAT, 0.0), (*FLAT, 10.0), market=Market(participation=0.5))
    assert fills(session) == [(2, 1, 1.0, 100.0)]


# ---- borrow and actions ----


def days(plan: Any, prices: list[float], market: Market, actions: dict[int, tuple[int, float]], cash: float = 1e6,
         instrument: Instrument = BTC) -> Session:  # fmt: skip
    """A daily bar at each price; actions at the start of a day: day -> (kind, value)."""
    day = 86_400 * 10**9
    first = play(plan, FLAT)
    session = Session(first.strategy, [instrument], cash, market=market, compiled=False)
    for k, price in enumerate(prices):
        if k in actions:
            row = np.zeros(1, ACTION)
            row[0] = (0, (1000 + k) * day, *actions[k])
            session._machine.act(session._arena_at, session._at(row.view(np.uint8)))
        bar = bars_of([(price, price, price, price)])
        bar["open_time"], bar["close_time"] = (1000 + k) * day, (1001 + k) * day
        session.run(bar)
    return session


def flows(session: Session) -> list[tuple[str, float]]:
    return [(CashFlowKind(f["kind"]).name, round(float(f["amount"]), 9)) for f in session.flows]


def test_a_short_pays_for_each_night() -> None:
    market = Market(borrow_rate=0.365, allow_short=True)
    session = days({0: lambda b: b.sell(10), 3: lambda b: b.buy(10)}, [100, 100, 110, 110, 110, 110], market, {})
    # held from the open of day 1; charged as days 2 (mark 100), 3, 4 (mark 110) begin, and day 5 finds it bought back
    assert flows(session) == [("BORROW", -1.0), ("BORROW", -1.1), ("BORROW", -1.1)]
    assert session.cash == pytest.approx(1e6 + 1000 - 1100 - 3.2)


def test_longs_borrow_nothing() -> None:
    assert flows(days({0: lambda b: b.buy(10)}, [100] * 4, Market(borrow_rate=0.5), {})) == []


@pytest.mark.parametrize(("side", "amount"), [(1, 15.0), (-1, -15.0)])
def test_a_dividend(side: int, amount: float) -> None:
    plan = {0: lambda b: b.target_quantity(10.0 * side)}
    session = days(plan, [100, 100, 98.5, 98.5], Market(allow_short=True), {2: (ActionKind.DIVIDEND, 1.5)})
    assert flows(session) == [("DIVIDEND", amount)]
    assert session.equity[-1] == 1e6


@pytest.mark.parametrize(("side", "rate", "amount"), [(1, 0.001, -1.0), (-1, 0.001, 1.0), (1, -0.001, 1.0)])
def test_funding(side: int, rate: float, amount: float) -> None:
    plan = {0: lambda b: b.target_quantity(10.0 * side)}
    session = days(plan, [100, 100, 100], Market(allow_short=True), {2: (ActionKind.FUNDING, rate)})
    assert flows(session) == [("FUNDING", amount)]


def test_a_split_changes_position_and_orders() -> None:
    plan = {0: lambda b: b.buy(10), 1: lambda b: (b.limit(SELL, 10, 120), b.stop(SELL, 10, 80))}
    session = days(plan, [100, 100, 50, 61], Market(allow_short=True), {2: (ActionKind.SPLIT, 2.0)})
    assert session.equity.tolist() == [1e6, 1e6, 1e6, 1e6 + 20 * 11]
    assert [(f[1], f[2], f[3]) for f in fills(session)] == [(1, 10.0, 100.0), (-1, 20.0, 61.0)]


def test_a_reverse_split_pays_out_what_lots_cannot_hold() -> None:
    rules = Instrument("test:R", lot_size=1.0)
    session = days({0: lambda b: b.buy(10)}, [100, 100, 400], Market(), {2: (ActionKind.SPLIT, 0.25)}, instrument=rules)
    assert session.positions["test:R"] == 2.0
    assert flows(session) == [("DIVIDEND", 200.0)]
    assert session.equity[-1] == 1e6


def test_an_order_too_small_for_the_split_is_cancelled() -> None:
    rules = Instrument("test:R", lot_size=1.0)
    plan = {0: lambda b: b.limit(BUY, 3, 50)}
    session = days(plan, [100, 100, 400], Market(), {2: (ActionKind.SPLIT, 0.25)}, instrument=rules)
    assert ends(session) == {1: "CANCELED split"}


@pytest.mark.parametrize(("value", "cash"), [(90.0, 1e6 - 100), (math.nan, 1e6), (0.0, 1e6 - 1000)])
def test_a_delisting_pays_out_and_ends_all_orders(value: float, cash: float) -> None:
    plan = {0: lambda b: b.buy(10), 1: lambda b: b.limit(SELL, 10, 120), 2: lambda b: b.buy(1)}
    session = days(plan, [100, 100, 100, 100], Market(), {2: (ActionKind.DELISTING, value)})
    assert session.cash == cash
    assert session.positions[BTC.id] == 0.0
    assert ends(session) == {1: "FILLED", 2: "CANCELED delisted", 3: "REJECTED delisted"}


def test_actions_before_any_bar_do_no_harm() -> None:
    for kind in ActionKind:
        session = days({}, [100, 100], Market(), {0: (kind, 2.0)})
        assert session.equity.tolist() == [1e6, 1e6]


# ---- the market as words and numbers ----

MARKETS = [
    Market(),
    Market(fees=Fees(10, 2, 1.0, 0.01, 2.0, ((1e6, 8, 1),)), slippage=FixedSlippage(2), latency=Latency(5_000_000)),
    Market(slippage=SpreadSlippage(3), participation=0.1, path="ohlc", borrow_rate=0.03, allow_short=True),
    Market(slippage=VolumeShareSlippage(), latency=Latency(lags_ns=(1, 2, 3), seed=4), path="olhc"),
    Market(slippage=SquareRootImpact(0.8, 50), margin=Margin("cross", 3.0, 0.1, 5.0)),
    Market(margin=Margin("isolated", 20.0, 0.01)),
]


@pytest.mark.parametrize("market", MARKETS, ids=range(len(MARKETS)))
def test_there_and_back_as_json(market: Market) -> None:
    assert Market.from_dict(json.loads(json.dumps(market.to_dict()))) == market


@pytest.mark.parametrize("market", MARKETS, ids=range(len(MARKETS)))
def test_every_assumption_has_its_sentence(market: Market) -> None:
    said = market.sentences()
    assert len(said) == 7
    assert all(sentence.endswith(".") and len(sentence) < 260 for sentence in said)


WRONG: dict[str, Any] = {
    "participation above 1": lambda: Market(participation=1.5),
    "participation 0": lambda: Market(participation=0),
    "no such path": lambda: Market(path="hloc"),
    "negative borrow": lambda: Market(borrow_rate=-0.1),
    "NaN borrow": lambda: Market(borrow_rate=math.nan),
    "slippage as a number": lambda: Market(slippage=5),  # type: ignore[arg-type]
    "negative slippage": lambda: FixedSlippage(-1),
    "NaN slippage": lambda: SpreadSlippage(math.nan),
    "limit above 1": lambda: VolumeShareSlippage(0.1, 2),
    "span of 1": lambda: SquareRootImpact(1.0, 1),
    "negative lag": lambda: Latency(-1),
    "lag of a year": lambda: Latency(365 * 86_400 * 10**9),
    "constant and sampled": lambda: Latency(5, (1, 2)),
    "too many lags": lambda: Latency(lags_ns=tuple(range(70_000))),
    "negative seed": lambda: Latency(lags_ns=(1,), seed=-1),
    "no such margin": lambda: Margin("portfolio"),
    "leverage below 1": lambda: Margin("cross", 0.5),
    "leverage without margin": lambda: Margin("none", 2.0),
    "maintenance above initial": lambda: Margin("cross", 10.0, 0.2),
    "negative flat fee": lambda: Fees(per_order=-1),
    "infinite minimum": lambda: Fees(minimum=math.inf),
    "tiers that fall": lambda: Fees(tiers=((2.0, 1, 1), (1.0, 1, 1))),
    "tier of two": lambda: Fees(tiers=((2.0, 1),)),  # type: ignore[arg-type]
    "too many tiers": lambda: Fees(tiers=tuple((k + 1.0, 1.0, 1.0) for k in range(17))),
    "unknown key": lambda: Market.from_dict({"spread": 1}),
    "unknown model": lambda: Market.from_dict({"slippage": {"model": "magic"}}),
    "fees twice": lambda: Session(play({}, FLAT).strategy, [BTC], 1.0, Fees(1), market=Market(), compiled=False),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        WRONG[name]()
    assert "\n" not in str(caught.value)


def test_picks_are_spread_evenly() -> None:
    drawn = [pick(5, 3 * k, 10) for k in range(10_000)]
    assert min(np.bincount(drawn, minlength=10)) > 850
    assert np.bincount([pick(seed, 3, 10) for seed in range(10_000)], minlength=10).min() > 850
