"""The daily run: each task once, in order, whatever ends it; what was asked for is had; who wants it is told, once."""

from __future__ import annotations

import datetime
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np
import polars as pl
import pytest
from tests.daily.world import (
    ADVISED,
    EQUITIES,
    LAST,
    PAIRS,
    SMALL,
    World,
    assert_same_tables,
    make_files,
    revisions,
    tables,
)

from quantlytic.daily.accepted import accept
from quantlytic.daily.runner import TASKS, begin_again, round_of, run_day
from quantlytic.daily.settings import DailySettings
from quantlytic.daily.sources.files import FilesSource
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import InputError, QuantlyticError, StoreError, VenueError
from quantlytic.model.ledger import LedgerKind
from quantlytic.store.control import open_control
from quantlytic.store.control.messages import SqlMessages
from quantlytic.store.control.records import DigestNotice
from quantlytic.store.control.tasks import SqlTasks
from quantlytic.store.lake import Lake
from quantlytic.store.lake.table import Table
from quantlytic.telling.delivery import Operator
from quantlytic.telling.digest import digest_letter
from quantlytic.venues.answers import Throttled
from quantlytic.venues.daily import DailyHistory

DATE = datetime.date
DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, market_data: Path) -> Path:
    return make_files(tmp_path_factory.mktemp("files"), market_data)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantlytic.daily.fetch._PAUSE_S", 0.0)


@pytest.fixture
def world(files: Path, tmp_path: Path) -> World:
    return World(tmp_path / "home", files)


# ---- the whole of it


def test_thirty_equities_and_five_pairs_from_files_twice(files: Path, tmp_path: Path) -> None:
    """The second run changes nothing and sends nothing."""
    names = [*(f"usa:{one}" for one in EQUITIES), *(f"binance:{one}" for one in PAIRS)]
    settings = DailySettings(
        instruments=tuple(names), history_days=500, candidates=("sma-cross",), folds=2, draws=2,
        strategies=("sma-cross", "rsi-reversion", "recommended"),
    )  # fmt: skip
    world = World(tmp_path / "home", files, settings)
    everything, apple = world.subscribe("all@example.org"), world.subscribe("apple@example.org", "usa:AAPL")
    world.subscribe("other@example.org", kinds=("signal",))
    first = world.run()
    summaries = {name: one.record.summary for name, one in first.items()}
    assert list(first) == list(TASKS)
    assert not any(one.was_done for one in first.values())
    assert summaries["plan"] | {"trouble": []} == {"instruments": 35, "due": 35, "new": 35, "wanted": 0, "trouble": []}
    assert summaries["repair"]["repaired"] == 0
    assert (summaries["signals"]["runs"], summaries["recommend"]["instruments"]) == (70, 35)
    assert summaries["digest"]["messages"] == 2

    found = tables(world.home)
    bars = found["bars"].filter(pl.col("instrument") == "usa:AAPL").sort("open_time")
    assert bars["open_time"][-1] == int(np.datetime64(LAST, "ns").astype(np.int64))
    assert found["bars"].select("instrument", "open_time").is_unique().all()
    averages = found["averages"].filter(pl.col("instrument") == "usa:AAPL").sort("event_time")
    assert averages.height == bars.height
    assert np.isclose(averages["average_200"][-1], bars["close"].tail(200).mean())
    assert np.isnan(averages["average_200"][198])
    assert set(found["advice"]["instrument"]) == set(names)

    with open_control(world.home) as control:
        sent = {
            one.recipient: msgspec.json.decode(one.payload, type=DigestNotice)
            for one in control.messages.history(None, 10)
        }
    assert set(sent) == {everything, apple}
    assert [len(sent[one].quotes) for one in (everything, apple)] == [35, 1]
    quote = sent[apple].quotes[0]
    assert (quote.instrument, quote.close) == ("usa:AAPL", bars["close"][-1])
    assert quote.change == pytest.approx(bars["close"][-1] / bars["close"][-2] - 1.0)
    assert quote.averages["200"] == averages["average_200"][-1]
    assert {one.instrument for one in sent[apple].advice} == {"usa:AAPL"}
    assert digest_letter(sent[apple]).subject.startswith("2017-09-01: ")

    before, kept = revisions(world.home), tables(world.home)
    second = world.run()
    assert all(one.was_done for one in second.values())
    assert revisions(world.home) == before
    assert all(rows.equals(kept[name]) for name, rows in tables(world.home).items())
    with open_control(world.home) as control:
        assert len(control.messages.history(None, 10)) == 2


