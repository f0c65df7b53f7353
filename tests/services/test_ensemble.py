"""Several lines as one: the mean, bar by bar, whoever is quicker."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.learn.made import MINUTE_NS
from tests.learn.servable import market

from quantlytic.model.bar import Bar
from quantlytic.model.codec import encode
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.ensemble import Ensemble
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(open_log("sqlite", folder=tmp_path / "log")) as made:
        yield made


def said(line: str, minutes: int, first: int = 0, seed: int = 1) -> list[Event]:
    """What a member says: a value for most bars, another model in between."""
    source = random.Random(f"{line} {seed}")
    found: list[Event] = []
    for offset, event in enumerate(market(0, minutes)):
        if not isinstance(event, Bar):
            found.append(event)
            continue
        known = source.random() < 0.8
        model = f"{line}{offset // 30}".ljust(64, "0")
        if offset % 30 == 0:
            found.append(ModelChange(line, "", event.close_time, "", model, "command", "", offset))
        found.append(
            Forecast(
                line, event.instrument, event.open_time, event.close_time, event.open, event.high, event.low, event.close,
                event.volume, event.quote_volume, event.trades, source.random() if known else math.nan, model,
                "" if known else "warming up", offset, source.randrange(1000), source.random(),
            )
        )  # fmt: skip
    at = next(k for k, one in enumerate(found) if isinstance(one, Forecast) and one.bar_offset >= first)
    return found[at:]


def test_the_mean_of_all_members_or_why_there_is_none(log: Log) -> None:
    streams = {line: said(line, 40) for line in "abc"}
    ensemble = Ensemble(log, "all", "abc")
    for line, events in streams.items():
        log.writer(f"predictor.{line}").commit({f"forecasts.{line}": events})
    while ensemble.pump():
        pass
    found = log.read("forecasts.all", 0, 10**6).events
    assert [
        one.bar if isinstance(one, Forecast) else one for one in found if not isinstance(one, ModelChange)
    ] == market(0, 40)
    members = [[one for one in events if isinstance(one, Forecast)] for events in streams.values()]
    forecasts = [one for one in found if isinstance(one, Forecast)]
    assert len(forecasts) == 80
    for made, *of in zip(forecasts, *members, strict=True):
        values = [one.value for one in of]
        if any(map(math.isnan, values)):
            assert math.isnan(made.value)
            assert made.reason == "; ".join(f"{one.line}: warming up" for one in of if math.isnan(one.value))
        else:
            assert (made.value, made.reason) == (sum(values) / 3, "")
        assert made.model_id == "+".join(one.model_id[:12] for one in of)
        assert (made.drift, made.latency_ns) == (max(one.drift for one in of), max(one.latency_ns for one in of))
    in_force: dict[str, str] = {}
    for one in found:
        if isinstance(one, ModelChange):
            assert one.old == in_force.get(one.instrument, "")
            in_force[one.instrument] = one.new
        elif isinstance(one, Forecast):
            assert one.model_id == in_force[one.instrument]


@pytest.mark.parametrize("seed", range(5))
def test_who_is_quicker_and_who_dies_plays_no_role(tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    print(f"seed {seed}")
    found = []
    for often in (False, True):
        with closing(open_log("sqlite", folder=tmp_path / str(often))) as log:
            streams = {line: said(line, 30, seed=seed) for line in "ab"}
            ensemble = Ensemble(log, "all", "ab")
            writers = {line: log.writer(f"predictor.{line}") for line in streams}
            while any(streams.values()):
                line = source.choice([one for one in streams if streams[one]])
                count = source.randrange(1, 15) if often else 10**6
                writers[line].commit({f"forecasts.{line}": streams[line][:count]})
                streams[line] = streams[line][count:]
                if often:
                    ensemble.pump()
                    ensemble = Ensemble(log, "all", "ab")
            while ensemble.pump():
                pass
            ensemble.close()
            found.append(b"".join(encode(one) for one in log.read("forecasts.all", 0, 10**6).events))
    assert found[0] == found[1]


def test_a_member_that_begins_later(log: Log) -> None:
    ensemble = Ensemble(log, "all", "ab")
    log.writer("predictor.a").commit({"forecasts.a": said("a", 10)})
    assert ensemble.pump() == 0  # the first bar waits for the other member
    log.writer("predictor.b").commit({"forecasts.b": said("b", 10, first=9)})
    while ensemble.pump():
        pass
    forecasts = [one for one in log.read("forecasts.all", 0, 10**6).events if isinstance(one, Forecast)]
    assert [one.bar_offset for one in forecasts] == [at for at, one in enumerate(market(0, 10)) if isinstance(one, Bar)]
    assert ["b: begins later" in one.reason for one in forecasts] == [True] * 6 + [False] * 14
    assert forecasts[-1].close_time - forecasts[-1].open_time == MINUTE_NS


def test_members_that_forecast_different_things_have_no_mean(log: Log) -> None:
    def meaning_of(model_id: str) -> str:
        if model_id.startswith("b0"):
            raise DataError("model b0 is gone")
        return "a return" if model_id.startswith("b3") else "the chance of a rise"

    ensemble = Ensemble(log, "all", "ab", meaning_of)
    for line in "ab":
        log.writer(f"predictor.{line}").commit({f"forecasts.{line}": said(line, 40)})
    while ensemble.pump():
        pass
    found = [one for one in log.read("forecasts.all", 0, 10**6).events if isinstance(one, Forecast)]
    whole = [one for one in found if "warming up" not in one.reason]
    told = {one.model_id[13:15]: one.reason for one in whole}
    assert told["b0"] == "what its members forecast is not known: model b0 is gone"
    assert told["b1"] == told["b2"] == ""
    assert told["b3"] == "its members forecast different things: a the chance of a rise, b a return"
    assert all(math.isnan(one.value) == bool(one.reason) for one in found)


@pytest.mark.parametrize("members", ["a", "aa", ["a", "all"]])
def test_members_that_cannot_be(log: Log, members: str) -> None:
    with pytest.raises(InputError, match="two members or more"):
        Ensemble(log, "all", members)
