"""Open orders of equities through splits, delistings and sessions, worked by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from quantlytic import Bars, Instrument, Session, Side, Strategy, TimeInForce, param
from quantlytic.engine.data.tape import Tape, Ticks
from quantlytic.model.action import ACTION, ActionKind
from quantlytic.model.order import OrderStatus, Reason
from quantlytic.research.data.calendars import session_actions, sessions
from quantlytic.research.data.equities import load_equity

SPLIT, DIVIDEND, DELISTING = ActionKind.SPLIT, ActionKind.DIVIDEND, ActionKind.DELISTING
STOCK = Instrument("test:STOCK", "STOCK", "USD")
DAY_NS = 86_400_000_000_000
HOUR_NS = DAY_NS // 24
BUY, SELL = int(Side.BUY), int(Side.SELL)
GTC, DAY, AT_OPEN, AT_CLOSE = (
    int(x) for x in (TimeInForce.GTC, TimeInForce.DAY, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
)
LIMIT, STOP, MARKET = 1, 2, 3


class Once(Strategy):
    """Buys `first` at market at the first bar, then sends one order at bar `when`."""

    first: float = param(0.0, low=-1e6, high=1e6)
    kind: int = param(LIMIT, low=1, high=3)
    side: int = param(BUY, low=-1, high=1)
    quantity: float = param(10.0, low=0.0, high=1e6)
    price: float = param(8.0, low=0.0, high=1e6)
    force: int = param(GTC, low=1, high=7)
    when: int = param(0, low=0, high=1_000_000)

    def setup(self) -> None:
        self.bar = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.bar == 0 and self.first != 0.0:
            broker.target_quantity(self.first)
        if self.bar == self.when:
            if self.kind == LIMIT:
                broker.limit(self.side, self.quantity, self.price, self.force)
            elif self.kind == STOP:
                broker.stop(self.side, self.quantity, self.price, self.force)
            else:
                broker.buy(self.quantity, self.force)
        self.bar += 1


def bars_of(*rows: tuple[float, float, float, float]) -> Bars:
    """Bars from 9 to 16 o'clock of each day: an action at 0:00 of day k lies between bars k - 1 and k."""
    times = np.arange(len(rows)) * DAY_NS
    names = zip(("open", "high", "low", "close"), np.array(rows).T, strict=True)
    return Bars.of(
        STOCK,
        open_time=times + 9 * HOUR_NS,
        close_time=times + 16 * HOUR_NS,
        volume=np.full(len(rows), 1e6),
        **dict(names),
    )


def actions_of(*rows: tuple[int, ActionKind, float]) -> NDArray[Any]:
    return np.array([(0, day * DAY_NS, kind, value) for day, kind, value in rows], ACTION)


def run(strategy: Strategy, bars: Bars, *actions: NDArray[Any]) -> Session:
    session = Session(strategy, bars.instruments, 1_000.0, compiled=False)
    session.run(Tape(bars=bars, actions=[Ticks(one, bars.instruments) for one in actions]))
    return session


def filled(session: Session) -> list[tuple[float, float]]:
    return [(float(row["quantity"]), float(row["price"])) for row in session.fills]


def ended(session: Session) -> list[tuple[str, str]]:
    return [
        (OrderStatus(row["status"]).name, Reason(row["reason"]).name)
        for row in session.updates
        if row["status"] in (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)
    ]


def test_a_limit_order_through_a_split() -> None:
    """10 at 8 becomes 20 at 4: it fills when the low of 3.9 comes, and not at the split's price of 5."""
    bars = bars_of((10, 10, 10, 10), (10, 10, 9, 10), (5, 5, 4.5, 5), (5, 5, 3.9, 4.2))
    session = run(Once(kind=LIMIT, price=8.0), bars, actions_of((2, SPLIT, 2.0)))
    assert filled(session) == [(20.0, 4.0)]
    assert session.fills["event_time"].tolist() == [bars.array["close_time"][3]]
    assert session.equity[-1] == pytest.approx(1_000 - 80 + 20 * 4.2)


def test_a_limit_order_through_a_reverse_split() -> None:
    bars = bars_of((1, 1, 1, 1), (1, 1, 1, 1), (10, 10, 9, 10), (10, 10, 7, 8))
    session = run(Once(kind=LIMIT, price=0.8, quantity=100.0), bars, actions_of((2, SPLIT, 0.1)))
    [(quantity, price)] = filled(session)
    assert (quantity, price) == pytest.approx((10.0, 8.0))


