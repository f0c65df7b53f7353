"""Challengers in the shadow: the same bars, the same numbers as in service, and only the better one comes out."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from tests.learn.made import MINUTE_NS, START_NS, bars_of
from tests.learn.servable import (
    BTC,
    ETH,
    LINE,
    OTHER,
    POOLED,
    TRAINED,
    artifact,
    endless_artifact,
    promoted,
    root_artifact,
)
from tests.services.forecasttruth import expected

from quantlytic.app.commands.challengers import command
from quantlytic.engine.data.bars import Bars
from quantlytic.learn.contest.challenge import Challenge
from quantlytic.learn.contest.promotion import Gate
from quantlytic.learn.contest.shadowrecord import read_records
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.models.linear import FittedLine
from quantlytic.learn.models.model import Scaler
from quantlytic.learn.registry.artifact import Artifact, DataFacts
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.samples.inputs import inputs_of
from quantlytic.learn.training.spec import parse_spec
from quantlytic.learn.training.train import train
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import encode
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.predictor import Predictor
from quantlytic.services.shadow import Shadow
from quantlytic.store.barwriter import write_bars
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

CHALLENGER = "trend/pooled/challenger"
GATE = Gate(outcomes=120, looks=3, alpha=0.49, cost_bps=0.0, max_latency_ms=1_000.0)
MINUTES = 4_000


def trending() -> list[list[float]]:
    """Closes of two instruments whose returns follow the ones before: who knows that has an edge."""
    found = []
    for k in range(2):
        noise = np.random.default_rng(50 + k).normal(0.0, 1e-3, MINUTES)
        returns = np.zeros(MINUTES)
        for t in range(1, MINUTES):
            returns[t] = 0.5 * returns[t - 1] + noise[t]
        found.append((100.0 * np.exp(np.cumsum(returns))).tolist())
    return found


CLOSES = trending()


def knowing(coefficient: float, seed: int = 1, **changed: Any) -> Artifact:
    """A model whose log odds of up are the last return, in deviations, times this."""
    closes = np.array(CLOSES[0])[1_000:]
    rows = inputs_of(np.column_stack([closes[3:] / closes[2:-1] - 1.0, closes[3:] / closes[:-3] - 1.0]))
    model = FittedLine(Scaler(rows), np.array([coefficient, 0.0]), 0.0, True)
    deciles = tuple(tuple(np.quantile(column, np.linspace(0, 1, 11)).tolist()) for column in rows.T)
    return artifact(
        seed, content=model.export(), golden_rows=tuple(map(tuple, rows[:4].tolist())),
        golden_values=tuple(model.predict(rows[:4]).tolist()), feature_deciles=deciles, **changed,
    )  # fmt: skip


class Stage:
    """A log, a registry, a line's bars and forecasts, and a shadow that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registry = Registry(folder / "lake")
        self.log = self.open_log()
        self.minutes = 0
        self.now_s = 0.0
        self.champion = promoted(self.registry, artifact(9))
        self.shadow: Shadow | None = None

    def open_log(self) -> Log:
        return open_log("sqlite", folder=self.folder / "log")

    def start(self, gate: Gate | None = None, **given: Any) -> Shadow:
        """Another one takes over: the one before is dead, without a word."""
        loader = Loader(self.registry, LINE, self.open_log, compiled=False, **given)
        self.shadow = Shadow(self.log, LINE, loader, gate=gate, check_s=0.0, timer_s=lambda: self.now_s)
        return self.shadow

    def feed(self, minutes: int, model_id: str | None = None, value: float = 0.5) -> None:
        """Bars, and what the champion says of them."""
        model_id = self.champion if model_id is None else model_id
        bars, offsets = self.feed_bars(minutes)
        forecasts = [
            Forecast("trend", *(getattr(bar, name) for name in Bar.__struct_fields__), value, model_id, "", offset)
            if isinstance(bar, Bar) else bar
            for offset, bar in zip(offsets, bars, strict=True)
        ]  # fmt: skip
        with closing(self.log.writer("predictor.trend")) as writer:
            writer.commit({"forecasts.trend": forecasts})

    def feed_bars(self, minutes: int) -> tuple[list[Event], Sequence[int]]:
        """Bars alone, and their offsets."""
        bars: list[Event] = []
        for minute in range(self.minutes, self.minutes + minutes):
            opened = START_NS + minute * MINUTE_NS
            for name, closes in zip(LINE.instruments, CLOSES, strict=True):
                before, close = closes[max(minute - 1, 0)], closes[minute]
                high, low = max(before, close), min(before, close)
                bars.append(Bar(name, opened, opened + MINUTE_NS, before, high, low, close, 2.0, 2.0 * close, 7))
            bars.append(BarsClosed(MINUTE_NS, opened + MINUTE_NS))
        self.minutes += minutes
        with closing(self.log.writer("barmaker.box")) as writer:
            return bars, writer.commit({"bars.box": bars})["bars.box"]

    def run(self, minutes: int, model_id: str | None = None, value: float = 0.5) -> None:
        """More bars, and the shadow takes them."""
        self.feed(minutes, model_id, value)
        self.pump()

    def pump(self) -> None:
        assert self.shadow is not None
        while self.shadow.pump():
            self.now_s += 1.0

    @property
    def events(self) -> list[Event]:
        return list(self.log.read("shadows.trend", 0, 10**6).events)

    @property
    def forecasts(self) -> list[Forecast]:
        return [one for one in self.events if isinstance(one, Forecast)]

    @property
    def words(self) -> list[ModelChange]:
        return [one for one in self.events if isinstance(one, ModelChange)]


