"""The predictor: every bar one forecast by one model, whatever is promoted, broken or killed meanwhile."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.learn.made import MINUTE_NS, START_NS
from tests.learn.servable import (
    BTC,
    ETH,
    LINE,
    OTHER,
    PLAIN,
    POOLED,
    TRAINED,
    artifact,
    endless_artifact,
    market,
    promoted,
    root_artifact,
)
from tests.services.forecasttruth import check_forecasts, expected, plain

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.loading import Loader, Refused
from quantlytic.learn.live.serving import Line, Serving
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.model.bar import BAR, Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.codec import encode
from quantlytic.model.errors import StoreError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.instrument import Instrument
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import QUOTE, Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import TRADE, Trade
from quantlytic.services.predictor import Predictor
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log


class Bench:
    """A log, a registry and a predictor that can be killed."""

    def __init__(self, folder: Path, line: Line = LINE) -> None:
        self.folder, self.line = folder, line
        self.registry = Registry(folder / "lake")
        self.log = self.open_log()
        self.market = self.log.writer("barmaker.box")
        self.minutes = 0
        self.predictor: Predictor | None = None

    def open_log(self) -> Log:
        return open_log("sqlite", folder=self.folder / "log")

    def loader(self, **given: Any) -> Loader:
        return Loader(self.registry, self.line, self.open_log, compiled=False, **given)

    def start(self, **given: Any) -> Predictor:
        """Another one takes over: the one before is dead, without a word."""
        self.predictor = Predictor(self.log, self.line, self.loader(**given), check_s=0.0)
        return self.predictor

    def feed(self, minutes: int) -> None:
        """So many more minutes of bars."""
        self.market.commit({"bars.box": market(self.minutes, minutes)})
        self.minutes += minutes

    def run(self, minutes: int) -> None:
        """More minutes, forecast."""
        assert self.predictor is not None
        self.feed(minutes)
        while self.predictor.pump():
            pass

    def promote(self, made: Artifact, alias: str = "") -> str:
        """In the registry, and looked at."""
        model_id = promoted(self.registry, made, alias)
        if self.predictor is not None:
            self.predictor.look()
        return model_id

    @property
    def events(self) -> list[Event]:
        return list(self.log.read("forecasts.trend", 0, 10**6).events)

    @property
    def forecasts(self) -> list[Forecast]:
        return [one for one in self.events if isinstance(one, Forecast)]

    @property
    def changes(self) -> list[ModelChange]:
        return [one for one in self.events if isinstance(one, ModelChange)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    with closing(made.log):
        yield made


def check(bench: Bench, first: int = 0, *models: Artifact) -> None:
    check_forecasts(bench.log, bench.line, first, *models)


def test_each_bar_has_one_forecast_and_its_mark(bench: Bench) -> None:
    made = artifact(1)
    bench.promote(made)
    bench.start()
    bench.run(30)
    check(bench, 0, made)
    assert [one.cause for one in bench.changes] == ["command"]
    assert bench.changes[0] == bench.events[0]
    assert bench.forecasts[0].reason.startswith("warming up: feature return_1")
    assert all(one.model_id == made.model_id for one in bench.forecasts)
    assert all(0 < one.value < 1 for one in bench.forecasts[6:])


def test_a_swap_between_two_bars(bench: Bench) -> None:
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    bench.start()
    bench.run(10)
    bench.promote(second)
    bench.run(10)
    check(bench, 0, first, second)
    change = bench.changes[1]
    assert (change.old, change.new, change.instrument, change.bar_offset) == (first.model_id, second.model_id, "", 30)
    assert [one.model_id for one in bench.forecasts] == [first.model_id] * 20 + [second.model_id] * 20


def test_no_champion_says_so(bench: Bench) -> None:
    bench.start()
    bench.run(2)
    check(bench)
    assert {one.reason for one in bench.forecasts} == {"no champion"}
    assert {one.model_id for one in bench.forecasts} == {""}


def test_a_rollback_goes_back_to_the_model_that_was_kept(bench: Bench) -> None:
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    predictor = bench.start()
    bench.run(5)
    kept = predictor._served._servings[first.model_id]
    bench.promote(second)
    bench.run(5)
    bench.registry.rollback(POOLED, "worse", "me", 2)
    assert predictor.look() == 1
    bench.run(5)
    check(bench, 0, first, second)
    assert (bench.changes[-1].cause, bench.changes[-1].reason) == ("rollback", "worse")
    assert predictor._served._servings[first.model_id] is kept


def test_a_model_with_other_features_is_warm_when_it_comes(bench: Bench) -> None:
    first, second = artifact(1), artifact(2, features=OTHER)
    bench.promote(first)
    bench.start()
    bench.run(20)
    bench.feed(3)
    bench.promote(second)
    bench.run(10)
    check(bench, 0, first, second)
    assert all(not one.reason for one in bench.forecasts if one.model_id == second.model_id)
    bench.registry.rollback(POOLED, "worse", "me", 2)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(5)
    check(bench, 0, first, second)


def test_history_in_the_log_makes_the_first_forecast_warm(bench: Bench) -> None:
    bench.feed(40)
    made = artifact(1, features=OTHER)
    bench.promote(made)
    bench.start()
    bench.run(5)
    check(bench, 120, made)
    assert all(not one.reason for one in bench.forecasts)


def test_history_in_the_lake_makes_the_first_forecast_warm(bench: Bench) -> None:
    lake = Lake(bench.folder / "lake")
    old = market(0, 40)
    lake.append("import.box", range(80), [one for one in old if isinstance(one, Bar)])
    made = artifact(1, features=OTHER)
    bench.promote(made)
    bench.start(open_lake=lambda: lake)
    bench.minutes = 40
    bench.run(5)
    assert all(not one.reason for one in bench.forecasts)
    twin = Bench(bench.folder / "twin")  # with the same history in its log
    with closing(twin.log):
        twin.feed(40)
        twin.promote(made)
        twin.start()
        twin.run(5)
        assert [one.value for one in bench.forecasts] == [one.value for one in twin.forecasts]


def test_restarts_change_nothing(tmp_path: Path) -> None:
    found = []
    for often in (False, True):
        bench = Bench(tmp_path / str(often))
        with closing(bench.log):
            first, second, third = artifact(1), artifact(2, features=OTHER), artifact(3)
            bench.promote(first)
            bench.start()
            for step in range(12):
                if step in (4, 8):
                    promoted(bench.registry, (second, third)[step // 8])
                    bench.start() if often else bench.predictor.look()  # type: ignore[union-attr]
                bench.run(2)
                if often:
                    bench.start()
            check(bench, 0, first, second, third)
            found.append(b"".join(encode(plain(one)) for one in bench.events))
    assert found[0] == found[1]


def test_after_a_restart_the_model_of_the_log_counts_not_the_registry(bench: Bench) -> None:
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    bench.start()
    bench.run(3)
    promoted(bench.registry, second)
    bench.feed(3)  # what is still to be forecast when the new one is known
    bench.start()
    bench.run(0)
    check(bench, 0, first, second)
    assert [one.bar_offset for one in bench.changes] == [0, 9]


# ---- models that are not let in


def refused(bench: Bench, made: Artifact, spoil: Callable[[Path], None] | None = None, **given: Any) -> str:
    """The words by which a model is refused, a good one serving; which goes on, and nothing is told twice."""
    good = artifact(1)
    bench.promote(good)
    bench.start(**given)
    bench.run(3)
    model_id = promoted(bench.registry, made)
    if spoil is not None:
        spoil(bench.folder / "lake" / "models" / model_id)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(3)
    bench.start(**given)
    bench.run(3)
    check(bench, 0, good)
    assert {one.model_id for one in bench.forecasts} == {good.model_id}
    (change,) = bench.changes[1:]
    assert (change.old, change.new, change.cause, change.bar_offset) == (good.model_id, model_id, "refused", 9)
    assert "\n" not in change.reason
    return change.reason


def flip(folder: Path) -> None:
    path = folder / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def cut(folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(path.read_bytes()[:-10])


def remove(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def test_a_tampered_file_is_refused(bench: Bench) -> None:
    assert "was changed or cut off" in refused(bench, artifact(2), flip)


def test_a_truncated_file_is_refused(bench: Bench) -> None:
    assert "was changed or cut off" in refused(bench, artifact(2), cut)


def test_a_model_that_is_gone_is_refused(bench: Bench) -> None:
    assert "there is no model" in refused(bench, artifact(2), remove)


def test_a_model_of_another_shape_is_refused(bench: Bench) -> None:
    other = artifact(2, features=OTHER)
    assert "takes 4 columns" in refused(bench, artifact(2, content=other.content))


def test_a_file_that_is_no_model_is_refused(bench: Bench) -> None:
    assert "no ONNX model" in refused(bench, artifact(2, content=b"not a model"))


def test_a_model_that_answers_otherwise_is_refused(bench: Bench) -> None:
    assert "golden rows" in refused(bench, artifact(2, golden_values=(0.1, 0.2, 0.3, 0.4)))


def test_a_model_that_gives_no_numbers_is_refused(bench: Bench) -> None:
    made = root_artifact(deciles=((-0.01,) * 11, (0.01,) * 11))
    assert "gave nan for a row in which everything is known" in refused(bench, made)


def test_a_slow_model_is_refused(bench: Bench) -> None:
    good = artifact(1)
    bench.promote(good)
    bench.start()
    bench.run(3)
    bench.start(budget_ns=100)  # no model is that quick
    bench.promote(artifact(2))
    bench.run(3)
    assert {one.model_id for one in bench.forecasts} == {good.model_id}
    assert "ms a row" in bench.changes[1].reason


def test_ten_times_as_slow_as_the_champion_is_refused() -> None:
    loader = Loader(None, LINE, None, budget_ns=4_000_000)  # type: ignore[arg-type]
    assert loader._allowed_ns(0) == 4_000_000
    assert loader._allowed_ns(10_000) == 1_000_000  # a quarter of the budget harms nobody
    assert loader._allowed_ns(200_000) == 2_000_000
    assert loader._allowed_ns(900_000) == 4_000_000


def test_other_feature_code_is_refused(bench: Bench) -> None:
    assert "other code of its features" in refused(bench, artifact(2, code_hash="0" * 64))


def test_other_bars_are_refused(bench: Bench) -> None:
    assert "bars of 1h, not of 1m" in refused(bench, artifact(2, bar_size="1h"))


def test_other_instruments_are_refused(bench: Bench) -> None:
    assert "trained on ADAUSDT" in refused(bench, artifact(2, trained=("file:ADAUSDT",)))


def test_a_model_that_is_too_old_already_is_refused(bench: Bench) -> None:
    assert "is too old: it learned from" in refused(bench, artifact(2, max_age_s=60))


def test_a_refused_model_is_asked_again_when_it_is_promoted_again(bench: Bench) -> None:
    made = artifact(2)
    refused(bench, made, flip)
    bench.registry.put(made)  # mended
    bench.promote(made)
    bench.run(2)
    assert bench.forecasts[-1].model_id == made.model_id


# ---- models that fail while they serve


def test_a_model_that_begins_to_give_no_numbers_is_demoted_at_that_bar(bench: Bench) -> None:
    good = artifact(1)
    bad = root_artifact()
    bench.promote(good)
    bench.start()
    bench.run(10)
    bench.promote(bad)
    bench.run(30)
    check(bench, 0, good, bad)
    *_, change, demotion = bench.changes
    assert (demotion.cause, demotion.old, demotion.new) == ("demoted", bad.model_id, good.model_id)
    at = next(k for k, one in enumerate(bench.events) if one == demotion)
    following = bench.events[at + 1]
    assert isinstance(following, Forecast)
    assert (following.bar_offset, following.model_id) == (demotion.bar_offset, good.model_id)
    assert change.bar_offset == 30
    assert bench.forecasts[-1].model_id == good.model_id
    bench.start()
    bench.run(3)  # it is still what the alias means, and is not asked again
    assert len(bench.changes) == 3


def test_without_one_before_it_a_failed_model_leaves_none(bench: Bench) -> None:
    bench.promote(root_artifact())
    bench.start()
    bench.run(30)
    check(bench)
    assert bench.changes[-1].new == ""
    assert "gave nan" in bench.forecasts[-1].reason


def raising(_: Any) -> Any:
    raise RuntimeError("out of\nmemory")


def after_a_promotion(bench: Bench) -> tuple[Artifact, Artifact, Serving]:
    """Three bars by a first model, three by a second, and what serves that."""
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    predictor = bench.start()
    bench.run(3)
    bench.promote(second)
    bench.run(3)
    return first, second, predictor._served._servings[second.model_id]


def test_a_model_that_raises_is_demoted(bench: Bench) -> None:
    good, bad, serving = after_a_promotion(bench)
    serving.model._answer = raising
    bench.run(3)
    check(bench, 0, good, bad)
    assert bench.changes[-1].cause == "demoted"
    assert bench.changes[-1].reason.endswith("raised RuntimeError: out of memory")
    assert bench.changes[-1].bar_offset == 18


def test_a_model_that_becomes_slow_is_demoted_at_the_fifth_slow_answer(bench: Bench) -> None:
    good, bad, serving = after_a_promotion(bench)
    quick, serving.limit_ns = serving.model._answer, 10_000_000

    def slow(inputs: Any) -> Any:
        time.sleep(0.011)
        return quick(inputs)

    serving.model._answer = slow
    bench.run(4)
    check(bench, 0, good, bad)
    assert [one.model_id for one in bench.forecasts[12:]] == [bad.model_id] * 4 + [good.model_id] * 4
    assert "took more than 10 ms, 5 times in a row" in bench.changes[-1].reason


def test_a_model_that_is_slow_on_four_of_five_bars_is_demoted(bench: Bench) -> None:
    good, bad, serving = after_a_promotion(bench)
    quick, serving.limit_ns, asked = serving.model._answer, 10_000_000, list[float]()

    def often_slow(inputs: Any) -> Any:
        time.sleep(0.011 if len(asked) % 5 else 0.0)
        asked.append(time.monotonic())
        return quick(inputs)

    serving.model._answer = often_slow
    bench.run(8)
    check(bench, 0, good, bad)
    assert bench.changes[-1].cause == "demoted"
    assert bench.changes[-1].reason.endswith("took more than 10 ms, 8 of 16 times")
    assert 24 < bench.changes[-1].bar_offset <= 18 + 13  # the tenth of two bars a minute, with its mark
    assert bench.forecasts[-1].model_id == good.model_id


def test_a_bar_out_of_the_far_future_costs_itself_alone(bench: Bench) -> None:
    """The champion stays, later models are let in, features go on; a hole that is there is waited out for a bar."""
    good, better = artifact(1, max_age_s=3600), artifact(2, max_age_s=3600)
    bench.promote(good)
    bench.start()
    bench.run(5)
    far = next(one for one in market(5, 1) if isinstance(one, Bar))
    shift = 20 * 365 * 86_400 * 10**9
    for bar in (far, msgspec.structs.replace(far, open_time=0, close_time=MINUTE_NS)):
        opened = bar.open_time + (shift if bar.open_time else 0)
        bar = msgspec.structs.replace(bar, open_time=opened, close_time=opened + MINUTE_NS)
        bench.market.commit({"bars.box": [bar]})
    bench.run(1)
    bench.promote(better)
    bench.run(4)
    future, past = bench.forecasts[10:12]
    assert "it counts once the next one agrees" in future.reason
    assert "features take bars in order of time" in past.reason
    assert [one.cause for one in bench.changes] == ["command", "command"]
    assert not any(one.reason for one in bench.forecasts[12:])
    assert bench.forecasts[-1].model_id == better.model_id


def test_a_long_hole_costs_one_bar_more(bench: Bench) -> None:
    good = artifact(1)
    bench.promote(good)
    bench.start()
    bench.run(5)
    by_ns = 100_000 * MINUTE_NS
    later = [one for one in market(0, 8) if isinstance(one, Bar)]
    moved = [
        msgspec.structs.replace(one, open_time=one.open_time + by_ns, close_time=one.close_time + by_ns)
        for one in later
    ]
    bench.market.commit({"bars.box": moved})
    bench.run(0)
    reasons = [one.reason for one in bench.forecasts[10:]]
    assert ["it counts once" in one for one in reasons[:4]] == [True, True, False, False]
    assert not any(reasons[-4:])
    assert len(bench.changes) == 1


def test_a_model_that_never_answers_is_refused_and_others_are_let_in(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quantlytic.learn.registry.runtime.LIMIT_S", 0.2)
    good, endless, better = artifact(1), endless_artifact(golden=0.5), artifact(2)
    bench.promote(good)
    bench.start()
    bench.run(2)
    bench.promote(endless)
    bench.run(2)
    bench.promote(better)
    bench.run(2)
    check(bench, 0, good, better)
    assert [one.cause for one in bench.changes] == ["command", "refused", "command"]
    assert "did not answer within 0.2 s and was stopped" in bench.changes[1].reason


def test_a_model_that_stops_answering_is_demoted_at_that_bar(bench: Bench) -> None:
    good, endless = artifact(1), endless_artifact(above=0.0004)
    bench.promote(good)
    bench.start(budget_ns=2_000_000)
    bench.run(5)
    bench.promote(endless)
    bench.run(30)
    check(bench)
    demotion = bench.changes[-1]
    assert (demotion.cause, demotion.old, demotion.new) == ("demoted", endless.model_id, good.model_id)
    assert demotion.reason == f"model {endless.model_id[:12]} did not answer within 0.5 s and was stopped"
    assert bench.forecasts[-1].model_id == good.model_id


def test_an_expired_model_says_so_once(bench: Bench) -> None:
    made = artifact(1, max_age_s=600)
    bench.promote(made)
    bench.start()
    bench.run(15)
    bench.start()
    bench.run(2)
    check(bench, 0, made)
    _, change = bench.changes
    assert (change.cause, change.new, change.event_time) == ("expired", "", START_NS + 11 * MINUTE_NS)
    assert all("is too old" in one.reason for one in bench.forecasts[20:])
    newer = artifact(2)
    bench.promote(newer)
    bench.run(2)
    assert bench.forecasts[-1].model_id == newer.model_id


def test_a_model_that_is_damaged_at_a_restart_gives_way_to_the_one_before(bench: Bench) -> None:
    good, bad = artifact(1), artifact(2)
    bench.promote(good)
    bench.start()
    bench.run(3)
    bench.promote(bad)
    bench.run(3)
    flip(bench.folder / "lake" / "models" / bad.model_id)
    bench.start()
    bench.run(3)
    check(bench, 0, good, bad)
    assert (bench.changes[-1].cause, bench.changes[-1].new) == ("demoted", good.model_id)
    flip(bench.folder / "lake" / "models" / good.model_id)
    bench.start()
    bench.run(3)
    check(bench, 0, good, bad)
    assert bench.changes[-1].new == ""


# ---- what may be otherwise in a moment

ODD = """
from quantlytic.learn.features.feature import Feature