def test_tasks_done_again_change_nothing(world: World) -> None:
    """Not even where nobody remembers that they were done."""
    world.subscribe("all@example.org")
    world.run()
    before, kept = revisions(world.home), tables(world.home)
    with open_control(world.home) as control, patch.object(SqlTasks, "begin", lambda *_: _fresh()):
        run_day(world.day(control=control))
        assert len(control.messages.history(None, 10)) == 1
    assert revisions(world.home) == before
    assert all(rows.equals(kept[name]) for name, rows in tables(world.home).items())


def _fresh() -> Any:
    from quantlytic.store.control.records import TaskRecord

    return TaskRecord(day="", task="")


def test_day_after_day_is_as_one_day(world: World, files: Path, tmp_path: Path) -> None:
    """Bars, actions and averages are the same whether fetched day by day or at once."""
    for day in (30, 31):
        world.run(DATE(2017, 8, day))
    world.run(LAST)
    once = World(tmp_path / "once", files)
    once.run(LAST)
    keys = {"bars": "open_time", "actions": "event_time", "averages": "event_time"}
    first = 1 + (DATE(2017, 8, 30) - DATE(1970, 1, 1)).days * DAY_NS - 200 * DAY_NS
    for name, time in keys.items():
        mine, theirs = (
            tables(home)[name].filter(pl.col(time) > first).drop("source", "offset").sort("instrument", time)
            for home in (world.home, once.home)
        )
        assert mine.select("instrument", time).equals(theirs.select("instrument", time))
        if name != "averages":
            assert mine.equals(theirs)


def test_days_that_were_missed_are_caught_up_with_by_one_run(world: World) -> None:
    world.run(DATE(2017, 8, 18))
    rows = world.run(LAST)["repair"].record.summary["bars"]
    assert rows == 2 * 10 + 14  # two weeks of sessions, fourteen days of crypto
    assert tables(world.home)["averages"].height == tables(world.home)["bars"].height
    assert "ledger" not in tables(world.home)


def test_a_day_off_is_a_quiet_day(world: World) -> None:
    world.run(LAST)
    world.subscribe("all@example.org", "usa:AAPL")
    outcome = world.run(DATE(2017, 9, 2))  # Saturday: crypto alone; the files end on Friday
    assert outcome["plan"].record.summary["due"] == 1
    assert outcome["digest"].record.summary["messages"] == 0


# ---- order and trouble


def test_a_task_waits_for_what_it_needs(world: World) -> None:
    with pytest.raises(InputError, match="task repair of 2017-09-01 needs check, which is not done"):
        world.run(only="repair")
    with pytest.raises(InputError, match="there is no task 'cook'"):
        world.run(only="cook")
    for name in TASKS:
        assert list(world.run(only=name)) == [name]
    assert all(one.was_done for one in world.run().values())


def test_a_day_that_is_not_over_is_refused(files: Path, tmp_path: Path) -> None:
    noon = int(datetime.datetime(2017, 9, 1, 16, tzinfo=datetime.UTC).timestamp() * 1e9)
    world = World(tmp_path / "home", files, replace(SMALL, instruments=("usa:AAPL",)), lambda: noon)
    with pytest.raises(InputError, match=r"2017-09-01 is not over: XNYS closes at 2017-09-01T20:00Z"):
        world.run()
    assert world.run(DATE(2017, 8, 31))["repair"].record.summary["bars"] > 150


