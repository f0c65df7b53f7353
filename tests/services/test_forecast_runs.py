"""Runs with forecasts: one stream, each Forecast its bar; parity, warm start, recovery."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
from tests.research.paperline import archived, logs, play
from tests.services.forecastline import forecast_run, random_line, write_line
from tests.services.test_recovery import lose_snapshot

from quantlytic.model.bar import BAR
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.research.runs.beginning import begin, begun_session, history
from quantlytic.research.runs.paper import Rows, paper_session
from quantlytic.research.runs.parity import check_parity
from quantlytic.research.runs.recorded import read_recorded
from quantlytic.research.runs.warmstart import rebuild_session
from quantlytic.services.recovery import recover_strategist


def test_parity_over_five_model_changes(tmp_path: Path) -> None:
    line = random_line(3, 300)
    run = forecast_run()
    counts = Counter(type(event) for event in line)
    assert counts[ModelChange] == 5
    with logs(tmp_path / "log") as log:
        write_line(log, line)
        states = play(log, run)
        parity = check_parity(log, run, paper_session(run))
        print(parity)
        assert (parity.bars, parity.mismatches, parity.first_mismatch) == (counts[Forecast], 0, None)
        assert parity.counts["orders"] > 20
        recorded = read_recorded(run, log)
        of_lake = read_recorded(run, log, archived(log, tmp_path))
        for name in BAR.names or ():
            assert recorded.bars[name].tobytes() == of_lake.bars[name].tobytes(), name
        assert np.isfinite(recorded.bars["forecast"]).sum() > 200
        assert rebuild_session(run, paper_session(run), log).state == states[max(states)]


def test_such_a_run_sees_forecasts_and_another_sees_bars() -> None:
    run, line = forecast_run(), random_line(3, 20)
    rows, told = Rows(run), next(event for event in line if isinstance(event, Forecast))
    assert rows.wants(told)
    assert not rows.wants(told.bar)
    plain = Rows(msgspec.structs.replace(run, forecasts=""))
    assert plain.wants(told.bar)
    assert not plain.wants(told)


def test_recovers_from_a_lost_snapshot(tmp_path: Path) -> None:
    line, run = random_line(5, 160), forecast_run()
    with logs(tmp_path / "whole") as log:
        write_line(log, line)
        states = play(log, run)
    with logs(tmp_path / "log") as log:
        write_line(log, line[:150])
        first = play(log, run)
        lake = archived(log, tmp_path)
    lose_snapshot(tmp_path / "log", f"strategist.{run.run_id}", None)
    with logs(tmp_path / "log") as log:
        assert recover_strategist(log, run, paper_session(run), lake) > 60
        write_line(log, line[150:])
        assert first | play(log, run) == states


def test_begins_warm_with_forecasts_of_its_line_and_bars_without(tmp_path: Path) -> None:
    """What the line has said before the run began, from lake and log; where it has not, the venue's bars alone. What challengers
    said of the same bars is no part of it."""
    line = random_line(5, 200)
    bars = [event.bar for event in line if isinstance(event, Forecast)]
    with logs(tmp_path / "log") as log:
        log.writer("barmaker.box").commit({"bars.box": bars})
        shadows = [msgspec.structs.replace(one, value=0.125) for one in line if isinstance(one, Forecast)]
        log.writer("shadow.demo").commit({"shadows.demo": shadows})
        write_line(log, line[60:100])
        lake = archived(log, tmp_path)
        write_line(log, line[100:])
        run = forecast_run(first=60)
        told = [event for event in line[60:] if isinstance(event, Forecast)]
        before = [event for event in line[60:120] if isinstance(event, Forecast)]
        start = next(event for event in line[120:] if isinstance(event, Forecast)).open_time
        found = history(run, log, lake)
        found = found[found["close_time"] <= start]
        kept = {(event.instrument, event.close_time): event.value for event in before}
        ids = [one.id for one in run.instruments]
        expected = [
            kept.get((bar.instrument, bar.close_time), math.nan)
            for bar in sorted(bars, key=lambda bar: (bar.close_time, ids.index(bar.instrument)))
            if bar.close_time <= start
        ]
        assert np.array_equal(found["forecast"], expected, equal_nan=True)
        assert len(told) > len(before) > 20
        session = paper_session(run)
        begun = begin(run, session, log, lake, now_ns=start)
        share = int(np.isfinite(expected).sum())
        assert begun.note.startswith(f"warmed with {len(found):,} 1m bars up to")
        assert f", {share:,} of them with a forecast" in begun.note
        assert session.is_ready
        again = begun_session(run, log)
        assert again.save() == session.save()