class Odd(Feature):
    def __init__(self):
        self.n = 0

    def update(self, bar):
        self.n += 1
        if bar.close_time == {odd}:
            raise ValueError("odd bar")
        return bar.close / bar.open - 1.0
"""


def own(folder: Path, minute: int) -> tuple[FeatureSpec, ...]:
    """A feature of one's own that raises at the bars of that minute, and another."""
    path = folder / "mine.py"
    path.write_text(ODD.format(odd=START_NS + (minute + 1) * MINUTE_NS))
    return FeatureSpec("odd", f"{path}:Odd"), FeatureSpec("return_3", "return", {"bars": 3})


@pytest.mark.parametrize("is_waiting", [False, True])
def test_a_feature_that_raises_costs_that_bar_and_nothing_else(bench: Bench, is_waiting: bool) -> None:
    """`is_waiting`: another one is the champion by then, and this the one before."""
    bench.promote(artifact(1, features=own(bench.folder, 10)))
    bench.start(folder=bench.folder)
    bench.run(8)
    if is_waiting:
        bench.promote(artifact(2))
    bench.run(8)
    bench.start(folder=bench.folder)
    bench.run(4)
    check(bench)
    assert len(bench.changes) == 1 + is_waiting
    if not is_waiting:
        odd = bench.forecasts[20:22]
        assert all("raised ValueError: odd bar" in one.reason and "no features: " in one.reason for one in odd)
        assert all(one.reason.startswith("warming up") for one in bench.forecasts[22:28])
    assert not any(one.reason for one in bench.forecasts[28:])