@pytest.mark.parametrize("date", [DATE.min, DATE(1969, 12, 31), DATE.max])
def test_days_beyond_all_data_are_refused(files: Path, tmp_path: Path, date: datetime.date) -> None:
    settings = replace(SMALL, instruments=("usa:AAPL", "binance:BTCUSDT"), history_days=10_000_000)
    world = World(tmp_path / "home", files, settings)
    with pytest.raises(QuantlyticError):
        world.run(date)


def test_nothing_tracked_is_told(world: World) -> None:
    world.settings = replace(SMALL, instruments=())
    with pytest.raises(InputError, match="no instrument is tracked"):
        world.run()


class Down:
    """A source that fails for some instruments, and counts how often it is asked."""

    name = "down"

    def __init__(self, inner: FilesSource, failing: set[str]) -> None:
        self._inner, self.failing, self.asked = inner, failing, 0

    def history(self, instrument: str, start: DATE, end: DATE) -> DailyHistory:
        self.asked += 1
        if instrument in self.failing:
            raise VenueError("503 Service Unavailable")
        return self._inner.history(instrument, start, end)


def test_a_source_that_is_down(world: World) -> None:
    """Most instruments fail: the task fails, and the next run asks for what is missing alone. One fails: the day goes on."""
    source = Down(FilesSource(world.files), {"usa:AAPL", "usa:JPM"})
    day = world.day(source_of=lambda _name: source)
    with pytest.raises(VenueError, match=r"2 of 3 instruments could not be fetched; the first, usa:AAPL: 503"):
        run_day(day)
    record = day.control.tasks.get("2017-09-01", "backfill")
    assert record is not None
    assert (record.state, record.attempts) == ("failed", 1)
    source.failing, source.asked = {"usa:JPM"}, 0
    outcomes = {one.record.task: one.record for one in run_day(day)}
    assert source.asked == 1 + 3  # bitcoin is there already
    assert outcomes["backfill"].attempts == 2
    assert outcomes["backfill"].summary["trouble"] == ["usa:JPM: 503 Service Unavailable"]
    assert set(tables(world.home)["bars"]["instrument"]) == {"usa:AAPL", "binance:BTCUSDT"}
    day.control.close()
    assert world.run(DATE(2017, 9, 2))["backfill"].record.summary["rows"] > 150  # the next day has its whole history


def test_a_source_that_asks_for_patience_is_left_in_peace(world: World) -> None:
    source = Down(FilesSource(world.files), set())
    inner = source.history

    def throttled(instrument: str, start: DATE, end: DATE) -> DailyHistory:
        if source.asked == 1:
            source.asked += 1
            raise Throttled("too many requests", 60.0)
        return inner(instrument, start, end)

    source.history = throttled  # type: ignore[method-assign]
    day = world.day(source_of=lambda _name: source)
    with pytest.raises(VenueError, match="too many requests; 1 of 3 instruments are there, the next attempt goes on"):
        run_day(day)
    assert source.asked == 2
    assert len(run_day(day)) == len(TASKS)
    assert source.asked == 4
    day.control.close()


def test_a_damaged_file_is_told(world: World) -> None:
    world.run(only="plan")
    (world.home / "daily" / "2017-09-01" / "plan.json").write_bytes(b"[{]")
    with pytest.raises(
        StoreError, match=r"plan\.json cannot be read .* begin the day again with quantlytic daily --again"
    ):
        world.run(only="backfill")


