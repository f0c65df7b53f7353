"""A running strategy gives way to another: at an event, position kept or closed, recorded, repeatable."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.research.paperline import archived, logs, paper_run, write_bars
from tests.services.forecastline import forecast_run, random_line, write_line
from tests.services.swapline import ask, changes, decided, means, pump, state_of
from tests.services.test_recovery import lose_snapshot

from quantlytic.engine.held import HeldSession
from quantlytic.model.bar import Bar
from quantlytic.model.equity import Decided, Equity
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast
from quantlytic.model.order import Order, OrderCancel
from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import begin, begun_session
from quantlytic.research.runs.liveparity import check_live_parity
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import check_parity, events_of
from quantlytic.research.runs.succession import as_it_is, first_strategy, is_now
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


def test_orders_are_held_until_the_new_ones_indicators_are_ready(tmp_path: Path) -> None:
    """A slow average that the history does not fill: what it would have ordered comes to nothing, what is held is marked."""
    with logs(tmp_path / "log") as log:
        write_bars(log, 300, 3)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, RUN, fresh(), how, 100)
        ask(log, RUN, "sma-cross", "keep", fast=2, slow=200)
        for _ in range(3):
            executor.pump(), strategist.pump()
        for _ in range(60):  # new processes while it waits
            pump(log, RUN, fresh(), how, 3)
        _, last = pump(log, RUN, fresh(), how)
        (change,) = changes(log, RUN)
        assert change.is_held
        seen = {"box:A": 0, "box:B": 0}
        bars = [(at, event) for at, event in events_of(log, RUN.bars_stream) if isinstance(event, Bar)]
        ready = 0
        for at, bar in bars:  # each instrument's average is full with its 200th bar
            seen[bar.instrument] += 1
            ready = ready or (at if min(seen.values()) >= 200 else 0)
        orders = [event.bar_offset for event in decided(log, RUN) if isinstance(event, Order)]
        assert not [at for at in orders if change.bar_offset < at < ready]
        assert [at for at in orders if at >= ready]
        assert not last._session.waits
        parity = check_parity(log, RUN, fresh()())
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert check_live_parity(log, RUN, fresh()()).mismatches == 0
        expected = state_of(last)
        last.close()
    lose_snapshot(tmp_path / "log", f"strategist.{RUN.run_id}", None)
    with logs(tmp_path / "log") as log:
        recover_strategist(log, RUN, fresh()(), None, how)
        _, again = pump(log, RUN, fresh(), how)
        assert state_of(again) == expected


OWN = '''"""A rule of one's own."""
from quantlytic import Strategy, param


class Mine(Strategy):
    """In at {buy} closes up, out at {sell} down."""

    buy: int = param({buy}, low=1, high=50)

    def setup(self):
        self.last = 0.0
        self.ups = 0
        self.downs = 0

    def on_bar(self, bar, broker):
        self.ups = self.ups + 1 if bar.close > self.last else 0
        self.downs = self.downs + 1 if bar.close < self.last else 0
        self.last = bar.close
        if self.ups >= self.buy and broker.is_flat:
            broker.target_weight(0.4)
        elif self.downs >= {sell} and broker.is_long:
            broker.close()