def only(shadow: Shadow) -> Challenge:
    """The one challenger."""
    (challenge,) = shadow.challenges.values()
    return challenge


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    with closing(made.log):
        yield made


def test_a_challenger_says_what_it_would_say_in_service(stage: Stage) -> None:
    made = artifact(2, features=OTHER)
    stage.start()
    stage.run(10)
    assert stage.events == []
    promoted(stage.registry, made, CHALLENGER)
    stage.run(30)
    assert [(one.cause, one.old, one.new) for one in stage.words] == [("command", "", made.model_id)]
    values = expected(stage.log, LINE, made)
    assert len(stage.forecasts) == 60
    for one in stage.forecasts:
        assert one.value == values[one.bar_offset], one
        assert (one.model_id, one.line, one.reason) == (made.model_id, "trend", "")
        assert one.latency_ns > 0


def test_restarts_change_nothing(tmp_path: Path) -> None:
    found = []
    for often in (False, True):
        stage = Stage(tmp_path / str(often))
        with closing(stage.log):
            promoted(stage.registry, knowing(0.4), CHALLENGER)
            stage.start(GATE)
            rng = random.Random(1)
            for step in range(60):
                stage.feed(rng.randrange(1, 6))
                if often and step % 7 == 3:
                    stage.start(GATE)
                stage.pump()
            plain = [
                msgspec.structs.replace(one, latency_ns=0) if isinstance(one, Forecast) else _untimed(one)
                for one in stage.events
            ]
            found.append([encode(one) for one in plain])
            assert stage.words[1].cause in ("judged", "promotion")
    assert found[0] == found[1]


def _untimed(event: Event) -> Event:
    assert isinstance(event, ModelChange)
    return msgspec.structs.replace(event, reason=event.reason.partition("; p99")[0])


def test_the_better_one_is_promoted_with_the_reason_and_asked_no_more(stage: Stage) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    stage.run(110)
    assert stage.registry.alias(POOLED) == stage.champion, "too few outcomes"
    stage.run(40)
    assert stage.registry.alias(POOLED) == made.model_id
    change = stage.registry.history(POOLED, newest=1)[-1]
    assert change.by == "gate"
    assert change.reason.startswith("promoted on 120 outcomes, as no. 1 of its year: log loss 0.")
    assert [one.cause for one in stage.words] == ["command", "promotion"]
    assert stage.words[-1].reason == change.reason
    assert len(stage.forecasts) < 2 * 130
    count = len(stage.events)
    stage.run(10, made.model_id)
    assert len(stage.events) == count


def test_one_that_does_not_pay_is_looked_at_thrice_and_let_go(stage: Stage) -> None:
    made, dear = knowing(1.0), msgspec.structs.replace(GATE, cost_bps=50.0)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(dear)
    stage.run(500)
    assert [one.cause for one in stage.words] == ["command", "judged", "judged", "refused"]
    assert [one.reason.partition(" outcomes")[0].rpartition(" ")[2] for one in stage.words[1:]] == ["120", "240", "480"]
    assert "not promoted (return, holding)" in stage.words[-1].reason
    assert stage.registry.alias(POOLED) == stage.champion
    count = len(stage.events)
    stage.start(dear)
    stage.run(30)
    assert len(stage.events) == count, "it is not asked again"
    promoted(stage.registry, knowing(0.9), CHALLENGER)
    stage.run(5)
    assert stage.words[-1].cause == "command", "until the alias changes"


def test_one_that_is_worse_has_one_look(stage: Stage) -> None:
    promoted(stage.registry, knowing(-0.3), CHALLENGER)
    stage.start(GATE)
    stage.run(200)
    assert [one.cause for one in stage.words] == ["command", "refused"]
    assert "not promoted (loss, base rate, return, holding) on 120 outcomes" in stage.words[-1].reason


def test_what_is_trained_each_night_does_not_end_the_contests_before_it(stage: Stage) -> None:
    made = [knowing(0.2 + 0.1 * k) for k in range(6)]
    shadow = stage.start(GATE)
    for one in made[:4]:
        promoted(stage.registry, one, CHALLENGER, by="trainer")
        stage.run(20)
    assert list(shadow.challenges) == [one.model_id for one in made[:4]]
    for one in made[4:]:
        promoted(stage.registry, one, CHALLENGER, by="trainer")
        stage.run(10)
    assert made[5].model_id not in shadow.challenges, "there is no room"
    stage.run(40)
    ended = [one for one in stage.words if not one.new]
    assert ended[0].old == made[0].model_id, "who came first is judged first"
    assert made[4].model_id not in shadow.challenges
    assert made[5].model_id in shadow.challenges, "the newest one has its place"
    again = stage.start(GATE)
    assert list(again.challenges) == list(shadow.challenges)
    promoted(stage.registry, knowing(2.0), CHALLENGER)
    stage.run(3)
    assert len(again.challenges) == 1, "a person's challenger takes the place of all"
    assert {one.model_id for one in stage.forecasts[-2:]} == {knowing(2.0).model_id}


