"""Where a run begins: with indicators warmed by what is on disk, decided once and kept in the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.held import HeldSession
from quantlytic.model.errors import DataError, Fenced, InputError
from quantlytic.model.run import Run
from quantlytic.model.time import duration_text, iso
from quantlytic.research.runs.paper import BarEvent, Rows, paper_session
from quantlytic.research.runs.recorded import bar_rows, bars_table, run_bars
from quantlytic.research.runs.succession import first_strategy
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from pathlib import Path

    from quantlytic.store.lake import Lake

MOST_BARS = 1_000_000  # two years of minutes of one instrument
MOST_GAP_BARS = 20
_LONG_WEEKEND_NS = 4 * 86_400_000_000_000
_ATTEMPTS = 5

Warmup = Literal["lake", "none"]


class Beginning(msgspec.Struct, frozen=True):
    """The session's `state` before the run's first bar. `bars` of history made it, the last of which closed at `until`;
    `note` says it in words: how it is warm, or why it is not."""

    state: bytes
    bars: int
    until: int
    note: str
    is_held: bool = False


_BEGINNING = msgspec.msgpack.Decoder(Beginning)


def start_session(
    run: Run,
    log: Log,
    lake: Lake | None,
    *,
    warmup: Warmup = "lake",
    now_ns: int,
    most_gap_ns: int | None = None,
    sources: Path | None = None,
) -> HeldSession:
    """A session at the run's beginning, for a service that advances the run: see `begin`. `sources`: where the code of
    strategies that took over is kept."""
    session = paper_session(run, strategy=first_strategy(run, log, sources))
    begin(run, session, log, lake, warmup=warmup, now_ns=now_ns, most_gap_ns=most_gap_ns)
    return session


def begun_session(run: Run, log: Log, compiled: bool = True) -> HeldSession:
    """A session at the beginning of a run that has begun, for a replay of it: see `begin_again`."""
    session = paper_session(run, compiled, first_strategy(run, log))
    begin_again(run, session, log)
    return session


def begin(
    run: Run,
    session: HeldSession,
    log: Log,
    lake: Lake | None,
    *,
    warmup: Warmup = "lake",
    now_ns: int,
    most_gap_ns: int | None = None,
) -> Beginning:
    """Bring a fresh session to where the run begins, and keep that in the log: who comes later, another replica of the run
    or its replay, begins with the same bytes.

    "lake": all bars on disk that end before the run's first one (at most the last `MOST_BARS`), so that a strategy is where it
    would be had it always run; orders are held while an indicator is not ready. History that ends more than `most_gap_ns`
    before `now_ns` (20 bars, for bars of an hour and more at least four days) is not used: an average over a hole is none.
    "none", and runs that began without this: cold, nothing is held, as in a backtest.
    """
    for _ in range(_ATTEMPTS):
        writer = log.writer(_name(run))
        fresh = session.save()
        try:
            if writer.snapshot is not None:
                found = _BEGINNING.decode(writer.snapshot)
                made = _take(found, run, session, log, lake)
                if made is not found:
                    writer.commit({}, snapshot=msgspec.msgpack.encode(made))
                return made
            if warmup == "none":
                made = Beginning(fresh, 0, 0, "begins cold: warming up is switched off")
            else:
                made = _warm(run, session, log, lake, now_ns, most_gap_ns)
            writer.commit({}, {run.bars_stream: run.first_bar_offset}, msgspec.msgpack.encode(made))
            return made
        except Fenced:  # another replica has begun at this very moment: its word counts
            session.restore(fresh)
        finally:
            writer.close()
    raise Fenced(f"{_name(run)}: other processes keep taking it; start them one after the other")


def begin_again(run: Run, session: HeldSession, log: Log) -> Beginning | None:
    """Bring a fresh session to where the run began, for a replay of it; None, and nothing done, where it began cold before
    there was a record of it."""
    if not log.committed(_name(run)):
        return None
    writer = log.writer(_name(run))
    try:
        assert writer.snapshot is not None
        return _take(_BEGINNING.decode(writer.snapshot), run, session, log, None)
    finally:
        writer.close()


def _name(run: Run) -> str:
    return f"warmup.{run.run_id}"


def _take(found: Beginning, run: Run, session: HeldSession, log: Log, lake: Lake | None) -> Beginning:
    """Begin as it is recorded; what another version of the engine has saved is made anew, of the same bars."""
    try:
        session.restore(found.state)
        return found
    except InputError:
        if found.bars:
            bars = history(run, log, lake)
            bars = bars[bars["close_time"] <= found.until][-found.bars :]
            if len(bars) < found.bars:
                raise DataError(
                    f"{run.run_id} began, in another version of the engine, with {found.bars:,} bars of history, of which "
                    f"{len(bars):,} are left: it cannot be begun again; start a new run"
                ) from None
            session.warm(bars)
        elif found.is_held:
            session.hold()
        return msgspec.structs.replace(found, state=session.save())


def history(run: Run, log: Log, lake: Lake | None) -> NDArray[Any]:
    """The bars before the run's first one, of its instruments and size, as BAR rows by (close_time, instrument). Where one was
    recorded and filled in from elsewhere as well, the recorded one counts.

    For a run with forecasts: those bars with which its line has given one, and the venue's own, without, where it has not. Of
    the latter all there are: the caller knows when the run begins.
    """
    old = [_of_lake(run, lake)] if lake is not None else []
    progress = lake.progress(run.bars_stream) if lake is not None else None
    position = max(log.bounds(run.bars_stream)[0], progress.next_offset if progress else 0)
    rows, events = Rows(run), list[BarEvent]()
    while position < run.first_bar_offset and (batch := log.read(run.bars_stream, position, 50_000)).events:
        pairs = zip(batch.offsets, batch.events, strict=True)
        events += [e for o, e in pairs if o < run.first_bar_offset and rows.wants(e)]
        position = batch.next_offset
    if run.forecasts:
        plain = msgspec.structs.replace(run, forecasts="")
        old.append(
            history(msgspec.structs.replace(plain, first_bar_offset=log.bounds(plain.bars_stream)[1]), log, lake)
        )
    array = np.concatenate([rows.bars(events), *old])
    if not _is_new(
        array
    ).all():  # of two bars for one time the first counts, which is the recorded one: the sort is stable
        array = array[np.lexsort((array["instrument"], array["close_time"]))]
        array = array[_is_new(array)]
    return array[-MOST_BARS:]


def past(run: Run, log: Log, lake: Lake | None, until: int, most_gap_ns: int | None = None) -> NDArray[Any]:
    """All bars that the run would have seen before the offset `until` of its bars, had it always run: those on disk before it
    began, then its own, as they were taken. What lies before a hole of more than `most_gap_ns` (as for a run that begins) is
    left out, and all but the last `MOST_BARS`."""
    own, offsets = run_bars(run, log, lake)
    own = own[: int(np.searchsorted(offsets, until))]
    before = history(run, log, lake)
    if len(own):
        before = before[before["close_time"] <= own["open_time"][0]]
    bars = np.append(before, own)
    holes = np.flatnonzero(np.diff(bars["close_time"]) > (most_gap_ns or most_gap_of(run)))
    return bars[holes[-1] + 1 if len(holes) else 0 :][-MOST_BARS:]


def most_gap_of(run: Run) -> int:
    """The longest hole over which an average is still one, ns: 20 bars, for bars of an hour and more at least four days."""
    gap_ns = MOST_GAP_BARS * run.bar_size_ns
    return max(gap_ns, _LONG_WEEKEND_NS) if run.bar_size_ns >= 3_600_000_000_000 else gap_ns


def _is_new(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows are later than the one before: at another time, or at its time for a later instrument."""
    later, other = np.diff(array["close_time"]), np.diff(array["instrument"])
    return np.append(True, (later > 0) | ((later == 0) & (other > 0)))[: len(array)]