'''


def test_code_of_ones_own_is_kept_old_and_new(tmp_path: Path) -> None:
    """The file is changed in place, then removed: the run goes on, and is repeated, with what it was."""
    path = tmp_path / "mine.py"
    old, new = OWN.format(buy=2, sell=2), OWN.format(buy=1, sell=3)
    path.write_text(old)
    name = f"{path}:Mine"
    run = msgspec.structs.replace(
        RUN, strategy=name, params={"buy": 2.0}, code_hash=hashlib.sha256(old.encode()).hexdigest()
    )
    with logs(tmp_path / "log") as log:
        write_bars(log, 200, 3)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, run, fresh(run), how, 100)
        path.write_text(new)
        ask(log, run, name, "keep", code=new, buy=1.0)
        for _ in range(3):
            executor.pump(), strategist.pump()
        path.unlink()
        (change,) = changes(log, run)
        assert (change.refusal, change.code, change.old_code) == ("", new, old)
        first = lambda: paper_session(run, compiled=False, strategy=first_strategy(run, log))  # noqa: E731
        _, last = pump(log, run, first, how)
        assert last._session.strategy.params == {"buy": 1}
        parity = check_parity(log, run, begun_session(run, log, compiled=False))
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert parity.counts["orders"] > 30
        now = as_it_is(run, log)
        assert (now.strategy, now.params, now.code_hash) == (name, {"buy": 1.0}, change.code_hash)
        assert now.run_id == run.run_id
        elsewhere = msgspec.structs.replace(now, strategy="other/place/mine.py:Mine", run_id="", first_bar_offset=0)
        assert is_now(run, log, elsewhere)
        assert not is_now(run, log, run)
        assert not is_now(run, log, msgspec.structs.replace(elsewhere, params={"buy": 2.0}))


BROKEN = {
    "does not compile": ("class Mine(Strategy):\n    def on_bar(self, bar, broker:\n", "mine.py:2"),
    "no strategy": ("x = 1\n", "has no"),
    "raises while it is loaded": ("1 / 0\n", "ZeroDivisionError"),
    "raises in setup": (
        "from quantlytic import Strategy\nclass Mine(Strategy):\n    def setup(self):\n        self.x = 1 / 0\n"
        "    def on_bar(self, bar, broker):\n        pass\n",
        "ZeroDivisionError",
    ),
    "raises in warm-up": (
        "from quantlytic import Strategy\nclass Mine(Strategy):\n    def on_bar(self, bar, broker):\n"
        "        x = [1.0][int(bar.close * 0 + 5)]\n",
        "mine.py:4: IndexError",
    ),
    "imports a neighbour": ("import neighbour_of_mine\n", "neighbour_of_mine"),
    "looks at slices": (
        "from quantlytic import Strategy\nclass Mine(Strategy):\n    def on_slice(self, slice, broker):\n        pass\n",
        "on_slice",
    ),
    "needs forecasts": (
        "from quantlytic import Strategy\nclass Mine(Strategy):\n    def on_bar(self, bar, broker):\n"
        "        if bar.forecast > 0.5:\n            broker.close()\n",
        "forecasts",
    ),
    "is too long": ("x = 1\n" * 50_000, "the file is 293 KiB long, and at most 256"),
    "is plain Python": (
        "from quantlytic import PythonStrategy\nclass Mine(PythonStrategy):\n    def on_bar(self, bar, broker):\n"
        "        pass\n",
        "PythonStrategy",
    ),
}


@pytest.mark.parametrize("what", list(BROKEN))
def test_what_is_wrong_with_it_is_said_in_one_line_and_the_old_one_goes_on(what: str, tmp_path: Path) -> None:
    code, said = BROKEN[what]
    with logs(tmp_path / "log") as log:
        write_bars(log, 100, 3)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, RUN, fresh(), how, 60)
        ask(log, RUN, "mine.py:Mine", code=code)
        strategist.pump()
        ask(log, RUN, "sma-cross", number=2, fast=4, slow=9)
        while executor.pump() + strategist.pump():
            pass
        refused, made = changes(log, RUN)
        print(refused.refusal)
        assert said in refused.refusal
        assert "\n" not in refused.refusal
        assert (refused.request, refused.bar_offset, refused.old) == ("q1", -1, "sma-cross")
        assert (made.request, made.refusal) == ("q2", "")
        assert check_parity(log, RUN, fresh()()).mismatches == 0


def test_a_run_that_looks_at_slices_refuses(tmp_path: Path) -> None:
    run = paper_run("equal-weight")
    with logs(tmp_path / "log") as log:
        how = means(tmp_path / "log")
        ask(log, run, "sma-cross")
        pump(log, run, fresh(run), how)
        (refused,) = changes(log, run)
        assert "on_slice" in refused.refusal


def test_it_is_made_ready_beside_the_way_of_bars(tmp_path: Path) -> None:
    """In a thread: bars go on meanwhile, and the new one has seen them when it takes over."""
    with logs(tmp_path / "log") as log:
        write_bars(log, 300, 3)
        how = means(tmp_path / "log")._replace(in_background=True)
        executor, strategist = pump(log, RUN, fresh(), how, 50)
        ask(log, RUN, "sma-cross", "keep", fast=4, slow=9)
        time.sleep(0.11)
        meanwhile = 0
        while not changes(log, RUN) and executor.pump() + strategist.pump():
            meanwhile += 1
            time.sleep(0.001)
        (change,) = changes(log, RUN)
        assert change.bars == 1 + sum(
            isinstance(event, Bar) for at, event in events_of(log, RUN.bars_stream) if at < change.bar_offset
        )
        while executor.pump() + strategist.pump():
            pass
        print(f"{meanwhile} steps meanwhile")
        assert meanwhile > 1
        assert check_parity(log, RUN, fresh()()).mismatches == 0


def test_takes_over_from_one_whose_orders_are_still_held(tmp_path: Path) -> None:
    """A slow average that would be ready much later gives way to a quick one: the broker's replica goes on as well."""
    run = msgspec.structs.replace(RUN, params={"fast": 3.0, "slow": 150.0})
    with logs(tmp_path / "log") as log:
        write_bars(log, 160, 3)
        how = means(tmp_path / "log")
        begin(run, fresh(run)(), log, None, now_ns=0)
        first = partial(begun_session, run, log, compiled=False)
        executor, strategist = pump(log, run, first, how, 40)
        assert executor._session.is_held
        ask(log, run, "sma-cross", "keep", fast=2, slow=5)
        for _ in range(60):
            pump(log, run, first, how, 2)
        executor, strategist = pump(log, run, first, how)
        (change,) = changes(log, run)
        assert (change.refusal, change.is_held) == ("", False)
        orders = [event for event in decided(log, run) if isinstance(event, Order)]
        fills = [event for _, event in events_of(log, run.executions_stream) if isinstance(event, Fill)]
        assert orders[0].order_id == 1
        assert orders[0].bar_offset > change.bar_offset
        assert len(fills) > 10
        parity = check_parity(log, run, first())
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert check_live_parity(log, run, first()).mismatches == 0
        expected = state_of(strategist)
        strategist.close()
    lose_snapshot(tmp_path / "log", f"strategist.{run.run_id}", None)
    with logs(tmp_path / "log") as log:
        recover_strategist(log, run, begun_session(run, log, compiled=False), None, how)
        _, again = pump(log, run, partial(begun_session, run, log, compiled=False), how)
        assert state_of(again) == expected


def test_of_several_requests_that_wait_the_last_one_counts(tmp_path: Path) -> None:
    with logs(tmp_path / "log") as log:
        write_bars(log, 60, 3)
        for number, fast in enumerate((3, 4, 5)):
            ask(log, RUN, "sma-cross", number=number, fast=fast, slow=9)
        pump(log, RUN, fresh(), means(tmp_path / "log"))
        *refused, made = changes(log, RUN)
        assert [one.refusal for one in refused] == ["a later request takes its place"] * 2
        assert (made.request, made.refusal) == ("q2", "")
        assert check_parity(log, RUN, fresh()()).mismatches == 0


def test_no_bar_is_learnt_twice(tmp_path: Path) -> None:
    """A run with forecasts, asked before its first bar: the venue's plain bars are ahead of its line's."""
    line = random_line(5, 60)
    bars = [event.bar for event in line if isinstance(event, Forecast)]
    run = forecast_run(first=0)
    with logs(tmp_path / "log") as log:
        log.writer("barmaker.box").commit({"bars.box": bars[:40]})
        how = means(tmp_path / "log")
        ask(log, run, "sma-cross", fast=2, slow=5)
        executor, strategist = pump(log, run, fresh(run), how)
        write_line(log, line)
        while executor.pump() + strategist.pump():
            pass
        (change,) = changes(log, run)
        assert change.bars == 40
        assert check_parity(log, run, fresh(run)()).mismatches == 0


def test_on_forecasts_thresholds_change_and_other_models_strategies_take_over(tmp_path: Path) -> None:
    """Parameters of one that reads forecasts, then a built-in one that does; history brings the forecasts along."""
    line, run = random_line(7, 200), forecast_run()
    with logs(tmp_path / "log") as log:
        write_line(log, line)
        how = means(tmp_path / "log")
        executor, strategist = pump(log, run, fresh(run), how, 80)
        code = Path(run.strategy.partition(":")[0]).read_text()
        ask(log, run, run.strategy, "keep", code=code, enter=0.7, weight=0.2)
        for _ in range(30):
            executor.pump(), strategist.pump()
        ask(log, run, "ml-signal", "close", number=2)
        while executor.pump() + strategist.pump():
            pass
        first, second = changes(log, run)
        assert (first.refusal, second.refusal) == ("", "")
        late = [one for one in decided(log, run) if isinstance(one, Order) and one.bar_offset > second.bar_offset]
        assert late, "ml-signal has ordered nothing"
        parity = check_parity(log, run, fresh(run)())
        assert (parity.mismatches, parity.first_mismatch) == (0, None)
        assert strategist._session.strategy.params["up"] > 0.5
