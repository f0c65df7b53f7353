"""One account, many ways: at once, in pieces, by halves on two replicas, in debug mode, saved and restored."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.engine.market import BTC, Chaos, instruments_of, random_bars, results, rows, workload_bars
from tests.engine.tapes import action_rows

from quantlytic import Bars, Fees, Session, Strategy, Tape, Ticks, load_bars
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.order import Reason
from quantlytic.strategies.buy_and_hold import BuyAndHold
from quantlytic.strategies.sma_cross import SmaCross


def test_workload_a_ends_where_backtrader_does() -> None:
    bars = workload_bars(1_000_000)
    session = Session(SmaCross(fast=50, slow=200, weight=0.99), bars.instruments, 1e6, Fees(taker_bps=10))
    session.run(bars)
    assert round(session.equity[-1], 3) == 694.847
    assert len(session.fills) == 6397
    assert len(session.equity) == 1_000_000
    assert set(session.updates["status"]) == {2, 4}  # accepted, filled: none rejected


# No shrinking: each example runs five sessions, one of them uncompiled.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


class ByHalves:
    """A strategist's replica and an executor's, each saved and restored into a new session when told."""

    def __init__(self, make: Any) -> None:
        self.make = make
        self.strategist, self.executor = make(), make()
        self.rows: dict[str, list[Any]] = {
            name: [] for name in ("equity", "fills", "orders", "signals", "updates", "cancels", "amends")
        }
        self.waiting: list[Any] = []

    def move(self, strategist: bool, executor: bool) -> None:
        for name, wanted in (("strategist", strategist), ("executor", executor)):
            if wanted:
                fresh = self.make()
                fresh.restore(getattr(self, name).save())
                setattr(self, name, fresh)

    def bar(self, bar: Any, mid: bool) -> None:
        updates, fills, equity = self.executor.execute(bar)
        reports = np.concatenate([*self.waiting, updates])
        self.strategist.apply(reports, fills, bar)
        self.move(mid, mid)
        signals, orders, cancels, amends = self.strategist.decide(bar)
        answers = self.executor.accept(orders, cancels, amends)
        self.waiting = [answers]
        assert equity["equity"] == self.strategist._account.equity
        for name, found in (("equity", [equity["equity"]]), ("fills", fills), ("orders", orders), ("signals", signals)):
            self.rows[name].append(found)
        self.rows["updates"] += [updates, answers]
        self.rows["cancels"].append(cancels)
        self.rows["amends"].append(amends)

    def results(self) -> dict[str, bytes]:
        joined = {name: np.concatenate(parts) for name, parts in self.rows.items()}
        equity = joined.pop("equity").tobytes()
        packed = {name: b"".join(part[field].tobytes() for field in part.dtype.names) for name, part in joined.items()}
        return {"equity": equity, **packed}


@settings(max_examples=40, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(1, 10**6),
    span=st.integers(2, 20),
    weight=st.floats(-1, 1),
    count=st.integers(1, 4),
    lots=st.lists(st.sampled_from([0.0, 0.01, 0.001, 0.25]), max_size=4),
    allow_short=st.booleans(),
    capacity=st.integers(3, 12),
    moves=st.randoms(use_true_random=False),
)
def test_all_ways_give_the_same_bytes(
    seed: int, span: int, weight: float, count: int, lots: list[float], allow_short: bool, capacity: int, moves: Any
) -> None:
    bars = random_bars(seed, 60, count)
    options = {"allow_short": allow_short, "max_open_orders": capacity}

    def make(compiled: bool = True) -> Session:
        strategy = Chaos(seed=seed, span=span, weight=weight)
        fees = Fees(taker_bps=10, maker_bps=2)
        return Session(strategy, instruments_of(count, lots), 10_000.0, fees, compiled=compiled, **options)

    whole = make()
    whole.run(bars)
    expected = results(whole)

    debug = make(compiled=False)
    debug.run(bars)
    assert results(debug) == expected

    pieces = make()
    cut = moves.randint(0, len(bars))
    pieces.run(bars[:cut])
    pieces.run(bars[cut:])
    assert results(pieces) == expected
    assert pieces.save() == whole.save()

    halves = ByHalves(make)
    for bar in bars:
        halves.move(moves.random() < 0.1, moves.random() < 0.1)
        halves.bar(bar, moves.random() < 0.1)
    if len(bars):
        assert halves.results() == expected

    resumed = make()
    resumed.run(bars[:cut])
    later = make(compiled=moves.random() < 0.5)
    later.restore(resumed.save())
    later.run(bars[cut:])
    assert later.equity.tobytes() == whole.equity[cut:].tobytes()

    _check_money(whole, bars, allow_short)


def _check_money(session: Session, bars: Any, allow_short: bool) -> None:
    """Cash and positions are what the fills say, and a spot account never owes."""
    fills = session.fills
    signed = fills["side"] * fills["quantity"]
    assert session.cash == pytest.approx(10_000 - (signed * fills["price"]).sum() - fills["fee"].sum(), abs=1e-6)
    for k, held in enumerate(session.positions.values()):
        assert held == pytest.approx(signed[fills["instrument"] == k].sum(), abs=1e-9)
        if not allow_short:
            assert (np.cumsum(signed[fills["instrument"] == k]) >= -1e-9).all()
    if not allow_short:
        cash = 10_000 - np.cumsum(signed * fills["price"] + fills["fee"])
        assert (cash >= -1e-6).all()
    assert (np.diff(session.orders["order_id"]) == 1).all()
    assert (np.diff(fills["fill_id"]) == 1).all()
    for instrument in np.unique(fills["instrument"]):
        mine = fills[fills["instrument"] == instrument]
        within = {(b["close_time"], b["open_time"]): b for b in bars[bars["instrument"] == instrument]}
        for fill in mine:
            assert any(
                fill["event_time"] in times and bar["low"] <= fill["price"] <= bar["high"]
                for times, bar in within.items()
            )


def test_every_order_is_answered_exactly_once() -> None:
    session = Session(Chaos(seed=11), instruments_of(3), 10_000.0, Fees(10.0), max_open_orders=4)
    session.run(random_bars(5, 2_000, 3))
    updates = session.updates
    first = {}
    ends: dict[int, int] = {}
    for update in updates:
        first.setdefault(int(update["order_id"]), int(update["status"]))
        if update["status"] >= 4:
            ends[int(update["order_id"])] = ends.get(int(update["order_id"]), 0) + 1
    assert set(first) == set(session.orders["order_id"].tolist())
    assert set(first.values()) <= {2, 6}  # NEW or REJECTED
    assert set(ends.values()) == {1}
    reasons = {Reason(code).name for code in np.unique(updates["reason"])}
    assert {"INVALID_QUANTITY", "INVALID_PRICE", "TOO_MANY_OPEN_ORDERS", "SHORT_NOT_ALLOWED"} <= reasons
    rejected = updates[updates["status"] == 6]
    assert (rejected["reason"] != 0).all()


def test_order_ids_do_not_depend_on_how_the_logs_grow() -> None:
    bars = random_bars(3, 3_000, 1)
    sessions = [Session(Chaos(seed=3), instruments_of(1), 1e5, max_open_orders=rows) for rows in (8, 8)]
    sessions[0].run(bars)
    for bar in np.split(bars, range(100, len(bars), 100)):
        sessions[1].run(bar)
    assert results(sessions[0]) == results(sessions[1])
    assert sessions[0].digest == sessions[1].digest


def test_no_bars_is_nothing() -> None:
    session = Session(BuyAndHold, [BTC], 100.0)
    session.run(rows())
    assert len(session.equity) == len(session.fills) == 0


def test_a_state_of_another_session_is_refused() -> None:
    session = Session(SmaCross(fast=5, slow=20), [BTC], 100.0)
    saved = session.save()
    for other in (
        Session(SmaCross(fast=6, slow=20), [BTC], 100.0),
        Session(SmaCross(fast=5, slow=20), instruments_of(1), 100.0),
        Session(SmaCross(fast=5, slow=20), [BTC], 101.0),
        Session(SmaCross(fast=5, slow=20), [BTC], 100.0, Fees(1.0)),
    ):
        with pytest.raises(InputError, match="saved state is not of SmaCross"):
            other.restore(saved)
    with pytest.raises(InputError, match="truncated"):
        session.restore(saved[:-1])
    with pytest.raises(InputError):
        session.restore(b"")
    session.restore(saved)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_unknown_instrument_is_refused(compiled: bool) -> None:
    session = Session(BuyAndHold, [BTC], 100.0, compiled=compiled)
    with pytest.raises(InputError, match="names instrument 1: there are 1"):
        session.run(rows((1, 1, 1, 1), instrument=1))
    with pytest.raises(InputError, match="names instrument -1"):
        session.execute(rows((1, 1, 1, 1), instrument=-1)[0])


def test_rows_of_another_kind_are_refused() -> None:
    with pytest.raises(InputError, match="rows of another kind"):
        Session(BuyAndHold, [BTC], 100.0).run(np.zeros(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cash": 0.0}, "cash is a positive number"),
        ({"cash": float("nan")}, "cash is a positive number"),
        ({"instruments": []}, "at least one instrument"),
        ({"instruments": [BTC, BTC]}, "only once"),
        ({"max_open_orders": 0}, "max_open_orders"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, Any], message: str) -> None:
    arguments = {"strategy": BuyAndHold, "instruments": [BTC], "cash": 1.0} | options
    with pytest.raises(InputError, match=message):
        Session(**arguments)


class Flood(Strategy):
    """Never stops sending."""

    def on_bar(self, bar: Any, broker: Any) -> None:
        for _ in range(1000):
            broker.buy(1.0)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_flood_of_orders_is_stopped(compiled: bool) -> None:
    session = Session(Flood, [BTC], 100.0, compiled=compiled)
    with pytest.raises(StrategyError, match="Flood sent more than 64 orders at one bar"):
        session.run(rows((1, 1, 1, 1), (1, 1, 1, 1)))
    halves = Session(Flood, [BTC], 100.0, compiled=compiled)
    bar = rows((1, 1, 1, 1))[0]
    halves.execute(bar)
    with pytest.raises(StrategyError, match="Flood sent more than"):
        halves.decide(bar)


def test_halves_keep_nothing() -> None:
    session = Session(BuyAndHold, [BTC], 100.0)
    size = len(session.save())
    for bar in rows(*[(1.0, 1.0, 1.0, 1.0)] * 50):
        session.execute(bar)
        session.accept(*session.decide(bar)[1:])
    assert len(session.save()) == size == session.state_bytes + 44
    assert len(session.equity) == len(session.fills) == 0


@pytest.mark.parametrize("compiled", [True, False])
def test_actions_by_halves_are_those_of_a_tape(compiled: bool) -> None:
    bars = random_bars(8, 60, 2)
    kinds = [ActionKind.DIVIDEND, ActionKind.SPLIT, ActionKind.FUNDING, ActionKind.DIVIDEND, ActionKind.DELISTING]
    values = [0.5, 2.0, 0.001, 0.2, 90.0]
    times = [600, 1_200, 1_800, 2_400, 3_000]
    found = [(k % 2, times[k] * 10**9, kinds[k], values[k]) for k in range(5)]
    actions, members = action_rows(*found), tuple(instruments_of(2))

    def make() -> Session:
        return Session(Chaos(seed=4), members, 1e4, Fees(10), allow_short=True, compiled=compiled)

    whole = make()
    whole.run(Tape(bars=Bars(bars, members), actions=Ticks(actions, members)))
    executor, strategist = make(), make()
    waiting, flows, equity = whole.updates[:0], [], []
    events = [(int(row["event_time"]), 0, row) for row in actions] + [(int(row["close_time"]), 1, row) for row in bars]
    for _, is_bar, row in sorted(events, key=lambda event: event[:2]):
        if is_bar:
            updates, fills, state = executor.execute(row)
            equity.append(state["equity"])
            strategist.apply(np.concatenate([waiting, updates]), fills, row)
        else:
            executor.act(row)
            strategist.apply(waiting, whole.fills[:0], row)
        flows.append(executor.event_flows)
        waiting = executor.accept(*strategist.decide(row)[1:])
    assert np.array(equity).tobytes() == whole.equity.tobytes()
    assert np.concatenate(flows)["amount"].tolist() == whole.flows["amount"].tolist()
    assert len(whole.flows) >= 2
    assert strategist.state_of("test:S0")["random"] == whole.state_of("test:S0")["random"]
    assert strategist.positions == executor.positions == whole.positions


def test_sessions_can_be_made_and_run_in_many_threads() -> None:
    bars = random_bars(2, 300, 2)

    class Fresh(Chaos):
        """Not compiled yet."""

        def draw(self, below: int) -> int:
            self.random = (self.random * 1_103_515_245 + 12_347) % 2_147_483_648
            return (self.random // 65_536) % below

    def run(_: int) -> str:
        session = Session(Fresh(seed=9), instruments_of(2), 1e4, Fees(10))
        session.run(bars)
        return session.digest

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(12)))) == 1


def test_real_bars_of_five_symbols_compiled_debug_and_halves(market_data: Path) -> None:
    bars = load_bars(market_data / "binance_spot_15m_staticklines.parquet")
    assert len(bars.instruments) == 5
    part = bars.array[:4_000]

    def make(compiled: bool = True) -> Session:
        strategy = SmaCross(fast=10, slow=30, weight=0.15)
        return Session(strategy, bars.instruments, 1e6, Fees(taker_bps=10), compiled=compiled)

    whole, debug, halves = make(), make(compiled=False), ByHalves(make)
    whole.run(part)
    debug.run(part)
    for bar in part:
        halves.bar(bar, mid=False)
    assert results(debug) == results(whole) == halves.results()
    assert len(whole.fills) > 100
    assert set(np.unique(whole.fills["instrument"])) == {0, 1, 2, 3, 4}


def test_bars_as_a_paper_run_took_them_may_go_back_from_one_instrument_to_the_next() -> None:
    """What the halves do with the same bars in the same order."""
    bars = random_bars(21, 60, 3)
    late = bars["instrument"] == 1  # three minutes behind the others
    order = np.argsort(np.where(late, bars["close_time"] + 180_000_000_000, bars["close_time"]), kind="stable")
    taken = bars[order]
    assert (np.diff(taken["close_time"]) < 0).any()

    def make() -> Session:
        return Session(Chaos(seed=21), instruments_of(3), 10_000.0, Fees(10.0), compiled=False)

    with pytest.raises(InputError, match="earlier than the event before"):
        make().run(taken)
    whole, halves = make(), ByHalves(make)
    whole.run_as_taken(taken)
    for bar in taken:
        halves.bar(bar, False)
    assert halves.results() == results(whole)
    assert len(whole.fills) > 10