def test_one_that_does_not_pass_its_look_makes_room_for_a_newer_one(stage: Stage) -> None:
    dear = msgspec.structs.replace(GATE, cost_bps=50.0)
    made = [knowing(0.2 + 0.1 * k) for k in range(5)]
    stage.start(dear)
    for one in made:
        promoted(stage.registry, one, CHALLENGER, by="trainer")
        stage.run(5)
    stage.run(130)
    reasons = [one.reason for one in stage.words if not one.new]
    assert "a newer one takes its place" in reasons[0]
    judged = [one.cause for one in stage.words].count("judged")
    assert (len(reasons), judged) == (1, 3), "the others go on"


def test_without_a_champion_the_first_must_beat_the_base_rate(stage: Stage) -> None:
    stage.registry = Registry(stage.folder / "empty")
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    stage.run(140, "", math.nan)
    assert stage.registry.alias(POOLED) == made.model_id
    assert "the base rate's" in stage.registry.history(POOLED)[-1].reason


def test_what_was_seen_against_another_champion_does_not_count(stage: Stage) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    stage.run(100)
    other = promoted(stage.registry, artifact(8))
    stage.run(100, other)
    assert stage.registry.alias(POOLED) == other
    stage.run(40, other)
    assert stage.registry.alias(POOLED) == made.model_id


def test_a_pinned_line_is_left_alone(stage: Stage) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    promoted(stage.registry, artifact(7), "trend/pooled/pinned")
    stage.start(GATE)
    stage.run(300)
    assert stage.registry.alias(POOLED) == stage.champion


def test_bars_it_has_learned_from_are_no_outcomes(stage: Stage) -> None:
    end_ns = START_NS + 100 * MINUTE_NS
    made = knowing(1.0, data=DataFacts(TRAINED, "1m", START_NS, end_ns, 200, 0, "0" * 64))
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(150)
    assert only(shadow).contest.outcomes == 49
    assert len(stage.forecasts) == 300


def test_another_label_cannot_be_compared(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0, label=LabelSpec("direction", 3), horizon=3), CHALLENGER)
    stage.start(GATE)
    stage.run(200)
    assert "forecast different labels" in stage.words[-1].reason
    assert stage.registry.alias(POOLED) == stage.champion


def test_a_model_of_one_instrument_challenges_the_pooled_one_there(stage: Stage) -> None:
    made = knowing(1.0, line="trend/file:BTCUSDT", trained=TRAINED[:1])
    promoted(stage.registry, made, "trend/file:BTCUSDT/challenger")
    stage.start(GATE)
    stage.run(300)
    assert {one.instrument for one in stage.forecasts} == {LINE.instruments[0]}
    assert stage.registry.alias("trend/file:BTCUSDT/champion") == made.model_id
    assert stage.registry.alias(POOLED) == stage.champion
    assert {one.instrument for one in stage.words} == {LINE.instruments[0]}


def two_champions(stage: Stage, minutes: int, own: str) -> None:
    """Bars on which BTC is forecast by a model of its own, and ETH by the pooled champion."""
    names = stage.champion, own
    for _ in range(minutes):
        bars, offsets = stage.feed_bars(1)
        said = [
            Forecast("trend", *(getattr(bar, name) for name in Bar.__struct_fields__), 0.5, names[bar.instrument == BTC], "", at)
            for at, bar in zip(offsets, bars, strict=True) if isinstance(bar, Bar)
        ]  # fmt: skip
        with closing(stage.log.writer("predictor.trend")) as writer:
            writer.commit({"forecasts.trend": said})
    stage.pump()