def test_a_champion_whose_features_raise_over_its_history_gives_way(bench: Bench) -> None:
    good, odd = artifact(1), artifact(2, features=own(bench.folder, 10))
    bench.promote(good)
    bench.start(folder=bench.folder)
    bench.run(8)
    bench.promote(odd)
    bench.run(8)
    assert bench.predictor is not None
    key = bench.predictor._served._servings[odd.model_id].feed.key
    bench.predictor._served._feeds[key].live.save = lambda: b""  # type: ignore[method-assign]
    bench.run(1)
    bench.start(folder=bench.folder)
    bench.run(2)
    check(bench)
    assert (bench.changes[-1].cause, bench.changes[-1].new) == ("demoted", good.model_id)
    assert "odd bar" in bench.changes[-1].reason


@pytest.mark.parametrize("what", ["lake", "mine.py"])
def test_a_champion_that_is_away_at_a_restart_is_taken_up_again(bench: Bench, what: str) -> None:
    one, two = artifact(1), artifact(2, features=own(bench.folder, 10_000))
    bench.promote(one)
    bench.start(folder=bench.folder)
    bench.run(6)
    bench.promote(two)
    bench.run(6)
    (bench.folder / what).rename(bench.folder / "away")
    for _ in range(2):
        bench.start(folder=bench.folder)
        bench.run(2)
    demoted = bench.changes[2:]
    assert [change.cause for change in demoted] == ["demoted"]
    assert bench.forecasts[-1].model_id == ("" if what == "lake" else one.model_id)
    shutil.rmtree(bench.folder / what, ignore_errors=True)
    (bench.folder / "away").rename(bench.folder / what)
    for _ in range(2):
        bench.predictor.look()  # type: ignore[union-attr]
        bench.run(4)
        bench.start(folder=bench.folder)
    check(bench, 0, one, two)
    assert [change.new for change in bench.changes[3:]] == [two.model_id]
    assert bench.forecasts[-1].model_id == two.model_id


