"""What is told of models and strategies that are exchanged: which changes are worth it, and the words."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.forecast import ModelChange
from quantlytic.model.strategychange import CLOSE, NOBODY, StrategyChange
from quantlytic.model.time import NS_PER_S
from quantlytic.telling.letter import Letter, one_line, time_text

DAY_NS = 86_400 * NS_PER_S
_PARAMS = msgspec.json.Decoder(dict[str, float])
_ALL = "all its instruments"
_SERVED = frozenset({"command", "promotion", "rollback", "demoted", "expired", "refused"})
_ADVICE = {
    "refused": "Mend what it says, or train anew, and promote again: what was refused is not asked again by itself.",
    "demoted": "See what it says. When it is mended: `quantlytic models promote MODEL ALIAS --reason ...`.",
    "expired": "Train anew (`quantlytic train SPEC`, or let `trainer` do it), and promote what comes of it.",
}


def change_cause(event: ModelChange | StrategyChange, stream: str) -> str:
    """What names a change that was read in `stream` for ever; "" for what is not told.

    A challenger that is trained, asked or looked at is no change of what decides. Trainings that fail are tried again and
    again: all of one reason to train are one occasion. Challengers come and go by themselves; that they are refused is told
    once a day for each line, apart for those that could not be asked at all.
    """
    if isinstance(event, StrategyChange):
        return f"{event.run}/strategy/{event.request}"
    where = f"{event.line}/model"
    if stream.startswith("forecasts."):
        if event.cause not in _SERVED or "+" in event.old + event.new:  # an ensemble's: its members' were told
            return ""
        return f"{where}/{event.event_time}/{event.bar_offset}/{event.cause}/{event.old}/{event.new}"
    if event.cause == "failed":
        return f"{where}/failed/{event.event_time}"
    if event.cause == "refused":
        kind = "asked" if event.old and not event.new else "unasked"
        return f"{where}/challenger/{kind}/{event.event_time // DAY_NS}"
    return ""


def of_one_bar(events: Sequence[Event]) -> list[Event]:
    """The same, but changes of a model at one bar that differ by the instrument are one, of all these."""
    found: list[Event] = []
    at: dict[ModelChange, int] = {}
    for event in events:
        if isinstance(event, ModelChange) and event.instrument:
            key = msgspec.structs.replace(event, instrument="", reason="")
            if key in at:
                before = found[at[key]]
                assert isinstance(before, ModelChange)
                found[at[key]] = msgspec.structs.replace(before, instrument=f"{before.instrument} {event.instrument}")
                continue
            at[key] = len(found)
        found.append(event)
    return found


def change_letter(event: ModelChange | StrategyChange, stream: str) -> Letter:
    """A model, or a strategy, was exchanged, or was to be."""
    if isinstance(event, StrategyChange):
        return _strategy_letter(event)
    return _served_letter(event) if stream.startswith("forecasts.") else _challenger_letter(event)


def _served_letter(event: ModelChange) -> Letter:
    old, new, line = short(event.old), short(event.new), event.line
    if event.cause == "refused":
        new = new or "(unknown)"  # its alias cannot be read
    where = _where(event.instrument)
    goes_on = (
        f"Model {old} goes on."
        if old
        else "There is no model: bars have no forecast, and who waits for one does nothing."
    )
    follows = (
        f"Model {new}, the one before, has taken over with the very same bar."
        if new
        else "No other model is there: bars have no forecast from this one on, and who waits for one does nothing."
    )
    lines: tuple[str, ...] | None = {
        "refused": (f"Model {new} was not let in for {where} of {line}", event.reason, goes_on),
        "demoted": (f"Model {old} of {line} was taken out of service for {where}", event.reason, follows),
        "expired": (f"Model {old} of {line} is too old for {where}", event.reason, follows),
    }.get(event.cause)
    is_trouble = lines is not None
    if lines is None:
        before = f", until now {old}" if old else ""
        lines = (f"Model {new} forecasts {where} of {line}{before} ({event.cause})", event.reason)
    subject = f"New model: {new} ({line}, {event.cause})"
    if is_trouble:
        subject = f"MODEL {event.cause}: {new if event.cause == 'refused' else old} ({line})"
    rollback = "Back to the one before: `quantlytic models rollback ALIAS --reason ...`; see `quantlytic models list`."
    advice = _ADVICE.get(event.cause) or (rollback if old else "")
    letter = _letter(event.event_time, subject, lines, _facts(event), advice)
    # Who waits for a forecast does nothing: a line without its model does not queue behind an hour's signals.
    return msgspec.structs.replace(letter, is_unlimited=event.cause in ("demoted", "expired"))


def _challenger_letter(event: ModelChange) -> Letter:
    line = event.line
    lines: tuple[str, ...]
    if event.cause == "failed":
        lines = (event.reason, "The models that serve go on.")
        advice = "It is tried again by itself. This is told once for each reason to train, however often it fails."
        return _letter(event.event_time, f"TRAINING failed ({line})", lines, _facts(event), advice)
    model = short(event.new or event.old)
    lines = (f"Challenger {model} of {line} does not become the champion", event.reason, "What serves goes on.")
    advice = "More challengers that are refused today are not told one by one: see the page."
    return _letter(event.event_time, f"Challenger refused: {model} ({line})", lines, _facts(event), advice)


def _strategy_letter(event: StrategyChange) -> Letter:
    old, new = _name(event.old), _name(event.new)
    position = "what it held is sold first" if event.position == CLOSE else "it takes over what is held"
    lines: tuple[str, ...]
    advice = ""
    if event.refusal:
        subject = f"Strategy NOT changed: {event.run}"
        lines = (f"{new} was to take over {event.run}", event.refusal, f"{old} goes on.")
    elif event.new == NOBODY:
        subject = f"STRATEGY raised: {old} ({event.run})"
        lines = (f"{old} has raised, and has ended", event.reason, "What it held is kept; nobody decides any more.")
        advice = (
            f"Mend it, and let it take over: `quantlytic swap {event.run} FILE.py:Class --position keep` (or close)."
        )
    else:
        subject = f"Strategy changed: {new} ({event.run})"
        held = "It sends no orders until its indicators are ready." if event.is_held else ""
        until = f"Until now it was {old}." if event.old != event.new else "Its parameters are others."
        lines = (f"{new} decides {event.run} from the next bar on; {position}", until, held)
    facts = (
        ("Why", event.reason or "–"), ("By", event.by or "–"), ("When", time_text(event.event_time)),
        ("Parameters", _params(event.new_params)), (f"Those of {old}", _params(event.old_params)),
    )  # fmt: skip
    letter = _letter(event.event_time, subject, lines, facts, advice, event.run)
    return msgspec.structs.replace(letter, is_unlimited=event.new == NOBODY)


def short(model_id: str) -> str:
    """A model's id as it is told."""
    return model_id[:12]