def test_champions_that_differ_by_instrument_are_a_contest_each_until_one_changes(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    other, third = promoted(stage.registry, artifact(8)), promoted(stage.registry, artifact(7))
    shadow = stage.start()
    two_champions(stage, 60, other)
    contest = only(shadow).contest
    assert only(shadow).seat.opponents == {BTC: other, ETH: stage.champion}
    assert (contest.outcomes, contest.has_champion) == (56, True), "features need four bars"
    rows = contest._rows
    shadow = stage.start()
    assert only(shadow).contest._rows == rows
    two_champions(stage, 10, third)
    assert only(shadow).contest.outcomes == 9, "what was seen against another one counts no more"


def test_a_pooled_one_is_measured_where_it_would_serve(stage: Stage) -> None:
    """A champion of BTC's own stands before a pooled one: a pooled challenger is judged on ETH, and says so."""
    own = promoted(stage.registry, artifact(6, line="trend/file:BTCUSDT", trained=TRAINED[:1]))
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    two_champions(stage, 520, own)
    assert {one.instrument for one in stage.forecasts} == {ETH}
    assert stage.registry.alias(POOLED) == made.model_id
    assert {one.instrument for one in stage.words} == {ETH}
    assert (stage.words[0].cause, stage.words[-1].cause) == ("command", "promotion")
    assert stage.words[0].reason == "better; measured on box:ETHUSDT alone: the others have champions of their own"


def test_a_pooled_one_that_would_serve_nowhere_is_told_at_once(stage: Stage) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(20)
    promoted(stage.registry, artifact(6, line=f"trend/{TRAINED[0]}", trained=TRAINED[:1]))
    stage.run(20)
    assert [one.cause for one in stage.words] == ["command", "judged"]
    assert stage.words[1].reason.startswith("from now on measured on box:ETHUSDT alone")
    assert (only(shadow).seat.instruments, only(shadow).contest.outcomes) == ((ETH,), 19)
    promoted(stage.registry, artifact(6, line=f"trend/{TRAINED[1]}", trained=TRAINED[1:]))
    stage.run(5)
    assert shadow.challenges == {}
    assert "this one would serve nowhere" in stage.words[-1].reason
    promoted(stage.registry, knowing(0.9), CHALLENGER)
    stage.run(5)
    assert [one.cause for one in stage.words[2:]] == ["refused", "refused"], (
        "and so is the next one, before it is asked"
    )
    count = len(stage.events)
    stage.start(GATE)
    stage.run(5)
    assert len(stage.events) == count


def test_a_pooled_one_that_was_pinned_away_for_a_while_is_measured_on_all_again(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    own = artifact(6, line=f"trend/{TRAINED[0]}", trained=TRAINED[:1])
    shadow, pin = stage.start(), f"trend/{TRAINED[0]}/pinned"
    stage.run(20)
    promoted(stage.registry, own, pin)
    stage.run(20)
    assert (only(shadow).seat.instruments, only(shadow).contest.outcomes) == ((ETH,), 19)
    stage.registry.withdraw(pin, "over", "me", 2)
    stage.run(20)
    assert (only(shadow).seat.instruments, only(shadow).contest.outcomes) == ((BTC, ETH), 19)
    assert stage.words[-1].reason == "from now on measured on all instruments; the contest begins anew"
    rows, again = only(shadow).contest._rows, stage.start()
    assert len(rows) == 2 * 19
    assert only(again).contest._rows == rows
    stage.run(5)
    assert only(again).contest.outcomes == 24


def test_a_pooled_one_is_not_promoted_to_where_it_was_not_measured(stage: Stage) -> None:
    """Between two looks at the aliases BTC's own pin goes: it would serve there, and was measured on ETH alone."""
    made, pin = knowing(1.0), f"trend/{TRAINED[0]}/pinned"
    promoted(stage.registry, made, CHALLENGER)
    promoted(stage.registry, artifact(6, line=f"trend/{TRAINED[0]}", trained=TRAINED[:1]), pin)
    shadow = stage.start(msgspec.structs.replace(GATE, outcomes=60))
    stage.run(10)
    shadow._check_s = 1e9
    stage.run(1)
    stage.registry.withdraw(pin, "over", "me", 2)
    stage.run(300)
    assert (only(shadow).seat.instruments, stage.registry.alias(POOLED)) == ((ETH,), stage.champion)
    assert only(shadow).is_due


def test_one_that_knows_none_of_what_is_left_is_refused(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0, data=DataFacts(TRAINED[:1], "1m", 0, 1, 200, 0, "0" * 64)), CHALLENGER)
    shadow = stage.start()
    stage.run(5)
    promoted(stage.registry, artifact(6, line=f"trend/{TRAINED[0]}", trained=TRAINED[:1]))
    stage.run(5)
    assert (stage.words[-1].cause, shadow.challenges) == ("refused", {})
    assert stage.words[-1].reason.endswith("was trained on BTCUSDT, none of box:ETHUSDT")


def test_a_challenger_of_one_instrument_narrows_no_pooled_one(stage: Stage) -> None:
    """It is no champion: promoted, the pooled one would serve there as well."""
    pooled = promoted(stage.registry, knowing(1.0), CHALLENGER)
    alone = knowing(0.9, line="trend/file:BTCUSDT", trained=TRAINED[:1])
    promoted(stage.registry, alone, "trend/file:BTCUSDT/challenger")
    stage.start()
    stage.run(5)
    assert Counter((one.model_id, one.instrument) for one in stage.forecasts) == {
        (pooled, BTC): 5, (pooled, ETH): 5, (alone.model_id, BTC): 5,
    }  # fmt: skip
    assert [one.reason for one in stage.words] == ["better", "better"]


def test_one_that_the_gate_does_not_look_at_takes_no_place(stage: Stage) -> None:
    pin = "trend/pooled/pinned"
    promoted(stage.registry, artifact(7), pin)
    shadow = stage.start(GATE)
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    stage.run(130)
    assert only(shadow).is_due
    promoted(stage.registry, knowing(1.0, label=LabelSpec("direction", 3), horizon=3), CHALLENGER)
    stage.registry.withdraw(pin, "over", "me", 2)
    stage.now_s += 60.0
    stage.run(130)
    assert "forecast different labels" in stage.words[-1].reason
    assert shadow._places.given == {}
    promoted(stage.registry, knowing(-0.3), CHALLENGER)
    stage.run(130)
    assert shadow._places.given == {CHALLENGER: {2023: 1}}


def test_each_challenger_that_is_looked_at_takes_a_place_of_the_year(stage: Stage) -> None:
    made = [knowing(-0.3 - 0.1 * k) for k in range(3)]
    for one in made:
        promoted(stage.registry, one, CHALLENGER)
        stage.start(GATE)
        stage.run(130)
    reasons = [one.reason for one in stage.words if one.cause == "refused"]
    assert [reason.partition("as no. ")[2][:1] for reason in reasons] == ["1", "2", "3"]
    limits = [float(reason.partition("limit ")[2].partition(" %")[0]) for reason in reasons]
    assert limits == sorted(limits, reverse=True), "restarts or not, each has less luck than the one before"


def test_a_champion_named_a_moment_ago_is_not_overridden(stage: Stage) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(119)
    other = promoted(stage.registry, artifact(8))  # at 1 ns; the predictor has not followed yet
    shadow._now_ns = lambda: 60 * 10**9
    stage.run(100)
    assert stage.registry.alias(POOLED) == other
    shadow._now_ns = lambda: 3600 * 10**9  # nor will it: it must have been refused
    stage.now_s += 60.0
    stage.run(10)
    assert stage.registry.alias(POOLED) == made.model_id


def test_killed_after_the_promotion_it_is_told_and_not_made_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(110)
    with monkeypatch.context() as patch:
        stage.feed(30)
        patch.setattr(type(shadow._writer), "commit", killed)
        with pytest.raises(Killed):
            stage.pump()
    assert stage.registry.alias(POOLED) == made.model_id
    assert [one.cause for one in stage.words] == ["command"]
    stage.start(GATE)
    stage.run(10)
    assert [one.cause for one in stage.words] == ["command", "promotion"]
    assert len(stage.registry.history(POOLED)) == 2
    assert stage.words[-1].reason == stage.registry.history(POOLED)[-1].reason
    assert len({(one.instrument, one.close_time) for one in stage.forecasts}) == len(stage.forecasts)


def test_meta_labels_know_their_side_also_after_a_restart(tmp_path: Path) -> None:
    label = LabelSpec("meta", 3, volatility_window=10)
    made = knowing(1.0, label=label, horizon=3, spec={"data": {"gaps": "restart"}, "signal": "return_1"})
    found = []
    for often in (False, True):
        stage = Stage(tmp_path / str(often))
        with closing(stage.log):
            promoted(stage.registry, made, CHALLENGER)
            shadow = stage.start()
            for _ in range(6):
                stage.run(10)
                shadow = stage.start() if often else shadow
            contest = only(shadow).contest
            found.append((contest._rows, contest.book.returns().tolist(), contest.outcomes))
    assert found[0] == found[1]
    assert found[0][2] > 40
    rows = found[0][0]
    assert {row[5] for row in rows} == {0.0, 1.0}


def test_a_contest_that_nobody_ends_does_not_grow_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantlytic.learn.contest.challenge.LONGEST", 50)
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow, most = stage.start(), 0
    for _ in range(13):
        stage.run(10)
        most = max(most, only(shadow).contest.outcomes)
    assert 40 < most <= 50
    rows = only(shadow).contest._rows
    again = stage.start()
    assert only(again).contest._rows == rows


def test_the_record_read_from_the_streams_is_the_contest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = knowing(0.5)
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start()
    stage.run(60, value=0.52)
    other = promoted(stage.registry, artifact(8))
    stage.run(60, other, 0.49)
    contest = only(shadow).contest
    (record,), words = read_records(stage.log, "trend", stage.registry.manifest)
    assert (
        (record.model_id, record.champion, record.outcomes) == (made.model_id, other, contest.outcomes) != ("", "", 0)
    )
    assert record.scores == contest.scores()
    assert record.champion_scores == contest.scores(of_champion=True)
    assert set(record.scores) == {"log_loss", "brier", "auc", "accuracy", "ic", "return_bps"}
    assert record.scores["ic"] > 0.2  # type: ignore[operator]
    assert record.words == words == stage.words

    monkeypatch.chdir(stage.folder)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(stage.folder))
    printed = CliRunner().invoke(command, ["trend", "--json"], catch_exceptions=False)
    told = json.loads(printed.stdout)
    assert told["challengers"][0]["scores"] == record.scores
    assert told["said"][0]["cause"] == "command"
    text = CliRunner().invoke(command, ["trend"], catch_exceptions=False).stdout
    assert f"{made.model_id[:12]} beside {other[:12]}, at work: 59 outcomes" in text
    assert [line.split() for line in text.splitlines()][1] == ["challenger", "champion"]
    assert "command: better" in text
    with pytest.raises(InputError, match="no forecasts of a line 'trent'"):
        CliRunner().invoke(command, ["trent"], catch_exceptions=False)