def test_a_model_that_is_not_there_yet_is_refused_once_and_served_when_it_is(bench: Bench) -> None:
    good, made = artifact(1), artifact(2)
    bench.promote(good)
    bench.start()
    bench.run(3)
    model_id = promoted(bench.registry, made)
    folder = bench.folder / "lake" / "models" / model_id
    folder.rename(bench.folder / "away")
    for _ in range(3):
        bench.predictor.look()  # type: ignore[union-attr]
        bench.run(2)
    assert [one.cause for one in bench.changes] == ["command", "refused"]
    (bench.folder / "away").rename(folder)
    for _ in range(3):
        bench.predictor.look()  # type: ignore[union-attr]
        bench.run(2)
    check(bench, 0, good, made)
    assert bench.forecasts[-1].model_id == model_id
    assert len(bench.changes) == 3


def test_what_served_does_so_at_once_while_what_is_asked_for_never_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = artifact(1)
    bench.promote(good)
    bench.start()
    bench.run(3)
    promoted(bench.registry, artifact(2))
    asked, ends = threading.Event(), threading.Event()

    def never(*_given: Any, **_more: Any) -> Any:
        asked.set()
        ends.wait(60.0)
        raise Refused("it has ended")

    monkeypatch.setattr(Loader, "load", never)
    with closing(Predictor(bench.log, LINE, bench.loader(), check_s=600.0)) as bench.predictor:
        assert asked.wait(30.0), "the first look is at once"
        bench.run(3)
        ends.set()
    check(bench, 0, good)
    assert bench.forecasts[-1].model_id == good.model_id