def test_a_folder_that_is_gone_is_told_and_the_day_begun_again(world: World) -> None:
    """A second round fetches what the first could not have, and repeats neither rows nor messages."""
    world.subscribe("all@example.org")
    source = Down(FilesSource(world.files), {"usa:JPM"})
    day = world.day(source_of=lambda _name: source)
    run_day(day)
    before = tables(world.home)
    shutil.rmtree(world.home / "daily" / "2017-09-01")
    day.control.tasks.forget(day.name)
    run_day(day, "plan")
    shutil.rmtree(world.home / "daily" / "2017-09-01")
    with pytest.raises(StoreError, match="2017-09-01 is gone: begin the day again with quantlytic daily --again"):
        run_day(day, "pull")
    source.failing = set()
    again = begin_again(day)
    assert (again.source, round_of(day.control, day.name)) == ("daily.2017-09-01.2", 2)
    assert not any(one.was_done for one in run_day(again))
    after = tables(world.home)
    for name, rows in before.items():
        assert after[name].filter(pl.col("source") == "daily.2017-09-01").equals(rows)
    new = after["bars"].filter(pl.col("source") == "daily.2017-09-01.2")
    assert set(new["instrument"]) == {"usa:JPM"}
    assert after["bars"].select("instrument", "open_time").is_unique().all()
    assert after["averages"].select("instrument", "event_time").is_unique().all()
    assert len(day.control.messages.history(None, 10)) == 1
    day.control.close()


# ---- what vendors say later


class Changed:
    """Files of which an instrument's rows were changed."""

    name = "changed"

    def __init__(self, inner: FilesSource, change: Callable[[Any], Any]) -> None:
        self._inner, self._change = inner, change

    def history(self, instrument: str, start: DATE, end: DATE) -> DailyHistory:
        found = self._inner.history(instrument, start, end)
        return replace(found, rows=self._change(found.rows.copy())) if instrument == "usa:AAPL" else found


def ledger(home: Path) -> list[tuple[int, str]]:
    rows = tables(home)["ledger"].filter(pl.col("instrument") == "usa:AAPL")
    return list(rows.select("kind", "detail").iter_rows())


def run_changed(world: World, date: DATE, change: Callable[[Any], Any]) -> dict[str, Any]:
    source = Changed(FilesSource(world.files), change)
    day = world.day(date, source_of=lambda _name: source)
    try:
        return {one.record.task: one.record.summary for one in run_day(day)}
    finally:
        day.control.close()


def test_a_bar_that_is_stored_stays_and_the_change_is_told_once(world: World) -> None:
    def revise(rows: Any) -> Any:
        rows["close"][-4] *= 1.01
        rows["high"][-4] *= 1.02
        return rows

    world.run(DATE(2017, 8, 30))
    before = tables(world.home)["bars"]
    run_changed(world, DATE(2017, 8, 31), revise)
    (entry,) = ledger(world.home)
    assert entry[0] == LedgerKind.INVALID
    assert "which was stored, stays" in entry[1]
    after = tables(world.home)["bars"]
    assert after.filter(pl.col("source") == "daily.2017-08-30").equals(before)

    def same(rows: Any) -> Any:
        rows["close"][-5] *= 1.01
        rows["high"][-5] *= 1.02
        return rows

    run_changed(world, LAST, same)
    assert ledger(world.home) == [entry]


def test_a_bar_that_comes_late(world: World) -> None:
    run_changed(world, DATE(2017, 8, 31), lambda rows: np.delete(rows, -2))
    assert [kind for kind, _ in ledger(world.home)] == [LedgerKind.GAP]
    world.run(LAST)
    assert sorted(kind for kind, _ in ledger(world.home)) == [LedgerKind.GAP, LedgerKind.BACKFILL]
    bars = tables(world.home)["bars"].filter(pl.col("instrument") == "usa:AAPL")
    assert bars["open_time"].is_unique().all()
    assert bars.height == tables(world.home)["averages"].filter(pl.col("instrument") == "usa:AAPL").height