def _of_lake(run: Run, lake: Lake) -> NDArray[Any]:
    import polars as pl

    index = {one.id: k for k, one in enumerate(run.instruments)}
    is_ours = pl.col("source") == run.bars_stream
    frame = (
        bars_table(run, lake)
        .filter(~(is_ours & (pl.col("offset") >= run.first_bar_offset)))
        .with_columns(is_ours=is_ours)
        .sort("is_ours", "close_time", descending=[True, False])
        .collect()
    )
    return bar_rows(frame, index)


def _warm(
    run: Run, session: HeldSession, log: Log, lake: Lake | None, now_ns: int, most_gap_ns: int | None
) -> Beginning:
    if log.bounds(run.executions_stream)[1] > 0:
        return Beginning(session.save(), 0, 0, "began before there was a warm-up")
    bars = history(run, log, lake)
    first = _first_bar(run, log)
    bars = bars[bars["close_time"] <= (now_ns if first is None else first.open_time)]
    until = int(bars["close_time"][-1]) if len(bars) else 0
    if most_gap_ns is None:
        most_gap_ns = most_gap_of(run)
    size = duration_text(run.bar_size_ns)
    if not len(bars) or now_ns - until > most_gap_ns:
        session.hold()
        why = f"no {size} bars on disk" if not len(bars) else f"the {size} bars on disk end at {iso(until)[:19]}"
        held = "; orders are held until its indicators are ready" if session.is_held else ""
        return Beginning(session.save(), 0, until, f"begins cold: {why}{held}", session.is_held)
    ready = session.warm(bars)
    held = "" if ready else "; orders are held until its indicators are ready"
    known = f", {np.isfinite(bars['forecast']).sum():,} of them with a forecast" if run.forecasts else ""
    note = f"warmed with {len(bars):,} {size} bars up to {iso(until)[:19]}{known}{held}"
    return Beginning(session.save(), len(bars), until, note, session.is_held)


def _first_bar(run: Run, log: Log) -> BarEvent | None:
    rows, batch = Rows(run), log.read(run.bars_stream, max(run.first_bar_offset, log.bounds(run.bars_stream)[0]))
    return next((one for one in batch.events if rows.wants(one)), None)
