"""How the challengers of a line have done beside its champion: read from the two streams, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from quantlytic.learn.contest.contest import Contest
from quantlytic.learn.contest.outcomes import Outcomes
from quantlytic.learn.registry.artifact import Manifest
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log.port import Log

EVENTS = 100_000
"""So many of the newest events of each stream are read."""


@dataclass
class Record:
    """A challenger: the champion it was last beside ("" for none), how many times have an outcome by now, the scores of both
    over them (see `Contest.scores`), and what was said of it. `trouble`: why there are no scores; "" when there are. `state`:
    "about to begin", "at work" or "ended"; `passed_by`: the model that was trained before this one, then ended, ever began."""

    model_id: str
    champion: str = ""
    outcomes: int = 0
    scores: dict[str, float | None] = field(default_factory=dict)
    champion_scores: dict[str, float | None] = field(default_factory=dict)
    words: list[ModelChange] = field(default_factory=list)
    trouble: str = ""
    state: str = "at work"
    passed_by: str = ""


def read_records(
    log: Log, line: str, manifest_of: Callable[[str], Manifest], *, cost_bps: float = 10.0, events: int = EVENTS
) -> tuple[list[Record], list[ModelChange]]:
    """The challengers of the newest `events`, the first one first, and all that was said in `shadows.LINE` by then.

    Bars on which champion and challenger both have a forecast are compared, from the champion's last change on; without a
    champion the base rate of the outcomes is. Bars that the challenger has learned from do not count.
    """
    said, words = _read(log, f"shadows.{line}", events)
    theirs = {(one.instrument, one.close_time): one for one in _read(log, f"forecasts.{line}", events)[0]}
    records: dict[str, Record] = {}
    for word in words:
        model_ids = () if word.cause == "failed" else (word.new,) if word.cause == "trained" else (word.old, word.new)
        for model_id in dict.fromkeys(one for one in model_ids if one):
            records.setdefault(model_id, Record(model_id)).words.append(word)
    trained = {word.instrument: word.new for word in words if word.cause == "trained" and word.old != word.new}
    begun = {one.model_id for one in said}
    for record in records.values():
        record.state, record.passed_by = _state(record, record.model_id in begun, trained)
    for model_id in dict.fromkeys(one.model_id for one in said):
        record = records.setdefault(model_id, Record(model_id))
        pairs = [
            (theirs[key], one)
            for one in said
            if one.model_id == model_id and (key := (one.instrument, one.close_time)) in theirs
        ]
        try:
            _measure(record, pairs, manifest_of(model_id), cost_bps)
        except QuantlyticError as error:
            record.trouble = str(error)
    return list(records.values()), words


def told_cause(word: ModelChange, words: Iterable[ModelChange]) -> str:
    """The cause as people are told it, among the words on the same model: the trainer's own work is nobody's "command"."""
    is_trainers = any(one.cause == "trained" and one.reason == word.reason for one in words)
    return "trained" if word.cause == "command" and is_trainers else word.cause


def _state(record: Record, has_begun: bool, trained: Mapping[str, str]) -> tuple[str, str]:
    """What has become of it, and who was trained before it began; `trained`: the last that was, by instrument."""
    said = [word for word in record.words if word.cause != "trained"]
    if said and (said[-1].cause == "refused" or said[-1].new != record.model_id):
        return "ended", ""
    if said or has_begun:
        return "at work", ""
    last = trained.get(record.words[-1].instrument, record.model_id)
    return ("about to begin", "") if last == record.model_id else ("ended", last)


def _measure(record: Record, pairs: list[tuple[Forecast, Forecast]], manifest: Manifest, cost_bps: float) -> None:
    if manifest.label.kind == "meta":
        record.trouble = (
            "meta-labels depend on a signal that forecasts do not tell: the gate's own words have the figures"
        )
        return
    outcomes, contest = Outcomes.of(manifest), Contest(manifest.task, manifest.horizon, cost_bps)
    opponents: dict[str, str] = {}
    for their, our in pairs:
        if opponents.get(our.instrument, their.model_id) != their.model_id:
            contest = Contest(manifest.task, manifest.horizon, cost_bps)
        opponents[our.instrument] = their.model_id
        if our.close_time > manifest.data.end_ns:
            contest.take(their.value if their.model_id else None, our)
        if (outcome := outcomes.update(our)) is not None:
            contest.settle(outcome)
        record.champion = their.model_id
    record.outcomes = contest.outcomes
    record.scores, record.champion_scores = contest.scores(), contest.scores(of_champion=True)


def _read(log: Log, stream: str, events: int) -> tuple[list[Forecast], list[ModelChange]]:
    first, end = log.bounds(stream)
    forecasts, changes = list[Forecast](), list[ModelChange]()
    at = max(first, end - events)
    while (batch := log.read(stream, at)).events:
        forecasts += [one for one in batch.events if isinstance(one, Forecast)]
        changes += [one for one in batch.events if isinstance(one, ModelChange)]
        at = batch.next_offset
    return forecasts, changes