def test_a_repair_is_in_the_ledger_and_in_the_digest(world: World) -> None:
    def hundredfold(rows: Any) -> Any:
        rows["close"][-1] *= 100.0
        return rows

    world.run(DATE(2017, 8, 31))
    world.subscribe("apple@example.org", "usa:AAPL")
    right = FilesSource(world.files).history("usa:AAPL", LAST, LAST).rows["close"][0]
    summaries = run_changed(world, LAST, hundredfold)
    assert summaries["check"]["by_rule"] == {"unit": 1}
    assert summaries["repair"]["repaired"] == 1
    ((kind, detail),) = ledger(world.home)
    assert kind == LedgerKind.REPAIRED
    assert detail.startswith(f"unit: close {100.0 * right:.6g} -> {right:.6g}")
    with open_control(world.home) as control:
        (message,) = control.messages.history(None, 10)
    assert msgspec.json.decode(message.payload, type=DigestNotice).trouble == (f"usa:AAPL: {detail}",)


def test_prices_in_doubt_are_held_back(world: World) -> None:
    def halved(rows: Any) -> Any:
        for name in ("open", "high", "low", "close", "adj_close"):
            rows[name][: len(rows) // 2] *= 100.0
        return rows

    summaries = run_changed(world, LAST, halved)
    assert summaries["check"]["held"] == ["usa:AAPL"]
    assert "usa:AAPL" not in set(tables(world.home)["bars"]["instrument"])
    assert summaries["signals"]["instruments"] == 2


def test_a_split_changes_no_stored_bar(world: World) -> None:
    """The source rescales all of its history; what is stored is raw, and the split stands beside it."""

    def split(rows: Any) -> Any:
        before = rows["time"] < (LAST - DATE(1970, 1, 1)).days * DAY_NS
        for name in ("open", "high", "low", "close", "adj_close", "dividend"):
            rows[name] /= 4.0
        rows["volume"] *= 4.0
        rows["split"][~before] = 4.0
        return rows

    world.run(DATE(2017, 8, 31))
    stored = tables(world.home)["bars"]
    right = FilesSource(world.files).history("usa:AAPL", LAST, LAST).rows["close"][0]
    run_changed(world, LAST, split)
    found = tables(world.home)
    assert "ledger" not in found
    bars = found["bars"].filter(pl.col("instrument") == "usa:AAPL").sort("open_time")
    assert found["bars"].filter(pl.col("source") == "daily.2017-08-31").equals(stored)
    assert bars["close"][-1] == pytest.approx(right / 4.0)
    assert bars["close"][-2] / bars["close"][-1] == pytest.approx(4.0, rel=0.02)
    action = found["actions"].filter(pl.col("source") == "daily.2017-09-01").row(0, named=True)
    assert (action["kind"], action["value"]) == (ActionKind.SPLIT, 4.0)
    last = found["averages"].filter(pl.col("instrument") == "usa:AAPL").sort("event_time").row(-1, named=True)
    week = [*(bars["close"].tail(7).head(6) / 4.0), bars["close"][-1]]
    assert last["average_7"] == pytest.approx(np.mean(week))


def test_prices_in_new_units_without_a_split_are_held_back(world: World) -> None:
    """Until the source states the split: then both days are there."""

    def rescaled(rows: Any) -> Any:
        for name in ("open", "high", "low", "close", "adj_close", "dividend"):
            rows[name] /= 4.0
        return rows

    world.run(DATE(2017, 8, 30))
    summary = run_changed(world, DATE(2017, 8, 31), rescaled)
    assert summary["check"]["held"] == ["usa:AAPL"]
    assert [detail for _, detail in ledger(world.home)] == [
        "the source's prices are now 0.25 times those stored, without a split that says so; none is taken"
    ]
    world.run(LAST)
    apple = tables(world.home)["bars"].filter(pl.col("instrument") == "usa:AAPL")
    days = apple["open_time"].sort().tail(3) // DAY_NS
    assert days.to_list() == [(DATE(2017, 8, day) - DATE(1970, 1, 1)).days for day in (30, 31)] + [
        (LAST - DATE(1970, 1, 1)).days
    ]


def test_a_day_that_is_long_over_is_told_to_nobody(world: World) -> None:
    world.subscribe("all@example.org")
    outcome = world.run(DATE(2017, 8, 25))
    assert outcome["digest"].record.summary == {
        "messages": 0, "signals": 0, "trouble": ["the day is long over: nobody is told of it"],
    }  # fmt: skip


def test_operators_are_told_of_everything(world: World) -> None:
    operators = (Operator("desk", "apprise"), Operator("risk desk", "webhook", kinds=("risk",)))
    day = world.day(operators=operators)
    run_day(day)
    (message,) = day.control.messages.history(None, 10)
    assert (message.recipient, message.channel, message.kind) == ("desk", "apprise", "digest")
    assert len(msgspec.json.decode(message.payload, type=DigestNotice).quotes) == 3
    day.control.close()


def test_prices_that_a_person_has_looked_at_are_taken(world: World) -> None:
    """A crash by more than nine tenths in a night is real, sometimes."""

    def crash(rows: Any) -> Any:
        after = rows["time"] >= (DATE(2017, 8, 30) - DATE(1970, 1, 1)).days * DAY_NS
        for name in ("open", "high", "low", "close", "adj_close"):
            rows[name][after] *= 0.05
        return rows

    def held(date: DATE, number: int = 1) -> list[str]:
        source = Changed(FilesSource(world.files), crash)
        day = world.day(date, source_of=lambda _name: source, round=number)
        found = {one.record.task: one.record.summary for one in run_day(day)}
        day.control.close()
        return list(found["check"]["held"])

    world.run(DATE(2017, 8, 25))
    assert held(DATE(2017, 8, 31)) == ["usa:AAPL"]
    with open_control(world.home) as control:
        accept(control, "usa:AAPL@2017-08-29")
        with pytest.raises(InputError, match="'usa:AAPL@soon' names no day"):
            accept(control, "usa:AAPL@soon")
    assert held(LAST) == ["usa:AAPL"]  # that was another day
    with open_control(world.home) as control:
        accept(control, "usa:AAPL@2017-08-30")
        again = begin_again(world.day(LAST, control))
    assert held(LAST, again.round) == []
    apple = tables(world.home)["bars"].filter(pl.col("instrument") == "usa:AAPL").sort("open_time")
    assert apple["close"][-1] < 10.0 < apple["close"][-4]


# ---- what was asked for


def test_a_wanted_instrument_is_backfilled_recommended_on_and_tracked(world: World) -> None:
    world.settings = ADVISED
    with open_control(world.home) as control:
        control.wanted.add("usa:XOM", 1)
        control.wanted.add("usa:NOPE", 2)
        control.wanted.add("not a name", 3)
    outcome = world.run(DATE(2017, 8, 31))
    assert outcome["plan"].record.summary["wanted"] == 2
    found = tables(world.home)
    assert found["bars"].filter(pl.col("instrument") == "usa:XOM").height > 400
    assert "usa:XOM" in set(found["advice"]["instrument"])
    with open_control(world.home) as control:
        asked = {one.instrument: one for one in control.wanted.list(is_done=None)}
    assert asked["usa:XOM"].done_ns > 0
    assert asked["usa:XOM"].error == ""
    assert asked["usa:NOPE"].error.endswith("has usa:NOPE")
    assert asked["not a name"].error.startswith("'not a name' is no instrument")
    assert world.run(LAST)["plan"].record.summary["instruments"] == 4


@pytest.mark.parametrize("error", [VenueError("nobody answers"), Throttled("come again in an hour", 3600.0)])
def test_a_wanted_instrument_that_cannot_be_had_holds_up_nobody(world: World, error: VenueError) -> None:
    files = FilesSource(world.files)

    class Down:
        name = "down"

        def history(self, instrument: str, start: DATE, end: DATE) -> DailyHistory:
            raise error

    with open_control(world.home) as control:
        control.wanted.add("far:XOM", 1)
        control.wanted.add("far:BA", 1)
        day = world.day(DATE(2017, 8, 31), control, source_of=lambda name: Down() if name.startswith("far") else files)
        fetched = {
            one.record.task: one.record.summary for one in (run_day(day, name)[0] for name in ("plan", "backfill"))
        }
        assert (fetched["backfill"]["failed"], fetched["backfill"]["instruments"]) == (2, 3)
        assert [one.instrument for one in control.wanted.list()] == ["far:BA", "far:XOM"]  # asked for again tomorrow


# ---- killed


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """End the process before or after the `number`-th thing that it writes: odd ones before, even ones after."""
    done: list[str] = []

    def guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            done.append(name)
            if 2 * len(done) - 1 == number:
                raise Killed
            result = real(*args, **kwargs)
            if 2 * len(done) == number:
                raise Killed
            return result

        return call

    from quantlytic.daily.staging import Staging

    targets = [(Table, "append"), (SqlTasks, "begin"), (SqlTasks, "done"), (SqlMessages, "put"), (Staging, "put")]
    with pytest.MonkeyPatch.context() as patched:
        for kind, name in targets:
            patched.setattr(kind, name, guarded(f"{kind.__name__}.{name}", getattr(kind, name)))
        yield done


def prepared(files: Path, home: Path) -> World:
    """Two equities, one of them asked for, and somebody to be told."""
    world = World(home, files, replace(ADVISED, instruments=("usa:AAPL",)))
    world.subscribe("all@example.org")
    with open_control(world.home) as control:
        control.wanted.add("usa:XOM", 1)
    return world


@pytest.fixture(scope="module")
def reference(files: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A day that nothing happened to, and how many things it wrote."""
    home = tmp_path_factory.mktemp("reference")
    world = prepared(files, home)
    with killed_at(-1) as done:
        world.run()
    return home, len(done)


def kill_and_go_on(files: Path, home: Path, *numbers: int) -> World:
    world = prepared(files, home)
    for number in numbers:
        with killed_at(number), pytest.raises(Killed):
            world.run()
    world.run()
    return world


def assert_as_if_never_killed(world: World, reference: Path) -> None:
    assert_same_tables(world.home, reference)
    with open_control(world.home) as control:
        assert len(control.messages.history(None, 10)) == 1
        assert control.preferences.get("daily.tracked") == ["usa:XOM"]


@pytest.mark.parametrize("seed", range(4))
def test_killed_between_any_two_writes_it_goes_on(
    files: Path, tmp_path: Path, reference: tuple[Path, int], seed: int
) -> None:
    home, count = reference
    number = random.Random(seed).randint(1, 2 * count)
    print(f"seed {seed}: killed at {number} of {2 * count}")
    assert_as_if_never_killed(kill_and_go_on(files, tmp_path, number), home)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_every_write_it_goes_on(files: Path, tmp_path: Path, reference: tuple[Path, int]) -> None:
    home, count = reference
    for number in range(1, 2 * count + 1):
        assert_as_if_never_killed(kill_and_go_on(files, tmp_path / str(number), number), home)
    print(f"killed at each of {2 * count} points")


def test_the_lake_is_the_only_one(world: World) -> None:
    """Another run on the same data folder waits for this one."""
    import threading

    order: list[str] = []
    second = threading.Thread(target=lambda: (world.run(), order.append("second")))
    day = world.day()
    seen = threading.Event()

    def slow(_what: str, _done: int, _of: int) -> None:
        if not seen.is_set():
            seen.set()
            second.start()

    run_day(replace(day, progress=slow))
    order.append("first")
    second.join()
    day.control.close()
    assert order == ["first", "second"]
    assert Lake(world.home / "lake").table("bars").revision() == 1
