"""The risk gate: each limit by itself, and against a recomputation from scratch over random streams."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trading.naive_risk import NaiveRisk, Sent, exact

from quantlytic.model.errors import DataError, InputError
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import Order, OrderStatus, OrderType, OrderUpdate, TimeInForce
from quantlytic.model.side import Side
from quantlytic.trading.limits import InstrumentLimits, Limits
from quantlytic.trading.risk import RiskGate

S = 10**9
BTC, ETH, SOL = "box:BTCUSDT", "box:ETHUSDT", "sea:SOLUSDT"
INSTRUMENTS = [Instrument(id, id.partition(":")[2].removesuffix("USDT"), "USDT") for id in (BTC, ETH, SOL)]
LOOSE = InstrumentLimits(
    max_position_quantity=None, max_position_notional=None, max_order_notional=None, price_collar_bps=None,
    far_price_bps=None, max_price_age_s=None, max_open_orders=None, allow_short=True,
)  # fmt: skip
NO_LIMITS: dict[str, Any] = {
    "max_gross_notional": None, "max_venue_notional": None, "max_orders_per_s": None, "max_orders_per_minute": None,
    "max_open_orders": None, "max_daily_loss": None, "max_daily_loss_share": None, "max_drawdown_share": None,
    "self_trade_guard": False,
}  # fmt: skip


def gate(every: dict[str, Any] | None = None, price: float | None = 100.0, **limits: Any) -> RiskGate:
    """A gate with these limits alone."""
    one = msgspec.structs.replace(LOOSE, **(every or {}))
    made = RiskGate("main", Limits(**(NO_LIMITS | {"every": one} | limits)), INSTRUMENTS)
    if price is not None:
        for instrument in INSTRUMENTS:
            made.price(instrument.id, price, 0)
    return made


def order(
    number: int = 1, side: Side = Side.BUY, quantity: float = 1.0, price: float = math.nan, *, run: str = "r",
    instrument: str = BTC, tif: TimeInForce = TimeInForce.GTC,
) -> Order:  # fmt: skip
    """A limit order at `price`, or a market order."""
    kind = OrderType.MARKET if math.isnan(price) else OrderType.LIMIT
    return Order(run, number, instrument, 0, side, kind, tif, quantity, price)


def fill(number: int, side: Side, quantity: float, *, run: str = "r", instrument: str = BTC) -> Fill:
    return Fill(run, number, number, instrument, 0, side, quantity, 100.0, 0.0)


def ends(number: int, status: OrderStatus, *, run: str = "r", instrument: str = BTC) -> OrderUpdate:
    return OrderUpdate(run, number, instrument, 0, status)


def limit_of(made: RiskGate, asked: Order, now: int = 0) -> str | None:
    breach = made.check(asked, now)
    return None if breach is None else breach.limit


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e16, 1e308, 1e-10])
def test_a_quantity_that_is_none_is_refused(bad: float) -> None:
    breach = gate().check(order(quantity=bad), 0)
    assert breach is not None
    assert breach.limit == "quantity"
    assert "\n" not in breach.text
    assert "order 1 of r" in breach.text


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, -math.inf, 1e300])
def test_a_price_that_is_none_is_refused(bad: float) -> None:
    assert limit_of(gate(), order(price=bad)) == "price"
    assert limit_of(gate(), msgspec.structs.replace(order(price=1.0), price=math.nan)) == "price"
    stop = msgspec.structs.replace(order(), type=OrderType.STOP, stop_price=bad)
    assert limit_of(gate(), stop) == "stop_price"


def test_an_instrument_or_a_side_that_is_not_known_is_refused() -> None:
    assert limit_of(gate(), order(instrument="box:XRPUSDT")) == "instruments"
    assert limit_of(gate(), msgspec.structs.replace(order(), side=0)) == "side"


def test_without_a_fresh_price_nothing_is_sent() -> None:
    made = gate({"max_price_age_s": 10.0}, price=None)
    assert limit_of(made, order()) == "max_price_age_s"
    for worthless in (math.nan, 0.0, -5.0, math.inf):
        made.price(BTC, worthless, 5 * S)
    assert limit_of(made, order(), 5 * S) == "max_price_age_s"
    made.price(BTC, 100.0, 5 * S)
    made.price(BTC, 90.0, 4 * S)  # older than what is known
    assert limit_of(made, order(), 15 * S) is None
    assert limit_of(made, order(), 15 * S + 1) == "max_price_age_s"
    breach = made.check(order(), -6 * S)
    assert breach is not None
    assert "ahead of our clock" in breach.text


def test_one_wrong_time_does_not_block_for_ever() -> None:
    made = gate({"max_price_age_s": 10.0}, price=None)
    made.price(BTC, 100.0, 10**6 * S)  # a venue that took milliseconds for seconds
    assert limit_of(made, order(), 5 * S) == "max_price_age_s"
    made.price(BTC, 101.0, 5 * S)
    assert limit_of(made, order(), 5 * S) is None


def test_the_collar_holds_a_price_near_the_last_one() -> None:
    made = gate({"price_collar_bps": 100.0, "far_price_bps": 1000.0})
    assert limit_of(made, order(price=101.0)) is None
    assert limit_of(made, order(price=101.01)) == "price_collar_bps"
    assert limit_of(made, order(price=90.0)) is None
    assert limit_of(made, order(price=89.9)) == "far_price_bps"
    assert limit_of(made, order(side=Side.SELL, price=98.9)) == "price_collar_bps"
    assert limit_of(made, order(side=Side.SELL, price=110.1)) == "far_price_bps"
    expected = msgspec.structs.replace(order(), price=102.0)  # a market order with the price that is expected of it
    assert limit_of(made, expected) == "price_collar_bps"


def test_orders_are_counted_by_the_second_and_the_minute() -> None:
    made = gate(max_orders_per_s=2, max_orders_per_minute=3)
    for number, at in ((1, 0), (2, S // 2)):
        assert limit_of(made, order(number), at) is None
        made.sent(order(number), at)
    assert limit_of(made, order(3), S - 1) == "max_orders_per_s"
    assert limit_of(made, order(3), S) is None
    made.sent(order(3), S)
    assert limit_of(made, order(4), 10 * S) == "max_orders_per_minute"
    assert limit_of(made, order(4), 60 * S) is None
    assert limit_of(gate(max_orders_per_s=0), order()) == "max_orders_per_s"


def test_open_orders_are_counted_until_they_have_ended() -> None:
    made = gate({"max_open_orders": 2}, max_open_orders=3)
    made.sent(order(1, price=99.0), 0)
    made.sent(order(2, price=99.0), 0)
    assert limit_of(made, order(3)) == "max_open_orders"
    assert limit_of(made, order(2, price=98.0)) is None  # an amend takes the place of what it amends
    made.sent(order(3, instrument=ETH), 0)
    assert limit_of(made, order(4, instrument=ETH)) == "max_open_orders"
    made.update(ends(2, OrderStatus.UNRESOLVED))
    assert limit_of(made, order(4, instrument=ETH)) == "max_open_orders"
    made.update(ends(2, OrderStatus.CANCELED))
    assert limit_of(made, order(4, instrument=ETH)) is None


def test_the_worst_case_counts_and_not_what_is_held_now() -> None:
    made = gate({"max_position_quantity": 3.0})
    made.fill(fill(9, Side.BUY, 1.0))
    made.sent(order(1, Side.BUY, 1.5, 99.0), 0)
    assert limit_of(made, order(2, quantity=0.5)) is None
    assert limit_of(made, order(2, quantity=0.6)) == "max_position_quantity"
    assert limit_of(made, order(1, quantity=2.0)) is None  # amended: 1 held, 2 asked for
    assert limit_of(made, order(2, Side.SELL, 4.0)) is None
    assert limit_of(made, order(2, Side.SELL, 4.1)) == "max_position_quantity"
    made.fill(fill(1, Side.BUY, 1.0))
    made.update(ends(1, OrderStatus.CANCELED))
    assert limit_of(made, order(2, quantity=1.0)) is None
    assert limit_of(made, order(2, quantity=1.1)) == "max_position_quantity"


def test_a_filled_order_counts_until_its_fills_have_come() -> None:
    made = gate({"max_position_quantity": 1.0})
    made.sent(order(1), 0)
    made.update(ends(1, OrderStatus.FILLED))
    assert limit_of(made, order(2, quantity=0.1)) == "max_position_quantity"
    made.fill(fill(1, Side.BUY, 0.999))  # the fee was taken in the base currency
    assert limit_of(made, order(2, quantity=0.001)) is None
    assert limit_of(made, order(2, quantity=0.002)) == "max_position_quantity"


def test_no_more_is_sold_than_is_held_unless_that_is_allowed() -> None:
    made = gate({"allow_short": False})
    made.fill(fill(9, Side.BUY, 0.1))
    made.fill(fill(9, Side.BUY, 0.2))
    assert limit_of(made, order(1, Side.SELL, 0.3)) is None
    assert limit_of(made, order(1, Side.SELL, 0.300000001)) == "allow_short"
    made.sent(order(1, Side.SELL, 0.2, 101.0), 0)
    assert limit_of(made, order(2, Side.SELL, 0.2)) == "allow_short"
    assert limit_of(made, order(2, Side.SELL, 0.1)) is None


def test_notional_limits_are_in_money_at_the_last_price() -> None:
    made = gate({"max_order_notional": 1000.0, "price_collar_bps": 100.0})
    assert limit_of(made, order(quantity=9.91)) == "max_order_notional"  # a market order may cost 1 % more
    assert limit_of(made, order(quantity=9.9)) is None
    assert limit_of(made, order(quantity=10.0, price=99.5)) is None
    assert limit_of(made, order(quantity=10.0, price=100.5)) == "max_order_notional"
    made = gate({"max_position_notional": 1000.0})
    made.fill(fill(9, Side.BUY, 9.0))
    assert limit_of(made, order(quantity=1.0)) is None
    made.price(BTC, 101.0, 1)
    assert limit_of(made, order(quantity=1.0)) == "max_position_notional"


def test_exposure_adds_up_runs_and_instruments_and_nets_nothing() -> None:
    made = gate(max_gross_notional=1000.0, max_venue_notional=700.0)
    made.fill(fill(1, Side.BUY, 3.0, run="a"))
    made.fill(fill(1, Side.SELL, 3.0, run="b"))  # the account is flat, its runs are not
    assert limit_of(made, order(quantity=1.0, run="c")) is None
    assert limit_of(made, order(quantity=1.1, run="c", instrument=ETH)) == "max_venue_notional"
    assert limit_of(made, order(quantity=4.0, run="c", instrument=SOL)) is None
    assert limit_of(made, order(quantity=4.1, run="c", instrument=SOL)) == "max_gross_notional"
    assert limit_of(made, order(2, Side.SELL, 2.0, run="a")) is None  # less exposure is always welcome
    made.price(SOL, 50.0, 1)
    assert limit_of(made, order(quantity=8.0, run="c", instrument=SOL)) is None


def test_no_order_may_meet_one_of_our_own() -> None:
    made = gate(self_trade_guard=True)
    made.sent(order(1, Side.BUY, 1.0, 99.0, run="a"), 0)
    assert limit_of(made, order(2, Side.SELL, 1.0, 99.0, run="b")) == "self_trade_guard"
    assert limit_of(made, order(2, Side.SELL, 1.0, run="b")) == "self_trade_guard"
    assert limit_of(made, order(2, Side.SELL, 1.0, 99.5, run="b")) is None
    assert limit_of(made, order(2, Side.BUY, 1.0, 100.0, run="b")) is None
    made.sent(order(3, Side.BUY, 1.0, 98.0, run="a"), 0)
    made.update(ends(1, OrderStatus.CANCELED, run="a"))
    assert limit_of(made, order(2, Side.SELL, 1.0, 98.5, run="b")) is None
    assert limit_of(made, order(2, Side.SELL, 1.0, 98.0, run="b")) == "self_trade_guard"


def test_orders_that_do_not_wait_in_the_book_cannot_meet_each_other() -> None:
    made = gate(self_trade_guard=True)
    made.sent(order(1, Side.SELL, 1.0), 0)
    assert limit_of(made, order(2, Side.BUY)) is None
    assert limit_of(made, order(2, Side.BUY, 1.0, 100.0, tif=TimeInForce.IOC)) is None
    assert limit_of(made, order(2, Side.BUY, 1.0, 99.0)) == "self_trade_guard"


def test_after_a_loss_only_the_way_out_is_open() -> None:
    made = gate({"max_order_notional": 50.0}, max_daily_loss=100.0)
    made.fill(fill(9, Side.BUY, 2.0))
    assert made.worth("r", 1000.0, 0) is None
    assert made.worth("r", 900.0, S) is None
    breach = made.worth("r", 899.0, 2 * S)
    assert breach is not None
    assert (breach.limit, breach.allowed, breach.asked, breach.order_id) == ("max_daily_loss", 100.0, 101.0, 0)
    assert limit_of(made, order(1, quantity=0.1)) == "max_daily_loss"
    assert limit_of(made, order(1, Side.SELL, 2.0)) is None  # also above the limit for one order
    assert limit_of(made, order(1, Side.SELL, 2.1)) == "max_daily_loss"
    assert limit_of(made, order(1, Side.SELL, 1.0, run="other")) == "max_daily_loss"
    made.sent(order(1, Side.SELL, 1.5, 101.0), 0)
    assert limit_of(made, order(2, Side.SELL, 0.5)) is None
    assert limit_of(made, order(2, Side.SELL, 0.6)) == "max_daily_loss"
    made.forgive()
    assert limit_of(made, order(3, quantity=0.1)) is None
    assert made.worth("r", 800.0, 3 * S) is None
    assert made.worth("r", 798.0, 3 * S) is not None


def test_a_day_begins_at_midnight_of_its_zone() -> None:
    midnight = 1_700_006_400 * S  # 2023-11-15T00:00:00Z
    made = gate(max_daily_loss_share=0.1)
    made.worth("r", 1000.0, midnight - S)
    assert made.worth("r", 899.0, midnight - 1) is not None
    assert made.worth("r", 890.0, midnight) is None  # the new day is measured from 899
    assert made.worth("r", 800.0, midnight + S) is not None
    made = gate(max_daily_loss_share=0.1, day_zone="America/New_York")
    made.worth("r", 1000.0, midnight - S)
    assert made.worth("r", 890.0, midnight) is not None
    with pytest.raises(InputError, match="day_zone"):
        Limits(day_zone="Mars/Olympus")


def test_drawdown_counts_from_the_peak_over_all_runs() -> None:
    made = gate(max_drawdown_share=0.1)
    made.worth("a", 500.0, 0)
    made.worth("b", 500.0, 0)  # a run more is no profit
    made.worth("a", 600.0, S)
    assert made.worth("b", 391.0, 2 * S) is None
    breach = made.worth("b", 389.0, 3 * 86400 * S)
    assert breach is not None
    assert breach.limit == "max_drawdown_share"
    assert breach.asked == pytest.approx(111 / 1100)


def test_a_worth_that_is_no_number_is_a_breach() -> None:
    made = gate()
    assert made.worth("r", math.nan, 0) is not None
    assert limit_of(made, order()) == "equity"
    assert made.worth("r", 1.0, 0) is None
    assert limit_of(made, order()) is None


def test_defaults_are_finite_and_none_has_to_be_written() -> None:
    for limits in (Limits(), InstrumentLimits()):
        for name in limits.__struct_fields__:
            assert getattr(limits, name) is not None, name
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(InputError, match="max_daily_loss"):
            Limits(max_daily_loss=bad)
    with pytest.raises(msgspec.ValidationError, match="max_dayly_loss"):
        msgspec.convert({"max_dayly_loss": 1}, Limits)


def test_an_instruments_own_limits_are_what_is_different_from_every() -> None:
    limits = Limits(
        every=InstrumentLimits(max_open_orders=3), instruments={BTC: {"max_order_notional": 7.0, "far_price_bps": None}}
    )
    own = limits.of(BTC)
    assert (own.max_order_notional, own.far_price_bps, own.max_open_orders) == (7.0, None, 3)
    assert limits.of(ETH) == limits.every
    wrongs: list[dict[str, int | float | bool | None]] = [
        {"max_ordr": 1.0}, {"max_order_notional": -1.0}, {"max_open_orders": 1.5},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(InputError, match=next(iter(wrong))):
            Limits(instruments={BTC: wrong})


def test_a_refusal_says_which_setting_its_value_and_where_it_is_changed() -> None:
    own = {BTC: {"max_order_notional": 150.0}}
    made = gate({"max_order_notional": 5_000.0, "max_open_orders": 3}, instruments=own, max_open_orders=0)
    refused = made.check(order(), 0)
    assert refused is not None
    assert refused.text.endswith("; to change that: max_open_orders (now 0) under [account.limits] in quantlytic.toml")
    made = gate({"max_order_notional": 5_000.0}, instruments=own)
    refused = made.check(order(quantity=60.0, instrument=ETH), 0)
    assert refused is not None
    assert refused.text == (
        "order 1 of r (BUY 60 box:ETHUSDT) refused: it is worth up to 6,000.00; 5,000.00 is allowed for one order; "
        "to change that: max_order_notional (now 5000) under [account.limits.every] in quantlytic.toml"
    )
    refused = made.check(order(quantity=2.0), 0)
    assert refused is not None
    assert refused.text.endswith(
        'max_order_notional (now 150) under [account.limits.instruments."box:BTCUSDT"] in quantlytic.toml'
    )
    refused = gate(price=None).check(order(), 0)
    assert refused is not None
    assert refused.text.endswith("max_price_age_s (now none) under [account.limits.every] in quantlytic.toml")
    refused = made.check(order(quantity=-1.0), 0)
    assert refused is not None
    assert "to change that" not in refused.text


def test_instruments_of_several_currencies_are_refused() -> None:
    with pytest.raises(InputError, match="BTC, USDT"):
        RiskGate("main", Limits(), [*INSTRUMENTS, Instrument("box:ETHBTC", "ETH", "BTC")])


def test_a_damaged_state_is_an_error() -> None:
    with pytest.raises(DataError, match="risk gate"):
        gate().restore(b"\x93nonsense")


# ---- random streams

QUANTITIES = st.integers(1, 400).map(lambda n: n / 1000)
PRICES = st.integers(195, 205).map(lambda n: n / 2)
FAR_PRICES = st.integers(120, 280).map(lambda n: n / 2)
RUNS, WHICH = st.sampled_from(["a", "b"]), st.integers(0, 30)
NAMES = st.sampled_from([BTC, BTC, ETH, SOL])
SIDES = st.sampled_from([Side.BUY, Side.BUY, Side.SELL])
KINDS = st.sampled_from(list(TimeInForce)[:3])
STEPS = st.lists(
    st.one_of(
        *(st.tuples(st.just("order"), RUNS, NAMES, SIDES, QUANTITIES, PRICES, KINDS) for _ in range(4)),
        st.tuples(st.just("order"), RUNS, NAMES, SIDES, QUANTITIES, st.none() | FAR_PRICES, KINDS),
        st.tuples(st.just("price"), NAMES, PRICES, st.integers(-1, 1)),
        st.tuples(st.just("fill"), WHICH, st.integers(1, 4)),
        st.tuples(st.just("fill"), WHICH, st.just(4)),
        st.tuples(st.just("end"), WHICH, st.sampled_from([OrderStatus.CANCELED, OrderStatus.EXPIRED])),
        st.tuples(st.just("filled first"), WHICH),
        st.tuples(st.just("amend"), WHICH, QUANTITIES, PRICES),
        st.tuples(st.just("late"), WHICH),
        st.tuples(st.just("worth"), RUNS, st.integers(860, 1010)),
        st.tuples(st.just("wait"), st.integers(0, 1500)),
        st.tuples(st.just("wait"), st.integers(0, 1500) | st.integers(0, 20_000)),
        st.tuples(st.just("restart")),
    ),
    min_size=40,
    max_size=120,
)
# odd digits: no sum of prices and quantities on the grid can equal a limit, so rounding decides nothing
TIGHT = InstrumentLimits(
    max_position_quantity=0.7005, max_position_notional=60.0003, max_order_notional=35.0003,
    price_collar_bps=301.7, far_price_bps=1203.7, max_price_age_s=15.0, max_open_orders=3,
)  # fmt: skip
LIMITS = Limits(
    every=TIGHT, instruments={ETH: {"allow_short": True}}, max_gross_notional=110.0003,
    max_venue_notional=90.0003, max_orders_per_s=3, max_orders_per_minute=20, max_open_orders=5, max_daily_loss=150.5,
    max_daily_loss_share=0.10007, max_drawdown_share=0.12007,
)  # fmt: skip


class Stream:
    """Feeds one stream of steps to the gate and to the recomputation, and compares their answers at each order."""

    def __init__(self) -> None:
        self.gate = RiskGate("main", LIMITS, INSTRUMENTS)
        self.naive = NaiveRisk(LIMITS)
        self.now = 1_700_000_000 * S
        self.passed = 0
        for name in (BTC, ETH, SOL):
            self.price(name, 100.0, 0)

    def step(self, kind: str, *how: Any) -> None:
        getattr(self, kind.replace(" ", "_"))(*how)

    def price(self, name: str, price: float, seconds: int) -> None:
        self.gate.price(name, price, self.now + seconds * S)
        self.naive.price(name, price, self.now + seconds * S)

    def order(self, run: str, name: str, side: Side, quantity: float, price: float | None, tif: TimeInForce) -> None:
        asked = order(
            len(self.naive.sent) + 1,
            side,
            quantity,
            math.nan if price is None else price,
            run=run,
            instrument=name,
            tif=tif,
        )
        self._ask(asked)

    def amend(self, which: int, quantity: float, price: float) -> None:
        """The same order again, with other numbers: it takes the place of the first."""
        sent = self.open(which)
        if sent is not None:
            changed = msgspec.structs.replace(sent.order, type=OrderType.LIMIT, quantity=quantity, price=price)
            if self._ask(changed):
                sent.is_gone = True

    def _ask(self, asked: Order) -> bool:
        broken = self.naive.broken(asked, self.now)
        breach = self.gate.check(asked, self.now)
        assert (breach is None) == (not broken), (breach, broken)
        assert self.gate.is_reducing(asked) == self.naive.is_reducing(asked)
        if breach is None:
            self.gate.sent(asked, self.now)
            self.naive.sent.append(Sent(asked, self.now))
            self.passed += 1
        else:
            assert breach.limit in broken, (breach, broken)
        return breach is None

    def open(self, which: int) -> Sent | None:
        found = self.naive.open()
        return found[which % len(found)] if found else None

    def fill(self, which: int, quarters: int) -> None:
        sent = self.open(which)
        if sent is not None:
            part = sent.remaining if quarters == 4 else sent.remaining * quarters / 4
            units = part * 10**9
            if units.denominator == 1:
                self._fill(sent, float(part))
                sent.filled += part

    def _fill(self, sent: Sent, quantity: float) -> None:
        asked = sent.order
        self.gate.fill(fill(asked.order_id, asked.side, quantity, run=asked.run, instrument=asked.instrument))
        self.naive.held[asked.run, asked.instrument] += asked.side * exact(quantity)

    def end(self, which: int, status: OrderStatus) -> None:
        sent = self.open(which)
        if sent is not None:
            asked = sent.order
            self.gate.update(ends(asked.order_id, status, run=asked.run, instrument=asked.instrument))
            sent.is_gone = True

    def filled_first(self, which: int) -> None:
        """The venue says FILLED before its fills have come."""
        sent = self.open(which)
        if sent is not None:
            asked = sent.order
            self.gate.update(ends(asked.order_id, OrderStatus.FILLED, run=asked.run, instrument=asked.instrument))

    def late(self, which: int) -> None:
        """A fill of an order that has ended: a fact all the same."""
        alive = {(s.order.run, s.order.order_id) for s in self.naive.open()}
        gone = [s for s in self.naive.sent if s.is_gone and (s.order.run, s.order.order_id) not in alive]
        if gone:
            self._fill(gone[which % len(gone)], 0.001)

    def worth(self, run: str, equity: int) -> None:
        breach = self.gate.worth(run, float(equity), self.now)
        self.naive.worths.append((run, float(equity), self.now))
        broken = self.naive.broken_losses()
        assert (breach is None) == (not broken)
        assert breach is None or breach.limit in broken

    def wait(self, milliseconds: int) -> None:
        self.now += milliseconds * 10**6

    def restart(self) -> None:
        saved = self.gate.save()
        self.gate = RiskGate("main", LIMITS, INSTRUMENTS)
        self.gate.restore(saved)
        assert self.gate.save() == saved


def play(steps: list[tuple[Any, ...]]) -> None:
    stream = Stream()
    for step in steps:
        stream.step(*step)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_no_stream_passes_a_limit_and_none_is_refused_for_nothing(steps: list[tuple[Any, ...]]) -> None:
    play(steps)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=2000, deadline=None)
@given(STEPS)
def test_no_stream_of_many_passes_a_limit(steps: list[tuple[Any, ...]]) -> None:
    play(steps)
