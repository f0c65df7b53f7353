"""Agreement with backtrader, fill by fill, order type by order type, on workload A and on real bars.

The same strategy object runs in both (`peer_backtrader.py`), so they differ by the broker alone. Where the rules differ by
choice, both are brought to the same: trailing stops (ours follow the bar's extreme, theirs its close) and brackets (ours are
alive at once) run on bars of one price each; stop-limits have a limit that the stop price satisfies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from quantlytic import Bars, Fees, Instrument, Session, Strategy, param
from quantlytic.indicators import SMA
from quantlytic.strategies.sma_cross import SmaCross

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CASH, FEE_BPS = 1e6, 10.0
ROWS = 1_500  # all of them in the long test
REAL = ("BTCUSDT", "DOGEUSDT", "AAPL")


class Rule(Strategy):
    """Trades with the trend of two averages, a fifth of the equity at a time; what waits too long is sent anew."""

    def setup(self) -> None:
        self.fast, self.slow, self.waited = SMA(8), SMA(34), 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast, slow = self.fast.update(bar.close), self.slow.update(bar.close)
        if not self.slow.ready:
            return
        self.waited += 1
        if broker.open_orders > 0:
            if self.waited > 12:
                broker.cancel_all()
            return
        self.waited = 0
        if broker.is_flat:
            self.enter(bar.close, 1 if fast > slow else -1, 0.2 * broker.equity / bar.close, broker)
        else:
            self.leave(bar.close, 1 if broker.position > 0.0 else -1, abs(broker.position), broker)

    def enter(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.limit(way, quantity, close * (1.0 - 0.004 * way))

    def leave(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.limit(-way, quantity, close * (1.0 + 0.006 * way))


class Limits(Rule):
    """Limits in, limits out."""


class StopEntries(Rule):
    """A stop in with the trend, a limit out."""

    def enter(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.stop(way, quantity, close * (1.0 + 0.004 * way))


class StopLosses(Rule):
    """A limit in, a stop loss out."""

    def leave(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.stop(-way, quantity, close * (1.0 - 0.008 * way))


class StopLimits(Rule):
    """Stop-limits both ways, the limit well beyond the stop."""

    def enter(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.stop_limit(way, quantity, close * (1.0 + 0.004 * way), close * (1.0 + 0.5 * way))

    def leave(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.stop_limit(-way, quantity, close * (1.0 - 0.006 * way), close * (1.0 - 0.5 * way))


class Trails(Rule):
    """A stop in, a trailing stop out."""

    def enter(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.stop(way, quantity, close * (1.0 + 0.004 * way))

    def leave(self, close: float, way: int, quantity: float, broker: Any) -> None:
        broker.trailing_stop(-way, quantity, close * 0.01)


class Brackets(Strategy):
    """An entry at market with a stop loss and a take-profit, further off than one bar goes."""

    distance: float = param(0.1, low=0.01, high=0.9)

    def setup(self) -> None:
        self.fast, self.slow = SMA(8), SMA(34)

    def on_bar(self, bar: Any, broker: Any) -> None:
        fast, slow = self.fast.update(bar.close), self.slow.update(bar.close)
        if self.slow.ready and broker.is_flat and broker.open_orders == 0:
            way = 1 if fast > slow else -1
            quantity = 0.2 * broker.equity / bar.close
            broker.bracket(
                way, quantity, bar.close * (1.0 - self.distance * way), bar.close * (1.0 + self.distance * way)
            )


def real_bars(folder: Path, symbol: str, count: int | None = ROWS) -> Bars:
    """Binance's hours, or AAPL's raw days."""
    daily = symbol == "AAPL"
    name = "equity_daily_lean.parquet" if daily else "binance_spot_1h_staticklines.parquet"
    table = pq.read_table(folder / name, filters=[("symbol", "=", symbol)]).slice(0, count)
    time = table["ts"].to_numpy().astype("datetime64[ns]").astype(np.int64)
    columns = {key: table[key].to_numpy().astype(float) for key in ("open", "high", "low", "close", "volume")}
    length = (86_400 if daily else 3_600) * 10**9
    return Bars.of(Instrument(f"real:{symbol}"), open_time=time, close_time=time + length, **columns)


def of_one_price(bars: Bars) -> Bars:
    """Each bar its close alone."""
    rows = bars.array.copy()
    for name in ("open", "high", "low"):
        rows[name] = rows["close"]
    return Bars(rows, bars.instruments)


def compare(bars: Bars, strategy: Strategy, *, compiled: bool = False) -> int:
    """Both brokers fill the same, bar by bar, and end with the same equity; returns how many fills that were."""
    from tests.engine import peer_backtrader

    session = Session(strategy, bars.instruments, CASH, Fees(FEE_BPS, FEE_BPS), allow_short=True, compiled=compiled)
    session.run(bars)
    fills, equity = peer_backtrader.run(bars, strategy, CASH, FEE_BPS)
    ours = [(int(f["bar_offset"]), int(f["side"]), float(f["price"]), float(f["quantity"])) for f in session.fills]
    assert [one[:2] for one in ours] == [one[:2] for one in fills]
    assert np.allclose([one[2:] for one in ours], [one[2:] for one in fills], rtol=1e-9, atol=0.0)
    assert float(session.equity[-1]) == pytest.approx(equity, rel=1e-9)
    return len(ours)


@pytest.mark.parametrize("symbol", REAL)
@pytest.mark.parametrize("strategy", [Limits, StopEntries, StopLosses, StopLimits])
def test_order_types_fill_alike_on_real_bars(market_data: Path, strategy: type[Strategy], symbol: str) -> None:
    assert compare(real_bars(market_data, symbol), strategy()) > 50


@pytest.mark.parametrize("symbol", REAL)
def test_trailing_stops_fill_alike_on_bars_of_one_price(market_data: Path, symbol: str) -> None:
    assert compare(of_one_price(real_bars(market_data, symbol)), Trails()) > 50


@pytest.mark.parametrize(("symbol", "distance"), [("BTCUSDT", 0.1), ("DOGEUSDT", 0.1), ("AAPL", 0.4)])
def test_brackets_fill_alike_on_bars_of_one_price(market_data: Path, symbol: str, distance: float) -> None:
    assert compare(of_one_price(real_bars(market_data, symbol)), Brackets(distance=distance)) >= 4


def workload(count: int) -> Bars:
    import bench_engine

    whole = bench_engine.workload(1_000_000)
    return Bars(whole.array[:count], whole.instruments)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))


@pytest.mark.usefixtures("benchmarks")
def test_workload_a_begins_alike() -> None:
    assert compare(workload(20_000), SmaCross(), compiled=True) > 100


@pytest.mark.slow
@pytest.mark.usefixtures("benchmarks")
@pytest.mark.timeout(600)
def test_workload_a_is_alike_to_the_end() -> None:
    assert compare(workload(1_000_000), SmaCross(), compiled=True) == 6_397


@pytest.mark.slow
@pytest.mark.parametrize("symbol", REAL)
@pytest.mark.parametrize("strategy", [Limits, StopEntries, StopLosses, StopLimits])
def test_all_real_bars(market_data: Path, strategy: type[Strategy], symbol: str) -> None:
    assert compare(real_bars(market_data, symbol, None), strategy()) > 100