# ---- challengers that are not let in, or fail


def refused(stage: Stage, made: Artifact, **given: Any) -> str:
    """The words by which a challenger is refused; once, and it is not asked again."""
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE, **given)
    stage.run(10)
    stage.start(GATE, **given)
    stage.run(10)
    word = stage.words[-1]
    assert word.cause == "refused"
    assert sum(one.cause == "refused" for one in stage.words) == 1
    assert "\n" not in word.reason
    return word.reason


def test_a_tampered_file_is_refused(stage: Stage) -> None:
    made = knowing(1.0)
    model_id = stage.registry.put(made)
    promoted(stage.registry, made, CHALLENGER)
    path = stage.folder / "lake" / "models" / model_id / made.manifest.file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    stage.start(GATE)
    stage.run(5)
    stage.start(GATE)
    stage.run(5)
    assert [one.cause for one in stage.words] == ["refused"]
    assert "was changed or cut off" in stage.words[0].reason
    assert stage.forecasts == []


def test_one_tampered_with_while_the_shadow_was_down_is_refused(stage: Stage) -> None:
    made = knowing(1.0)
    model_id = promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    stage.run(5)
    (stage.folder / "lake" / "models" / model_id / made.manifest.file).write_bytes(b"")
    stage.start(GATE)
    stage.run(5)
    stage.run(5)
    assert [one.cause for one in stage.words] == ["command", "refused"]
    assert len(stage.forecasts) == 10