# ---- lines


def test_a_model_an_instrument(bench: Bench) -> None:
    one, two = artifact(1, trained=("file:BTCUSDT",), line="trend/file:BTCUSDT"), artifact(2)
    bench.promote(one)
    bench.start()
    bench.run(6)
    assert {f.instrument: f.model_id for f in bench.forecasts} == {BTC: one.model_id, ETH: ""}
    assert bench.changes[0].instrument == BTC
    bench.promote(two)
    bench.run(6)
    check(bench, 0, one, two)
    assert {f.instrument: f.model_id for f in bench.forecasts[-2:]} == {BTC: one.model_id, ETH: two.model_id}
    pinned = artifact(3)
    bench.promote(pinned, "trend/pooled/pinned")
    bench.run(6)
    check(bench, 0, one, two, pinned)
    assert {f.model_id for f in bench.forecasts[-2:]} == {pinned.model_id}


def test_an_instrument_that_the_model_does_not_know(bench: Bench) -> None:
    made = artifact(1, trained=("file:ETHUSDT",))
    bench.promote(made)
    bench.start()
    bench.run(6)
    assert [one.reason for one in bench.forecasts[-2:]] == [
        f"model {made.model_id[:12]} was trained on ETHUSDT, not on BTCUSDT",
        "",
    ]


