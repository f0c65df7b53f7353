"""Look-ahead beside runs with forecasts, and beside runs whose strategy is replaced: its replica stays the strategist's."""

from __future__ import annotations

import math
from pathlib import Path

from tests.research.paperline import logs, paper_run, play, write_bars
from tests.services.forecastline import forecast_run, random_line, write_line
from tests.services.swapline import ask, changes, means, pump, state_of

from quantlytic.engine.held import HeldSession
from quantlytic.model.codec import encode_batch
from quantlytic.model.forecast import Forecast
from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.intentwords import intent_words
from quantlytic.model.run import Run
from quantlytic.research.runs.paper import paper_session
from quantlytic.research.runs.parity import events_of
from quantlytic.services.lookahead import Lookahead
from quantlytic.store.log.port import Log

RUN = paper_run("sma-cross")


def fresh(run: Run = RUN) -> HeldSession:
    return paper_session(run)


def look(log: Log, run: Run, steps: int = 10**9, task: str = "") -> Lookahead:
    """A new process, for so many steps."""
    service = Lookahead(log, run, fresh(run), 0, check_every_ns=0, forecast_task=task)
    while steps > 0 and service.pump():
        steps -= 1
    return service


def intents(log: Log, run: Run) -> list[Intent]:
    return [event for _, event in events_of(log, f"intents.{run.run_id}") if isinstance(event, Intent)]


def test_it_follows_who_takes_over(tmp_path: Path) -> None:
    told = []
    for restarts in (False, True):
        folder = tmp_path / str(restarts)
        with logs(folder / "log") as log:
            write_bars(log, 120, 3)
            how = means(folder / "log")
            executor, strategist = pump(log, RUN, fresh, how, 50)
            for number, (name, params) in enumerate([("bollinger", {"period": 10}), ("sma-cross", {"slow": 40})]):
                ask(log, RUN, name, "close", number, **params)
                for _ in range(30):
                    executor.pump(), strategist.pump()
            while executor.pump() + strategist.pump():
                pass
            assert [one.is_held for one in changes(log, RUN)] == [False, True]
            while restarts and (service := look(log, RUN, 1)).pump():
                service.close()
            service = look(log, RUN)
            assert service._session.save() == state_of(strategist)
            events = [event for _, event in events_of(log, f"intents.{RUN.run_id}")]
            told.append(encode_batch(events))
            held = changes(log, RUN)[1]
            open_after = {
                one.intent_id: one.is_withdrawn for one in intents(log, RUN) if one.event_time <= held.event_time
            }
            done = {
                one.intent_id for one in events if isinstance(one, IntentOutcome) and one.event_time <= held.event_time
            }
            assert all(gone for number, gone in open_after.items() if number not in done), "the old one's word stands"
    assert told[0] == told[1]


def test_bars_to_come_have_the_last_forecast_and_the_words_tell_it(tmp_path: Path) -> None:
    run, line = forecast_run(), random_line(3, 120)
    with logs(tmp_path / "log") as log:
        write_line(log, line)
        play(log, run)
        look(log, run, task="up").close()
        by_offset = {at: event for at, event in events_of(log, run.bars_stream) if isinstance(event, Forecast)}
        found = [one for one in intents(log, run) if not one.is_withdrawn]
        assert len(found) > 20
        for intent in found:
            known = {by_offset[at].instrument: by_offset[at].value for at in by_offset if at <= intent.bar_offset}
            assert intent.probability == known[intent.instrument]
        words = intent_words(found[0], Instrument("box:A"))
        assert words.endswith(f"; model forecast gives {found[0].probability * 100:.0f} %")
    with logs(tmp_path / "returns") as log:
        write_line(log, line)
        play(log, run)
        look(log, run, task="return").close()
        assert all(math.isnan(one.probability) for one in intents(log, run))