def test_other_shapes_and_other_bars_are_refused(stage: Stage) -> None:
    assert "takes 4 columns" in refused(stage, artifact(2, content=artifact(2, features=OTHER).content))
    stage.shadow = None
    promoted(stage.registry, artifact(3, bar_size="1h"), CHALLENGER)
    stage.start(GATE)
    stage.run(5)
    assert "bars of 1h, not of 1m" in stage.words[-1].reason


def test_one_that_gives_no_number_is_refused_at_that_bar(stage: Stage) -> None:
    reason = refused(stage, root_artifact())
    assert "gave nan for a row in which everything is known" in reason
    assert stage.words[0].cause == "command"


def test_a_slow_one_is_refused(stage: Stage) -> None:
    assert "ms a row" in refused(stage, knowing(1.0), budget_ns=100)


def test_one_that_becomes_slow_or_raises_is_refused_live(stage: Stage) -> None:
    for spoil, words in (("slow", "5 times in a row"), ("raise", "raised RuntimeError: boom")):
        made = knowing(1.0 if spoil == "slow" else 0.9)
        promoted(stage.registry, made, CHALLENGER)
        shadow = stage.start(GATE)
        stage.run(5)
        serving = only(shadow).serving

        def boom(*_: object) -> None:
            raise RuntimeError("boom")

        if spoil == "slow":
            serving.limit_ns = 1
        else:
            serving.model.predict = boom  # type: ignore[assignment]
        stage.run(10)
        assert words in stage.words[-1].reason
        assert stage.words[-1].cause == "refused"
        assert shadow.challenges == {}