def test_features_of_instruments_that_are_not_of_the_line(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Line("trend", "box", (BTC,), MINUTE_NS))
    with closing(bench.log):
        made = artifact(1, features=OTHER)
        bench.promote(made)
        bench.start()
        bench.run(10)
        assert {one.instrument for one in bench.forecasts} == {BTC}
        values = expected(bench.log, bench.line, made)
        assert bench.forecasts[-1].value == values[bench.forecasts[-1].bar_offset]


def test_an_instrument_more_is_served_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Line("trend", "box", (BTC,), MINUTE_NS))
    with closing(bench.log):
        made = artifact(1)
        bench.promote(made)
        bench.start()
        bench.run(4)
        bench.line = LINE
        bench.start()
        bench.run(4)
        assert {one.instrument: one.model_id for one in bench.forecasts[-2:]} == {
            BTC: made.model_id,
            ETH: made.model_id,
        }


def test_late_bars_and_other_sizes(bench: Bench) -> None:
    made = artifact(1)
    bench.promote(made)
    bench.start()
    bench.run(8)
    late = bench.log.read("bars.box", 6, 1).events[0]
    assert isinstance(late, Bar)
    hour = msgspec.structs.replace(late, close_time=late.open_time + 60 * MINUTE_NS)
    entry = LedgerEntry(BTC, "bars", LedgerKind.LATE, late.close_time)
    bench.market.commit({"bars.box": [hour, late, entry, BarsClosed(60 * MINUTE_NS, hour.close_time)]})
    bench.run(3)
    assert len(bench.forecasts) == 23
    assert bench.forecasts[16].reason.startswith("no features: ")
    assert math.isnan(bench.forecasts[16].value)
    assert all(not one.reason for one in bench.forecasts[17:])


def test_the_thread_swaps_by_itself(bench: Bench) -> None:
    first, second = artifact(1), artifact(2)
    bench.promote(first)
    with closing(Predictor(bench.log, LINE, bench.loader(), check_s=0.02)) as bench.predictor:
        bench.run(3)
        promoted(bench.registry, second)
        ends_s = time.monotonic() + 30
        while bench.predictor._swapper.ready.empty():
            assert time.monotonic() < ends_s
            time.sleep(0.01)
        bench.run(3)
    check(bench, 0, first, second)
    assert bench.forecasts[-1].model_id == second.model_id