def test_a_protective_stop_through_a_split_guards_all_that_is_held() -> None:
    """10 bought at 10, stop at 9: after two for one it is 20 at 4.5, and is not set off by the price of 5."""
    bars = bars_of((10, 10, 10, 10), (10, 10, 10, 10), (5, 5.1, 4.9, 5), (5, 5, 4.4, 4.4))
    session = run(Once(first=10.0, kind=STOP, side=SELL, price=9.0), bars, actions_of((2, SPLIT, 2.0)))
    assert filled(session) == [(10.0, 10.0), (20.0, 4.5)]
    assert session.positions == {"test:STOCK": 0.0}
    assert session.equity[-1] == pytest.approx(1_000 - 100 + 90)


def test_a_dividend_leaves_orders_alone() -> None:
    bars = bars_of((10, 10, 10, 10), (10, 10, 9, 10), (9, 9, 8.5, 9), (9, 9, 7.9, 8))
    session = run(Once(kind=LIMIT, price=8.0), bars, actions_of((2, DIVIDEND, 1.0)))
    assert filled(session) == [(10.0, 8.0)]


@pytest.mark.parametrize(("value", "paid"), [(np.nan, 7.0), (0.0, 0.0), (9.5, 9.5)])
def test_a_delisting_closes_what_is_held_and_ends_orders(value: float, paid: float) -> None:
    """NaN: at the last price; else at what is paid. The open order is cancelled."""
    bars = bars_of((10, 10, 10, 10), (10, 10, 10, 10), (8, 8, 7, 7))
    session = run(Once(first=10.0, kind=LIMIT, price=5.0), bars, actions_of((3, DELISTING, value)))
    assert session.positions == {"test:STOCK": 0.0}
    assert session.cash == pytest.approx(1_000 - 100 + 10 * paid)
    assert [status for status, _ in ended(session)] == ["CANCELED"]


def hourly(market_data: Path, first: str, last: str) -> tuple[Bars, NDArray[Any]]:
    """AAPL's real hours of some sessions, and these."""
    bars = load_equity(market_data, "AAPL", "1h").bars
    found = bars.between(*(int(np.datetime64(day, "ns").astype("i8")) for day in (first, last)))
    days = found.array["open_time"][[0, -1]].astype("datetime64[ns]").astype("datetime64[D]")
    return found, session_actions(sessions("XNYS", str(days[0]), str(days[1])))


def test_a_day_order_ends_with_the_session_also_the_short_one(market_data: Path) -> None:
    """Sent on the Wednesday before Thanksgiving it ends at 21:00 UTC; on the Friday after, at 18:00."""
    bars, known = hourly(market_data, "2020-11-25", "2020-12-01")
    opens = bars.array["open_time"]
    for day, close in (("2020-11-25T16", "2020-11-25T21"), ("2020-11-27T15", "2020-11-27T18")):
        when = int(np.searchsorted(opens, np.datetime64(day, "ns").astype("i8")))
        session = run(Once(kind=LIMIT, price=1.0, force=DAY, when=when), bars, known)
        assert ended(session) == [("EXPIRED", "EXPIRED_DAY")]
        time = int(session.updates["event_time"][session.updates["status"] == OrderStatus.EXPIRED][0])
        assert time == int(np.datetime64(close, "ns").astype("i8"))


def test_orders_at_the_open_and_the_close_of_real_sessions(market_data: Path) -> None:
    """Sent on Wednesday after hours' start: filled at Friday's first open, and at the close of the session they were sent in."""
    bars, known = hourly(market_data, "2020-11-25", "2020-12-01")
    opens, array = bars.array["open_time"], bars.array
    when = int(np.searchsorted(opens, np.datetime64("2020-11-25T16", "ns").astype("i8")))
    friday = int(np.searchsorted(opens, np.datetime64("2020-11-27", "ns").astype("i8")))
    at_open = run(Once(kind=MARKET, quantity=1.0, force=AT_OPEN, when=when), bars, known)
    assert filled(at_open) == [(1.0, array["open"][friday])]
    at_close = run(Once(kind=MARKET, quantity=1.0, force=AT_CLOSE, when=when), bars, known)
    assert filled(at_close) == [(1.0, array["close"][friday - 1])]


def test_daily_bars_with_sessions_fill_at_open_and_close(market_data: Path) -> None:
    equity = load_equity(market_data, "AAPL", calendar="XNYS")
    array = equity.bars.array
    when = int(np.searchsorted(array["open_time"], np.datetime64("2020-11-25", "ns").astype("i8")))
    for force, field in ((AT_OPEN, "open"), (AT_CLOSE, "close")):
        session = Session(
            Once(kind=MARKET, quantity=1.0, force=force, when=when), equity.bars.instruments, 1e6, compiled=False
        )
        session.run(equity.tape("XNYS"))
        assert filled(session) == [(1.0, array[field][when + 1])]  # Friday, a short session
