"""A running strategy gives way to another: at an event, position kept or closed, recorded, repeatable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.research.paperline import archived, logs, paper_run, write_bars
from tests.services.swapline import ask, changes, decided, means, pump, state_of
from tests.services.test_recovery import lose_snapshot

from quantlytic.engine.held import HeldSession
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.fill import Fill
from quantlytic.model.order import Order, OrderCancel
from quantlytic.model.run import Run
from quantlytic.research.runs.liveparity import check_live_parity
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity, events_of
from quantlytic.services.recovery import recover_strategist

RUN = paper_run("sma-cross")


def fresh(run: Run = RUN) -> Callable[[], HeldSession]:
    return lambda: paper_session(run, compiled=False)


@pytest.mark.parametrize("position", ["keep", "close"])
def test_takes_over_between_two_bars(position: str, tmp_path: Path) -> None:
    with logs(tmp_path / "log") as log:
        write_bars(log, 200, 3)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, RUN, fresh(), how, 100)
        ask(log, RUN, "bollinger", position, period=10)
        while executor.pump() + strategist.pump():
            pass
        (change,) = changes(log, RUN)
        assert (change.old, change.new, change.position, change.refusal) == ("sma-cross", "bollinger", position, "")
        assert (change.reason, change.by, change.is_held) == ("to see", "me", False)
        assert change.bars > 90
        at = change.bar_offset
        mine = [event for event in decided(log, RUN) if getattr(event, "bar_offset", -1) == at]
        assert isinstance(mine[0], type(change))
        assert isinstance(mine[-1], Decided)
        equity = [event for _, event in events_of(log, RUN.executions_stream) if isinstance(event, Equity)]
        held = {event.instrument: event.position for event in equity if event.bar_offset <= at}
        assert any(held.values()), "nothing to keep or to close"
        fills = [e for _, e in events_of(log, RUN.executions_stream) if isinstance(e, Fill) and e.bar_offset > at]
        sold = [event for event in mine if isinstance(event, Order)]
        if position == "close":
            assert {one.instrument: one.quantity for one in sold} == {k: v for k, v in held.items() if v}
            assert {fill.order_id for fill in fills[: len(sold)]} == {one.order_id for one in sold}
        else:
            assert not sold
        parity = check_parity(log, RUN, fresh()())
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert parity.bars == len(equity)
        live = check_live_parity(log, RUN, fresh()())
        assert (live.mismatches, live.first_mismatch) == (0, None)


def test_open_orders_of_the_old_one_are_withdrawn(tmp_path: Path) -> None:
    run = paper_run("grid")
    with logs(tmp_path / "log") as log:
        write_bars(log, 200, 4)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, run, fresh(run), how, 80)
        ask(log, run, "sma-cross", "close", fast=3, slow=9)
        while executor.pump() + strategist.pump():
            pass
        (change,) = changes(log, run)
        cancels = [e for e in decided(log, run) if isinstance(e, OrderCancel) and e.bar_offset == change.bar_offset]
        assert cancels, "it had nothing open"
        assert strategist._session.open_orders == 0
        assert check_parity(log, run, fresh(run)()).mismatches == 0


def test_several_changes_survive_restarts_and_lost_snapshots(tmp_path: Path) -> None:
    """Restarted after each step, and rebuilt from log and lake at the end: the same bytes."""
    asked = [
        ("bollinger", "keep", {"period": 10}),
        ("sma-cross", "close", {"fast": 3, "slow": 9}),
        ("grid", "keep", {}),
    ]
    with logs(tmp_path / "log") as log:
        write_bars(log, 250, 3)
        how = means(tmp_path / "log")
        for number, (name, position, params) in enumerate(asked):
            for _ in range(40):
                pump(log, RUN, fresh(), how, 2)
            ask(log, RUN, name, position, number, **params)
        for _ in range(30):
            pump(log, RUN, fresh(), how, 3)
        _, last = pump(log, RUN, fresh(), how)
        assert [(one.old, one.new) for one in changes(log, RUN)] == [
            ("sma-cross", "bollinger"), ("bollinger", "sma-cross"), ("sma-cross", "grid"),
        ]  # fmt: skip
        parity = check_parity(log, RUN, fresh()())
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        expected = state_of(last), dict(log.committed(last.name))
        last.close()
        lake = archived(log, tmp_path)
    for kept in (None, lake):
        lose_snapshot(tmp_path / "log", f"strategist.{RUN.run_id}", None)
        with logs(tmp_path / "log") as log:
            assert recover_strategist(log, RUN, fresh()(), kept, how) == parity.bars
            assert recover_strategist(log, RUN, fresh()(), kept, how) == 0
            _, again = pump(log, RUN, fresh(), how)
            assert (state_of(again), dict(log.committed(again.name))) == expected
            assert len(changes(log, RUN)) == 3
            again.close()