def test_a_registry_that_cannot_be_read_is_told_once(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = artifact(1)
    bench.promote(good)
    with closing(Predictor(bench.log, LINE, bench.loader(), check_s=0.01)) as bench.predictor:
        monkeypatch.setattr(bench.registry, "changes", away)
        time.sleep(0.2)
        bench.run(5)
        (record,) = caplog.records
        assert "the models that serve go on: " in record.getMessage()
    check(bench, 0, good)


def away(_: str) -> Any:
    raise StoreError("the bucket is away")


def test_bars_that_a_model_learned_from_are_told_of_once(bench: Bench) -> None:
    data = msgspec.structs.replace(artifact(1).manifest.data, end_ns=START_NS + 5 * MINUTE_NS)
    first, second = artifact(1, data=data), artifact(2, data=data)
    bench.promote(first)
    bench.start()
    bench.run(3)
    bench.start()
    bench.run(4)
    bench.promote(second)
    bench.run(2)
    check(bench, 0, first, second)
    told, later = bench.changes
    assert told.reason.startswith(f"better; model {first.model_id[:12]} learned from data up to ")
    assert told.reason.endswith("is memory, not skill")
    assert later.reason == "better"


# ---- aliases that are damaged, withdrawn, or mean a model of something else


def test_a_damaged_alias_is_told_once_and_stops_no_other(bench: Bench) -> None:
    own_line = "trend/file:BTCUSDT"
    pooled, own = artifact(1), artifact(2, trained=("file:BTCUSDT",), line=own_line)
    bench.promote(pooled)
    bench.start()
    bench.run(3)
    promoted(bench.registry, artifact(3))
    path = bench.folder / "lake" / "aliases" / POOLED / "00000002.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    bench.promote(own)
    bench.run(3)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.start()
    bench.run(3)
    check(bench, 0, pooled, own)
    told, swapped = sorted(bench.changes[1:], key=lambda one: one.cause, reverse=True)
    assert (told.cause, told.new, told.instrument) == ("refused", "", ETH)
    assert "00000002.json is damaged" in told.reason
    assert (swapped.cause, swapped.new, swapped.instrument) == ("command", own.model_id, BTC)
    path.write_bytes(whole)  # restored from a copy
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(2)
    assert [one.model_id for one in bench.forecasts[-2:]] == [own.model_id, artifact(3).model_id]
    assert len(bench.changes) == 4


def test_a_pin_and_its_withdrawal(bench: Bench) -> None:
    first, pin, third = artifact(1), artifact(2), artifact(3)
    bench.promote(first)
    bench.start()
    bench.run(2)
    bench.promote(pin, "trend/pooled/pinned")
    bench.run(2)
    bench.registry.withdraw("trend/pooled/pinned", "seen enough", "me", 3)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(2)
    bench.start()
    bench.run(1)
    bench.promote(third)
    bench.run(2)
    check(bench, 0, first, pin, third)
    assert [(one.new, one.cause) for one in bench.changes] == [
        (first.model_id, "command"), (pin.model_id, "command"), (first.model_id, "rollback"), (third.model_id, "command"),
    ]  # fmt: skip


def test_after_a_demotion_the_line_forecasts_what_follows(bench: Bench) -> None:
    good, far, near = artifact(1), artifact(3, label=LabelSpec(horizon=12)), artifact(4)
    bench.promote(good)
    predictor = bench.start()
    bench.run(2)
    bench.registry.promote(bench.registry.put(far), POOLED, "longer", "me", 5, new_label=True)
    predictor.look()
    bench.run(2)
    predictor._served._servings[far.model_id].model._answer = raising
    bench.run(2)
    bench.promote(near)
    bench.run(2)
    told = [(one.old, one.new, one.cause) for one in bench.changes[1:]]
    assert told == [
        (good.model_id, far.model_id, "command"), (far.model_id, good.model_id, "demoted"),
        (good.model_id, near.model_id, "command"),
    ]  # fmt: skip


def test_a_line_forecasts_one_thing(bench: Bench) -> None:
    """A model of returns, or of another horizon, is not let in; the horizon is, where it is meant, and back."""
    good, returns = artifact(1), artifact(2, task="return", label=LabelSpec("forward_return"))
    far, near = artifact(3, label=LabelSpec(horizon=12)), artifact(4)
    bench.promote(good)
    bench.start()
    bench.run(2)
    bench.promote(returns)
    bench.run(2)
    bench.promote(far)
    bench.start()
    bench.run(2)
    bench.registry.promote(far.model_id, POOLED, "longer", "me", 5, new_label=True)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(2)
    bench.registry.promote(returns.model_id, POOLED, "longer", "me", 6, new_label=True)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(2)
    bench.promote(near)
    bench.run(2)
    for _ in range(3):
        bench.registry.rollback(POOLED, "back", "me", 7)
    bench.predictor.look()  # type: ignore[union-attr]
    bench.run(2)
    check(bench, 0, good, far)
    told = [(one.new, one.cause) for one in bench.changes]
    assert told == [
        (good.model_id, "command"), (returns.model_id, "refused"), (far.model_id, "refused"), (far.model_id, "command"),
        (returns.model_id, "refused"), (near.model_id, "refused"),
    ]  # fmt: skip
    assert "forecasts the chance of a rise, this model a return: who reads the line" in bench.changes[1].reason
    assert 'by the label direction, this model by direction {"horizon":12}' in bench.changes[2].reason


# ---- trades and quotes

FLOW = (
    *PLAIN,
    FeatureSpec("bought", "signed_volume", {"period": 2}),
    FeatureSpec("pressure", "order_flow_imbalance"),
)


def ticks(minute: int) -> list[Event]:
    """A minute's trades and quotes of both instruments, by the seed that is its number."""
    random = np.random.default_rng(minute)
    begins = START_NS + minute * MINUTE_NS
    found: list[Event] = []
    for k, at in enumerate(sorted(random.integers(0, MINUTE_NS, 40).tolist())):
        one, size = (BTC, ETH)[k % 2], random.random(2).tolist()
        if k % 4 < 2:
            side = (Side.BUY, Side.SELL)[int(random.integers(2))]
            found.append(Trade(one, begins + at, begins + at, minute * 100 + k, 100.0, size[0], side))
        else:
            found.append(Quote(one, begins + at, begins + at, k, 99.0 + size[0], 1.0 + size[1], 101.0, 2.0 - size[1]))
    return found


class Taped(Bench):
    """With trades and quotes: a minute's bars come when some of the next minute's events have."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.recorder = self.log.writer("recorder.box")
        self.recorder.commit({"market.box": ticks(0)})

    def feed(self, minutes: int) -> None:
        for minute in range(self.minutes, self.minutes + minutes):
            following = ticks(minute + 1)
            self.recorder.commit({"market.box": following[:7]})
            self.market.commit({"bars.box": market(minute, 1)})
            self.recorder.commit({"market.box": following[7:]})
        self.minutes += minutes


def flow_values(bench: Bench, made: Artifact) -> dict[int, float]:
    """What the model gives, each minute's events known, by offset of the bar; the first bar's are not known to be whole."""
    batch = bench.log.read("bars.box", 0, 10**6)
    pairs = [(at, e) for at, e in zip(batch.offsets, batch.events, strict=True) if isinstance(e, Bar)][2:]
    trained, index = tuple(Instrument(one) for one in TRAINED), {BTC: 0, ETH: 1}
    events = [event for minute in range(bench.minutes + 1) for event in ticks(minute)]

    def rows(found: list[Any], dtype: Any) -> Any:
        made_rows = np.zeros(len(found), dtype)
        for row, one in zip(made_rows, found, strict=True):
            for name in dtype.names:
                row[name] = index[one.instrument] if name == "instrument" else getattr(one, name, np.nan)
        return made_rows

    features = FeatureSet(made.manifest.features, trained, MINUTE_NS, gaps="restart", compiled=False)
    table = features.table(
        Bars(rows([bar for _, bar in pairs], BAR), trained),
        trades=rows([one for one in events if isinstance(one, Trade)], TRADE),
        quotes=rows([one for one in events if isinstance(one, Quote)], QUOTE),
    )
    values = ServedModel(made).predict(table.values)
    return {at: float(value) for (at, _), value in zip(pairs, values, strict=True)}


@pytest.mark.parametrize("often", [False, True])
def test_features_of_trades_and_quotes_are_those_of_training(tmp_path: Path, often: bool) -> None:
    bench = Taped(tmp_path)
    with closing(bench.log):
        made = artifact(2, features=FLOW)
        bench.promote(made)
        bench.start()
        for _ in range(12):
            bench.run(1)
            if often:
                bench.start()
        values = flow_values(bench, made)
        assert bench.forecasts[0].reason.startswith("no features: the trades and quotes of this bar are not")
        found = {one.bar_offset: one.value for one in bench.forecasts[2:]}
        assert np.array(list(found.values())).tobytes() == np.array([values[at] for at in found]).tobytes()
        assert (
            sum(not one.reason for one in bench.forecasts) == 16
        )  # the first minute is not whole, and a return over three bars is known in the fourth


def test_a_model_on_trades_is_warm_when_it_comes(tmp_path: Path) -> None:
    bench = Taped(tmp_path)
    with closing(bench.log):
        first, second = artifact(1), artifact(2, features=FLOW)
        bench.promote(first)
        bench.start()
        bench.run(8)
        bench.promote(second)
        bench.run(4)
        values = flow_values(bench, second)
        assert [one.model_id for one in bench.forecasts[16:]] == [second.model_id] * 8
        assert all(one.value == values[one.bar_offset] for one in bench.forecasts[16:])