def test_one_that_is_slow_on_four_of_five_bars_is_refused_live(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    serving, asked = only(shadow).serving, 0
    answer = serving.model.predict

    def now_and_then_quick(rows: np.ndarray) -> np.ndarray:
        nonlocal asked
        asked += 1
        serving.limit_ns = 1 if asked % 5 else 10**12
        return answer(rows)

    serving.model.predict = now_and_then_quick  # type: ignore[method-assign]
    stage.run(20)
    assert asked == 9, "eight of them were slow, never five in a row"
    assert stage.words[-1].cause == "refused"
    assert stage.words[-1].reason.endswith("8 of 16 times")
    assert shadow.challenges == {}


def test_one_that_never_answers_is_refused_and_the_others_go_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantlytic.learn.registry.runtime.LIMIT_S", 0.2)
    good, at_once, later = knowing(1.0), endless_artifact(golden=0.5), endless_artifact(above=0.0004)
    for one in (good, at_once, later):
        promoted(stage.registry, one, CHALLENGER, by="trainer")
        shadow = stage.start(GATE, budget_ns=10_000_000)
        stage.run(10)
    assert [(one.cause, one.new) for one in stage.words] == [
        ("command", good.model_id), ("refused", at_once.model_id), ("command", later.model_id), ("refused", ""),
    ]  # fmt: skip
    assert "did not answer within 0.2 s and was stopped" in stage.words[1].reason
    assert "did not answer within 0.5 s and was stopped" in stage.words[3].reason
    assert list(shadow.challenges) == [good.model_id]
    assert len([one for one in stage.forecasts if one.model_id == good.model_id]) == 60


def test_one_whose_features_raise_is_refused_live(stage: Stage) -> None:
    path = stage.folder / "mine.py"
    path.write_text(
        "from quantlytic.learn.features.feature import Feature\n"
        "class Odd(Feature):\n"
        "    def update(self, bar):\n"
        f"        if bar.close_time == {START_NS + 11 * MINUTE_NS}:\n"
        "            raise ValueError('odd bar')\n"
        "        return bar.close / bar.open - 1.0\n"
    )
    features = FeatureSpec("odd", f"{path}:Odd"), FeatureSpec("return_3", "return", {"bars": 3})
    promoted(stage.registry, artifact(3, features=features), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(20)
    assert stage.words[-1].reason.endswith("raised ValueError: odd bar")
    assert (stage.words[-1].cause, shadow.challenges) == ("refused", {})


def test_one_that_expires_is_refused(stage: Stage) -> None:
    made = knowing(1.0, max_age_s=600)
    promoted(stage.registry, made, CHALLENGER)
    stage.start(GATE)
    stage.run(20)
    assert "is too old: it learned from data up to" in stage.words[-1].reason
    assert len(stage.forecasts) == 2 * 10


def test_a_registry_that_is_away_is_told_and_waited_for(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    shadow = stage.start(GATE)

    def away(*_: object) -> None:
        raise StoreError("the bucket does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "changes", away)
        stage.run(5)
        assert shadow.last_failure == "the bucket does not answer"
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    stage.run(5)
    assert shadow.last_failure == ""
    assert len(stage.forecasts) == 10


def test_a_registry_that_is_away_at_the_start_ends_no_contest(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made = knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(60)
    before = only(shadow).contest.outcomes

    def away(*_: object) -> None:
        raise StoreError("the bucket does not answer")

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "get", away)
        shadow = stage.start(GATE)
        assert shadow.last_failure == "the bucket does not answer"
        stage.run(10)
        assert shadow.challenges == {}
    stage.now_s += 60.0
    stage.run(10)
    assert only(shadow).contest.outcomes == before + 9
    values = expected(stage.log, LINE, made)
    assert len(stage.forecasts) == 2 * 70
    for one in stage.forecasts:
        assert one.value == values[one.bar_offset] or one.reason
    stage.run(60)
    assert stage.registry.alias(POOLED) == made.model_id


def test_an_empty_lake_while_it_is_at_work_ends_no_contest(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    (stage.folder / "lake").rename(stage.folder / "away")
    stage.run(5)
    assert (len(shadow.challenges), len(stage.forecasts)) == (1, 20)


def test_an_empty_lake_at_a_restart_ends_no_contest(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    stage.start(GATE)
    stage.run(50)
    lake, away = stage.folder / "lake", stage.folder / "away"
    lake.rename(away)
    shadow = stage.start(GATE)
    stage.run(5)
    assert "there is no model" in shadow.last_failure
    shutil.rmtree(lake, ignore_errors=True)
    away.rename(lake)
    stage.now_s += 60.0
    stage.run(5)
    assert (len(shadow.challenges), shadow.last_failure) == (1, "")
    assert [one.cause for one in stage.words] == ["command"]
    assert len(stage.forecasts) == 2 * 55


def test_one_that_is_named_takes_the_place_of_one_that_is_waited_for(stage: Stage) -> None:
    gone = promoted(stage.registry, knowing(1.0), CHALLENGER)
    stage.start(GATE)
    stage.run(5)
    (stage.folder / "lake" / "models" / gone).rename(stage.folder / "away")
    shadow = stage.start(GATE)
    stage.run(5)
    named = promoted(stage.registry, knowing(0.9), CHALLENGER)
    stage.run(5)
    (stage.folder / "away").rename(stage.folder / "lake" / "models" / gone)
    stage.run(5)
    assert list(shadow.challenges) == [named]


def test_one_that_is_withdrawn_is_asked_no_more(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    stage.registry.withdraw(CHALLENGER, "a mistake", "me", 2)
    stage.run(5)
    assert (stage.words[-1].cause, stage.words[-1].new, stage.words[-1].reason) == (
        "command",
        "",
        "withdrawn: a mistake",
    )
    assert (shadow.challenges, len(stage.forecasts)) == ({}, 10)


def test_one_that_is_rolled_back_to_no_model_is_asked_no_more(stage: Stage) -> None:
    promoted(stage.registry, knowing(0.9), CHALLENGER)
    stage.registry.withdraw(CHALLENGER, "a mistake", "me", 2)
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    assert stage.registry.rollback(CHALLENGER, "this one, too", "me", 3).model_id == ""
    stage.run(5)
    assert (stage.words[-1].cause, stage.words[-1].reason) == ("command", "withdrawn: this one, too")
    assert (shadow.challenges, len(stage.forecasts)) == ({}, 10)


def test_one_that_was_withdrawn_a_moment_ago_is_not_promoted(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    shadow._check_s = 1e9
    stage.run(1)
    stage.registry.withdraw(CHALLENGER, "a mistake", "me", 2)
    stage.run(200)
    assert (only(shadow).is_due, stage.registry.alias(POOLED)) == (True, stage.champion)


def test_a_damaged_alias_is_told_and_costs_nothing(stage: Stage) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.run(5)
    path = stage.folder / "lake" / "aliases" / "trend" / "pooled" / "challenger" / "00000002.json"
    path.write_bytes(b"{")
    stage.run(5)
    assert "is damaged" in shadow.last_failure
    assert len(stage.forecasts) == 20


def test_a_full_disk_loses_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(stage.registry, knowing(1.0), CHALLENGER)
    shadow = stage.start(GATE)
    stage.feed(10)

    def full(*_: object) -> None:
        raise StoreError("decisions.db: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(type(shadow._writer), "commit", full)
        stage.pump()
        assert shadow.last_failure == "decisions.db: the disk is full"
    stage.feed(10)
    for _ in range(20):
        stage.now_s += 1.0
        stage.pump()
    assert [one.bar_offset for one in stage.forecasts] == [k for k in range(60) if k % 3 < 2]


def test_the_predictor_follows_the_gate(stage: Stage) -> None:
    """Both together: the champion is exchanged between two bars, for the gate's reason."""
    worse, made = promoted(stage.registry, knowing(-0.5)), knowing(1.0)
    promoted(stage.registry, made, CHALLENGER)
    loader = Loader(stage.registry, LINE, stage.open_log, compiled=False)
    with closing(Predictor(stage.log, LINE, loader, check_s=0.0)) as predictor:
        stage.start(GATE)
        for _ in range(16):
            stage.feed_bars(10)
            predictor.look()
            while predictor.pump():
                pass
            stage.pump()
        written = list(stage.log.read("forecasts.trend", 0, 10**6).events)
    changes = [one for one in written if isinstance(one, ModelChange)]
    assert [(one.cause, one.new) for one in changes] == [("command", worse), ("promotion", made.model_id)]
    assert changes[1].reason.startswith("promoted on ")
    assert [one.cause for one in stage.words] == ["command", "promotion"]


SPEC = """
name = "trend"
[data]
source = "bars.parquet"
bar_size = "1m"
[[features]]
name = "return_1"
kind = "return"
[[features]]
name = "return_5"
kind = "return"
params = {bars = 5}
[split]
folds = 2
embargo = 2
[model]
kind = "logistic"
"""


def test_a_model_that_was_really_trained_becomes_champion(stage: Stage) -> None:
    parts = []
    for name, closes in zip(TRAINED, CLOSES, strict=True):
        part = bars_of(closes[:1_500], np.array([closes[0], *closes[:1_499]]), symbol=name)
        parts.append(part)
    bars = Bars.merge(parts)
    write_bars(stage.folder / "bars.parquet", bars.array, bars.instruments)
    spec = parse_spec(SPEC, stage.folder)
    (made,) = train(spec, folder=stage.folder, home=stage.folder, registry=stage.registry, now_ns=1)
    model_id = made.manifest.model_id
    stage.registry.promote(model_id, CHALLENGER, "trained", "trainer", 1)
    stage.minutes = 1_495
    shadow = stage.start(GATE)
    stage.run(100)
    assert only(shadow).contest.outcomes == 94, "five bars it has learned from"
    stage.run(600)
    assert stage.registry.alias(POOLED) == model_id, stage.words[-1]


PROCESS = """
import sys
from pathlib import Path
from tests.learn.servable import LINE
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.contest.promotion import Gate
from quantlytic.learn.registry.registry import Registry
from quantlytic.services.shadow import Shadow
from quantlytic.store.log import open_log
folder = Path(sys.argv[1])
open_a_log = lambda: open_log("sqlite", folder=folder / "log")
loader = Loader(Registry(folder / "lake"), LINE, open_a_log, compiled=False)
gate = Gate(outcomes=120, looks=3, cost_bps=0.0, max_latency_ms=1_000.0)
shadow = Shadow(open_a_log(), LINE, loader, gate=gate, check_s=0.05)
print("ready", flush=True)
while True:
    if not shadow.pump():
        shadow.wait(0.05)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_any_moment_each_bar_has_one_shadow_forecast_and_the_alias_is_valid(stage: Stage) -> None:
    seed = 20261122
    print("seed", seed)
    rng = random.Random(seed)
    made = [knowing(0.1 + 0.05 * k) for k in range(4)] + [knowing(1.0)]
    kills = int(os.environ.get("SHADOW_KILLS", "20"))
    asked = 0
    for kill in range(kills):
        with subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(stage.folder)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        ) as process:
            assert process.stdout is not None
            if rng.random() < 0.8:
                assert process.stdout.readline() == b"ready\n"
            for _ in range(rng.randrange(1, 6)):
                stage.feed(rng.randrange(1, 8), stage.registry.alias(POOLED))
                if asked < len(made) and kill >= asked * kills // (2 * len(made)):
                    promoted(stage.registry, made[asked], CHALLENGER)
                    asked += 1
                time.sleep(rng.random() * 0.8)
            process.kill()
    stage.now_s = 1e9
    shadow = stage.start(GATE)
    stage.pump()
    stage.run(60, stage.registry.alias(POOLED))
    seen = Counter((one.instrument, one.close_time) for one in stage.forecasts)
    assert set(seen.values()) == {1}
    offsets = [one.bar_offset for one in stage.forecasts]
    assert offsets == sorted(offsets)
    values = {one.model_id: expected(stage.log, LINE, one) for one in made}
    for one in stage.forecasts:
        assert one.value == values[one.model_id][one.bar_offset] or one.reason, one
    held = stage.log.read("bars.box", 0, 10**6)
    bars = [at for at, one in zip(held.offsets, held.events, strict=True) if isinstance(one, Bar)]
    ended = [one.bar_offset for one in stage.words if not one.new]
    last = max(ended, default=10**9)
    assert offsets == [at for at in bars if offsets[0] <= at <= offsets[-1]], "none is left out in between"
    assert offsets[-1] == min(bars[-1], last)
    assert asked == len(made)
    assert stage.registry.alias(POOLED) in {stage.champion, *(one.model_id for one in made)}
    for role in ("champion", "challenger"):
        stage.registry.get(stage.registry.alias(f"trend/pooled/{role}") or "")
    contest = next(iter(shadow.challenges.values()), None)
    print("words:", [one.cause for one in stage.words], "outcomes:", contest and contest.contest.outcomes)