def _where(instrument: str) -> str:
    return ", ".join(one.partition(":")[2] or one for one in instrument.split()) or _ALL


def _facts(event: ModelChange) -> tuple[tuple[str, str], ...]:
    models = (("Model", event.new), ("Before", event.old))
    return (
        ("Line", event.line), ("Instruments", _where(event.instrument)), *((name, one) for name, one in models if one),
        ("When", time_text(event.event_time)),
    )  # fmt: skip


def _params(text: str) -> str:
    try:
        given = _PARAMS.decode(text)
    except msgspec.DecodeError:
        return text
    return ", ".join(f"{key} {value:g}" for key, value in sorted(given.items())) or "none"


def _name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _letter(
    event_time: int, subject: str, lines: Sequence[str], facts: Sequence[tuple[str, str]], advice: str, run: str = ""
) -> Letter:
    said = tuple(one_line(_sentence(line), 600) for line in lines if line)
    small = (advice,) if advice else ()
    told = tuple((name, one_line(value, 300)) for name, value in facts)
    return Letter("data", event_time, one_line(subject), said, told, small=small, run=run)


def _sentence(text: str) -> str:
    """With a full stop, and a capital unless it begins with a name."""
    text = text.strip()
    first = text.partition(" ")[0]
    return (text[:1].upper() + text[1:] if first.isalpha() else text) + ("" if not text or text[-1] in ".!?:" else ".")
