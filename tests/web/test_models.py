"""The lines of models, as the page shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.web.conftest import wait_until

from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.outcomes import Outcome
from quantlytic.learn.contest.promotion import Gate
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.strategychange import NOBODY, StrategyChange
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.store.log.batch import EventBatch
from quantlytic.store.log.sqlite import SqliteLog
from quantlytic.web.challengers import verdict
from quantlytic.web.models import COURSE, KEPT_CHANGES, WINDOW, ModelsView, drift_word
from quantlytic.web.reader import TapeReader
from quantlytic.web.views import Dashboard

A, B = "box:A", "box:B"
OLD, NEW = "0" * 64, "1" * 64
NAN = math.nan


def forecast(
    second: int, value: float = 0.5, model: str = OLD, name: str = A, *, reason: str = "", latency_ms: float = 1.0,
    drift: float = NAN,
) -> Forecast:  # fmt: skip
    end = second * NS_PER_S
    return Forecast(
        "l", name, end - NS_PER_S, end, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, value, model, reason, second, int(1e6 * latency_ms),
        drift,
    )  # fmt: skip


def change(second: int, cause: str, old: str = OLD, new: str = NEW, *, name: str = "", reason: str = "") -> ModelChange:
    return ModelChange("l", name, second * NS_PER_S, old, new, cause, reason, second)


def view_of(forecasts: Sequence[Event] = (), shadows: Sequence[Event] = ()) -> ModelsView:
    view = ModelsView("box")
    view.forecasts("l", forecasts)
    view.shadows("l", shadows)
    return view


def test_a_line_without_forecasts_is_not_shown() -> None:
    assert view_of().lines() == []
    assert view_of([change(1, "command")]).lines() == []
    assert view_of([forecast(1, name="binance:A")]).lines() == []  # another venue's


def test_which_model_is_in_force_where_and_since_when() -> None:
    view = view_of([
        change(1, "command", "", OLD, reason="first"), forecast(1), forecast(1, name=B),
        change(3, "promotion", name=B, reason="better"), forecast(3), forecast(3, model=NEW, name=B),
        change(4, "refused", OLD, "2" * 64, reason="cut off"), forecast(4), forecast(4, model=NEW, name=B),
    ])  # fmt: skip
    (line,) = view.lines()
    assert line["in_force"] == [
        {"model": "0" * 12, "instruments": [A], "is_all": False, "since_ms": 1000.0, "cause": "command", "reason": "first"},
        {"model": "1" * 12, "instruments": [B], "is_all": False, "since_ms": 3000.0, "cause": "promotion", "reason": "better"},
    ]  # fmt: skip
    assert [row["cause"] for row in view.changes()] == ["refused", "promotion", "command"]
    view.forecasts(
        "l", [change(5, "demoted", OLD, "", name=A, reason="it raised"), forecast(5, NAN, "", reason="it raised")]
    )
    (line,) = view.lines()
    assert (line["in_force"][0]["model"], line["in_force"][0]["cause"]) == ("", "demoted")
    assert (line["instruments"][0]["value"], line["instruments"][0]["reason"]) == (None, "it raised")


def test_what_was_before_the_history_that_is_read_is_not_guessed() -> None:
    (line,) = view_of([forecast(7), forecast(8)]).lines()
    assert [(row["model"], row["since_ms"], row["is_all"]) for row in line["in_force"]] == [("0" * 12, None, True)]
    (line,) = view_of([forecast(7)], [forecast(7, model=NEW)]).lines()
    assert [(one["forecasts"], one["is_whole"]) for one in line["challengers"]] == [(1, False)]


def test_an_ensemble_names_its_members() -> None:
    both = f"{OLD[:12]}+{NEW[:12]}"
    (line,) = view_of([change(1, "promotion", "", both, name=A), forecast(1, model=both)]).lines()
    assert line["in_force"][0]["model"] == line["instruments"][0]["model"] == both


def test_latency_and_drift_of_the_last_forecasts() -> None:
    events = [forecast(k, latency_ms=900.0) for k in range(1, 10)]
    events += [forecast(k + 10, latency_ms=k) for k in range(1, WINDOW + 1)]
    events += [forecast(1_000, NAN, reason="warming up", latency_ms=0.001), forecast(1_000, name=B, drift=0.3)]
    view = view_of(events)
    (line,) = view.lines()
    assert (line["looked_at"], line["with_value"]) == (WINDOW, WINDOW - 1)
    assert (line["latency_p50_ms"], line["latency_p99_ms"]) == (pytest.approx(251), pytest.approx(496))
    assert (line["drift"], line["drift_word"]) == (0.3, "drifted")
    assert len(line["instruments"][0]["course"]) == COURSE
    assert line["instruments"][0]["course"][-1] is None
    view.forecasts("l", [forecast(1_001, model=NEW, name=B)])  # another model's drift is not known yet
    assert view.lines()[0]["drift"] is None
    assert [drift_word(one) for one in (None, 0.0999, 0.1, 0.25, 0.2501)] == ["", "calm", "moving", "moving", "drifted"]


def test_a_challengers_way() -> None:
    view = view_of([forecast(1), forecast(1, name=B)])
    view.shadows("l", [change(1, "trained", "", NEW, reason="100 new bars")])
    (one,) = view.lines()[0]["challengers"]
    assert (one["model"], one["forecasts"], one["reason"], one["since_ms"]) == ("1" * 12, 0, "100 new bars", None)
    view.shadows("l", [change(2, "command", "", NEW), forecast(2, model=NEW), forecast(2, model=NEW, name=B)])
    view.shadows("l", [change(3, "judged", NEW, NEW, reason="after 50 outcomes: not yet")])
    view.tell_kind(NEW, "lightgbm")
    line = view.lines()[0]
    said = {"cause": "judged", "model": "1" * 12, "reason": "after 50 outcomes: not yet", "time_ms": 3000.0}
    said |= {"outcomes": None, "lead": None, "measure": "", "against": "", "missing": "after 50 outcomes: not yet"}
    assert line["challengers"] == [{
        "model": "1" * 12, "kind": "lightgbm", "instruments": [A, B], "forecasts": 2, "is_whole": True,
        "reason": "100 new bars", "since_ms": 2000.0, "judged": said,
    }]  # fmt: skip
    assert line["training"]["reason"] == "100 new bars"
    view.shadows(
        "l", [change(4, "failed", "", "", reason="training failed"), change(5, "promotion", NEW, "", reason="better")]
    )
    line = view.lines()[0]
    assert line["challengers"] == []
    ended = {"model": "1" * 12, "cause": "promotion", "reason": "better", "time_ms": 5000.0, "missing": "better"}
    assert line["ended"].items() >= ended.items()
    assert line["training"]["cause"] == "failed"
    assert view.changes() == []  # of what is in force


def judged(values: Sequence[tuple[float, float, float]], gate: Gate, looked: int = 0) -> str:
    """What the gate says of (challenger's forecast, champion's, outcome)."""
    contest = Contest("up", 1, 10.0)
    for second, (ours, theirs, label) in enumerate(values):
        contest.take(theirs, forecast(second, ours, NEW, drift=0.01))
        contest.settle(Outcome(forecast(second, ours, NEW), label, label - 0.5, 1.0))
    return gate.judge(contest, looked, 10).reason


def test_the_gates_own_words_are_told_in_figures() -> None:
    by_turns = [(0.7, 0.5, 1.0) if k % 10 else (0.7, 0.5, 0.0) for k in range(40)]
    words = judged(by_turns, Gate(outcomes=40))
    found = verdict(change(3, "judged", NEW, NEW, reason=words))
    assert (found["outcomes"], found["measure"], found["against"]) == (40, "log loss", "the champion")
    assert found["lead"] == pytest.approx(math.log(2) + 0.9 * math.log(0.7) + 0.1 * math.log(0.3), abs=1e-3)
    assert found["missing"].startswith("says the same whatever happens, no better than the base rate, ")
    assert not {"luck", "drift", "slow"} & set(found["missing"].split())
    words = judged([(theirs, ours, label) for ours, theirs, label in by_turns], Gate(outcomes=40))
    found = verdict(change(3, "refused", NEW, "", reason=words))
    assert "no better than the champion" in found["missing"]
    assert found["lead"] < 0
    assert verdict(change(3, "refused", NEW, "", reason="cut off"))["missing"] == "cut off"


def test_the_largest_lead_is_first_and_one_that_was_not_looked_at_last() -> None:
    models = ["2" * 64, "3" * 64, "4" * 64, "5" * 64]
    shadows: list[Event] = [change(1, "command", "", one) for one in models] + [forecast(2, model=models[1])]
    for one, ours in ((models[2], 0.691), (models[3], 0.690)):
        reason = f"not promoted (loss) on 40 outcomes: log loss {ours} against the champion's 0.6905 (by luck 40 %)"
        shadows.append(change(3, "judged", one, one, reason=reason))
    (line,) = view_of([forecast(1)], shadows).lines()
    assert [one["model"][0] for one in line["challengers"]] == ["5", "4", "3", "2"]


def test_what_is_wrong_is_warned_of_until_it_is_mended() -> None:
    view = view_of([change(1, "command", "", OLD), forecast(1), forecast(1, name=B)])
    assert view.warnings() == []
    view.forecasts("l", [change(2, "refused", reason="cut off"), forecast(2)])
    assert view.warnings() == ["l: model 111111111111 refused: cut off"]
    view.forecasts("l", [change(3, "promotion"), forecast(3, model=NEW)])
    assert view.warnings() == []
    view.forecasts("l", [
        change(4, "expired", NEW, "", name=A, reason="too old"), forecast(4, NAN, "", reason="too old"),
        change(4, "expired", NEW, "", name=B, reason="too old"), forecast(4, NAN, "", name=B, reason="too old"),
    ])  # fmt: skip
    assert view.warnings() == ["l: model 111111111111 expired: too old (A, B)"]
    view.forecasts("l", [change(5, "rollback", "", OLD, name=A), forecast(5)])
    assert view.warnings() == ["l: model 111111111111 expired: too old (B)"]
    view.shadows("l", [
        change(6, "failed", "", "", reason="training failed (1 new bar): no space"),
        change(6, "refused", "", NEW, reason="other columns"),
    ])  # fmt: skip
    assert view.warnings()[1:] == [
        "l: training failed (1 new bar): no space", "l: challenger 111111111111 refused: other columns",
    ]  # fmt: skip
    view.forecasts("l", [forecast(86_400 + 5, drift=0.3)])  # a day later
    assert view.warnings()[:1] == ["l: the features have drifted, PSI 0.30"]
    assert "expired" not in " ".join(view.warnings())


def test_a_line_without_a_model_is_warned_of() -> None:
    none = [forecast(1, NAN, "", name=f"box:{k}", reason="no champion") for k in range(6)]
    assert view_of(none).warnings() == ["l: no forecasts: no champion (0, 1, 2, 3 and 2 more)"]
    assert view_of([forecast(1, NAN, reason="warming up")]).warnings() == []
    dashboard = Dashboard("box", [NS_PER_S], stale_after_s=2.0)
    dashboard.apply_line("forecasts", "l", EventBatch(none, range(6), 6))
    assert "l: no forecasts: no champion (0, 1, 2, 3 and 2 more)" in dashboard.state(0)["warnings"]


def test_of_challengers_that_were_never_asked_the_last_is_left() -> None:
    trained = [change(k, "trained", str(k - 1) * 64, str(k) * 64) for k in range(1, 10)]
    (line,) = view_of([forecast(1)], trained).lines()
    assert [one["model"] for one in line["challengers"]] == ["9" * 12]
    (line,) = view_of([forecast(1)], [*trained, change(10, "refused", "", "9" * 64, reason="cut off")]).lines()
    assert line["challengers"] == []


def test_changes_of_strategies_are_among_the_changes() -> None:
    dashboard = Dashboard("box", [NS_PER_S], stale_after_s=2.0)
    done = StrategyChange("r", "1", 5 * NS_PER_S, 3, "sma-cross", "{}", "./mine.py:Mine", "{}", "keep", "calmer", "ann")
    refused = msgspec.structs.replace(done, request="2", event_time=6 * NS_PER_S, refusal="it cannot be read")
    dashboard.apply_run("r", EventBatch([done, refused, done], range(3), 3))
    dashboard.apply_line("forecasts", "l", EventBatch([change(1, "command"), forecast(1)], range(2), 2))
    dashboard.apply_line("shadows", "l", EventBatch([change(9, "trained")], range(1), 1))
    state = dashboard.state(0)
    found = [(row["kind"], row["cause"], row["reason"]) for row in state["changes"]]
    assert found == [
        ("strategy", "refused", "it cannot be read"), ("strategy", "command", "calmer"),
        ("model", "command", ""),
    ]  # fmt: skip
    assert state["changes"][0]["new"] == "mine.py:Mine"
    assert [line["line"] for line in state["lines"]] == ["l"]
    assert dashboard.drain(0)["lines"] == state["lines"]
    assert "lines" not in dashboard.drain(0)


def test_the_reader_finds_lines_that_begin_while_it_runs(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log")
    reader = TapeReader(
        lambda: SqliteLog(tmp_path / "log"), Dashboard("box", [NS_PER_S], 2.0), tmp_path, list_runs=tuple, publish=lambda _: None
    )  # fmt: skip
    reader.start()
    wait_until(lambda: not json.loads(reader.snapshot())["loading"])
    assert reader.models() == {"lines": [], "changes": []}
    log.writer("predictor.a.b").commit({"forecasts.a.b": [change(1, "command", "", OLD), forecast(1)]})
    log.writer("shadow.a.b").commit({"shadows.a.b": [change(1, "command", "", NEW), forecast(1, model=NEW)]})
    wait_until(lambda: any(line["challengers"] for line in reader.models()["lines"]))
    (line,) = reader.models()["lines"]
    assert (line["line"], line["in_force"][0]["cause"], line["challengers"][0]["forecasts"]) == ("a.b", "command", 1)
    reader.stop()
    log.close()


MODELS = st.sampled_from(["", "a" * 64, "b" * 64, "c" * 64])


def test_of_one_strategy_the_parameters_that_differ() -> None:
    view = ModelsView("box")
    old, new = '{"up": 0.55, "hold": 1}', '{"up": 0.6, "hold": 1, "weight": 0.4}'
    view.strategy(StrategyChange("r", "1", 1, 3, "ml-signal", old, "ml-signal", new, "keep", "calmer", "ann"))
    view.strategy(StrategyChange("r", "2", 2, 4, "ml-signal", "[", "ml-signal", "{}", "keep", "calmer", "ann"))
    assert [(row["old"], row["new"]) for row in view.changes()] == [
        ("ml-signal", "ml-signal"), ("ml-signal (up 0.55)", "ml-signal (up 0.6, weight 0.4)"),
    ]  # fmt: skip


def test_a_run_shows_the_strategy_that_decides_now() -> None:
    dashboard = Dashboard("box", [NS_PER_S], stale_after_s=2.0)
    change = StrategyChange("r", "1", 1, 3, "sma-cross", "{}", "ml-signal", '{"up": 0.6}', "keep", "calmer", "ann")
    refused = msgspec.structs.replace(change, request="2", new="turtle", refusal="no")
    dashboard.apply_run("r", EventBatch([change, refused], range(2), 2))
    run = dashboard.state(0)["run"]
    assert (run["strategy"], run["params"]) == ("ml-signal", {"up": 0.6})


def test_a_strategy_that_raised_is_warned_of_until_another_decides() -> None:
    dashboard = Dashboard("box", [NS_PER_S], stale_after_s=2.0)
    end = StrategyChange(
        "r", "raised-3", 9 * NS_PER_S, 3, "./late.py:Late", "{}", NOBODY, "{}", "guard", "late.py:9: IndexError", "quantlytic",
        state="s",
    )  # fmt: skip
    held = Equity("r", "box:A", 9 * NS_PER_S, 1e5, 9e4, 0.5, 2.0, 3)
    run = Run("r", "paper", "box", "./late.py:Late", {}, (Instrument("box:A"),), NS_PER_S, 1e5, 5.0, 0, "code")
    dashboard.describe_run(run)
    dashboard.apply_run("r", EventBatch([held, end], range(2), 2))
    (text,) = [one for one in dashboard.state(0)["warnings"] if "raised" in one]
    assert text == (
        "late.py:Late has raised: nobody decides r, which holds 0.5 box:A; `quantlytic swap r ...` has another one decide"
    )
    (row,) = dashboard.state(0)["changes"]
    assert (row["cause"], row["old"], row["new"]) == ("raised", "late.py:Late", "nobody")
    later = msgspec.structs.replace(run, run_id="r2", first_bar_offset=9, code_hash="mended")
    dashboard.describe_run(later)
    assert not [one for one in dashboard.state(0)["warnings"] if "raised" in one]
    dashboard.describe_run(msgspec.structs.replace(later, params={"fast": 3.0}))
    assert [one for one in dashboard.state(0)["warnings"] if "raised" in one] == [text]
    next_ = msgspec.structs.replace(end, request="q1", event_time=10 * NS_PER_S, old=NOBODY, new="sma-cross")
    dashboard.apply_run("r", EventBatch([next_], range(1), 1))
    assert not [one for one in dashboard.state(0)["warnings"] if "raised" in one]
    assert dashboard.state(0)["changes"][0]["cause"] == "command"


NAMES = st.sampled_from([A, B, "binance:A"])
SECONDS = st.integers(1, 50)
FORECASTS = st.builds(
    forecast, SECONDS, st.one_of(st.floats(0, 1), st.just(NAN)), MODELS, NAMES, reason=st.sampled_from(["", "warming up"]),
    latency_ms=st.floats(0.01, 50), drift=st.one_of(st.floats(0, 1), st.just(NAN)),
)  # fmt: skip
CAUSES = st.sampled_from(
    ["command", "promotion", "rollback", "refused", "demoted", "expired", "trained", "failed", "judged"]
)
CHANGES = st.builds(change, SECONDS, CAUSES, MODELS, MODELS, name=st.sampled_from(["", A, B]), reason=st.just("why"))
STRATEGIES = st.builds(
    lambda second, refusal: StrategyChange(
        "r", str(second), second * NS_PER_S, 1, "a", "{}", "b", "{}", "keep", "why", "ann", refusal=refusal
    ),
    SECONDS, st.sampled_from(["", "no"]),
)  # fmt: skip
STREAMS = st.lists(
    st.one_of(
        st.tuples(st.just("forecasts"), st.one_of(FORECASTS, CHANGES)),
        st.tuples(st.just("shadows"), st.one_of(FORECASTS, CHANGES)),
        st.tuples(st.just("run"), STRATEGIES),
    ),
    max_size=80,
)


@settings(max_examples=100, deadline=None)
@given(STREAMS, st.lists(st.integers(0, 80), max_size=5))
def test_in_pieces_or_stream_by_stream_it_is_the_same(events: list[tuple[str, Event]], cuts: list[int]) -> None:
    """Whatever was looked at in between, and however the reader's passes lay between the streams."""
    pieces, whole = ModelsView("box"), ModelsView("box")
    for k, (kind, event) in enumerate(events):
        _give(pieces, kind, [event])
        if k in cuts:
            pieces.lines()
            pieces.changes()
    for kind in ("shadows", "forecasts", "run"):
        _give(whole, kind, [event for one, event in events if one == kind])
    assert pieces.lines() == whole.lines()
    assert pieces.changes() == whole.changes()
    assert msgspec.json.decode(msgspec.json.encode(pieces.lines())) == pieces.lines()
    assert len(pieces.changes()) <= KEPT_CHANGES
    for line in pieces.lines():
        assert sorted(name for row in line["in_force"] for name in row["instruments"]) == [
            row["instrument"] for row in line["instruments"]
        ]
        assert line["time_ms"] <= 50 * NS_PER_S / NS_PER_MS


def _give(view: ModelsView, kind: str, events: Sequence[Event]) -> None:
    if kind == "run":
        for event in events:
            assert isinstance(event, StrategyChange)
            view.strategy(event)
    else:
        getattr(view, kind)("l", events)
