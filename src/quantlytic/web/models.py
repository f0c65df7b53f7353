"""The lines of models: which model forecasts what, how well it keeps up, who challenges it, and what was changed when."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.strategychange import NOBODY, StrategyChange
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.web.challengers import Challenger, short, told, verdict

Row = dict[str, Any]
_PARAMS = msgspec.json.Decoder(dict[str, float])

WINDOW = 500
"""So many forecasts of a line are looked back at."""
COURSE = 60
"""So many forecasts of an instrument are drawn."""
KEPT_CHANGES = 20
SHOWN_INSTRUMENTS = 60
MOVING, DRIFTED = 0.1, 0.25
"""Population stability indices: by custom, below the first nothing has changed, above the second much has (Siddiqi, 2006)."""
WARNED_NS = 86_400 * NS_PER_S
"""So long a refusal is warned of, unless something else was put in force before."""
TROUBLE = ("refused", "demoted", "expired")
MODEL, STRATEGY = "model", "strategy"


class LineView:
    """Folds `forecasts.LINE` and `shadows.LINE`, of the instruments of one venue."""

    def __init__(self, line: str, venue: str, kinds: Mapping[str, str]) -> None:
        self.line = line
        self._kinds = kinds
        self.last_time = 0
        self._prefix = f"{venue}:"
        self._slots: dict[str, _Slot] = {}
        self._for_all: ModelChange | None = None  # what came before the first forecast of an instrument
        self._latencies: deque[int | None] = deque(maxlen=WINDOW)
        self._challengers: dict[str, Challenger] = {}
        self._ended: Row | None = None
        self._trained: ModelChange | None = None
        self._troubles: dict[str, ModelChange] = {}  # by instrument, until another is put in force
        self._changes: deque[Row] = deque(maxlen=KEPT_CHANGES)
        self._number = 0
        self._row: Row | None = None

    def forecast(self, event: Event) -> None:
        """Take in an event of `forecasts.LINE`."""
        if isinstance(event, Forecast) and event.instrument.startswith(self._prefix):
            self._row = None
            if event.instrument not in self._slots:
                slot = self._slots[event.instrument] = _Slot()
                if self._for_all is not None:
                    slot.put(self._for_all)
            self._slots[event.instrument].take(event)
            self.last_time = max(self.last_time, event.close_time)
            self._latencies.append(None if math.isnan(event.value) else event.latency_ns)
        elif isinstance(event, ModelChange):
            self._row = None
            self._note(event)
            if event.cause in TROUBLE:
                self._troubles[event.instrument] = event
            elif event.instrument:
                self._troubles.pop(event.instrument, None)
            else:
                self._troubles.clear()
            if event.cause != "refused":
                self._put_in_force(event)

    def shadow(self, event: Event) -> None:
        """Take in an event of `shadows.LINE`."""
        if isinstance(event, Forecast):
            self._row = None
            self._challenger(event.model_id).take(event)
        elif isinstance(event, ModelChange):
            self._row = None
            self._challenge(event)

    def row(self) -> Row:
        """What the page shows, ready for JSON. Times are ms UTC; ids of models as short as they are told elsewhere."""
        if self._row is None:
            shown = sorted(self._slots.items())[:SHOWN_INSTRUMENTS]
            times = sorted(one for one in self._latencies if one is not None)
            drift = self._drift()
            self._row = {
                "line": self.line, "time_ms": _ms(self.last_time), "in_force": self._in_force(),
                "instruments": [{"instrument": name, **slot.row()} for name, slot in shown],
                "more_instruments": len(self._slots) - len(shown),
                "looked_at": len(self._latencies), "with_value": len(times),
                "latency_p50_ms": _share(times, 0.5), "latency_p99_ms": _share(times, 0.99),
                "drift": drift, "drift_word": drift_word(drift),
                "challengers": self._rivals(), "ended": self._ended,
                "training": told(self._trained) if self._trained else None,
            }  # fmt: skip
        return self._row

    def changes(self) -> list[Row]:
        """The last changes of models, oldest first. What becomes of challengers is in `row`."""
        return list(self._changes)

    def forget_row(self) -> None:
        """Something that it shows was told."""
        self._row = None

    def models(self) -> set[str]:
        """The ids of the challengers."""
        return set(self._challengers)

    def warnings(self) -> list[str]:
        """What is wrong with the line now, in words."""
        newest = max([self.last_time, *(one.event_time for one in self._troubles.values())])
        found = list[tuple[str, str]]()  # (instrument, what)
        for scope, change in self._troubles.items():
            if change.event_time > newest - WARNED_NS:
                model = short(change.new if change.cause == "refused" else change.old)
                found.append((scope, f"model {model} {change.cause}: {change.reason}"))
        for name, slot in sorted(self._slots.items()):
            if not slot.model and slot.reason and not {name, ""} & self._troubles.keys():
                found.append((name, f"no forecasts: {slot.reason}"))
        where: dict[str, list[str]] = {}
        for scope, what in found:
            where.setdefault(what, []).append(scope.removeprefix(self._prefix))
        texts = [f"{what}{'' if '' in names else f' ({_some(names)})'}" for what, names in where.items()]
        if drift_word(drift := self._drift()) == "drifted":
            texts.append(f"the features have drifted, PSI {drift:.2f}")
        if self._trained is not None and self._trained.cause == "failed":
            texts.append(self._trained.reason)
        if self._ended and self._ended["cause"] == "refused" and self._ended["outcomes"] is None:
            texts.append(f"challenger {self._ended['model']} refused: {self._ended['reason']}")
        return [f"{self.line}: {text}" for text in texts]

    # ---- inside

    def _rivals(self) -> list[Row]:
        """The challengers, the one with the largest lead first, those that were not looked at yet last."""
        rows = [one.row(self._kinds.get(one.model_id, "")) for one in self._challengers.values()]
        return sorted(rows, key=_lead, reverse=True)

    def _drift(self) -> float | None:
        return max((slot.drift for slot in self._slots.values() if not math.isnan(slot.drift)), default=None)

    def _put_in_force(self, change: ModelChange) -> None:
        if change.instrument:
            self._slots.setdefault(change.instrument, _Slot()).put(change)
            return
        self._for_all = change
        for slot in self._slots.values():
            slot.put(change)

    def _in_force(self) -> list[Row]:
        """Model by model: where it serves, and the change that put it there."""
        found: dict[tuple[str, int], Row] = {}
        for name, slot in sorted(self._slots.items()):
            model, change = slot.model, slot.change
            key = (model, change.event_time if change else 0)
            row = found.setdefault(key, {
                "model": short(model), "instruments": [], "is_all": False,
                "since_ms": _ms(change.event_time) if change else None,
                "cause": change.cause if change else "", "reason": change.reason if change else "",
            })  # fmt: skip
            row["instruments"].append(name)
        for row in found.values():
            row["is_all"] = len(row["instruments"]) == len(self._slots)
        return list(found.values())

    def _challenge(self, event: ModelChange) -> None:
        cause = event.cause
        if cause in ("trained", "failed"):
            self._trained = event
            if cause == "failed" or event.old == event.new:
                return
        if cause == "judged":
            if event.new in self._challengers:
                self._challengers[event.new].judged = event
        elif cause == "trained":
            seated = {one: known for one, known in self._challengers.items() if known.forecasts or known.seated}
            self._challengers = seated  # of those that were never asked only the last is left
            self._challenger(event.new).trained = event
        elif cause == "refused" or not event.new:  # never asked, or asked no more
            gone = event.new or event.old
            for one in (gone, event.old):
                self._challengers.pop(one, None)
            self._ended = verdict(event)
        else:
            if event.old != event.new:
                self._challengers.pop(event.old, None)
            self._challenger(event.new).seated = event

    def _challenger(self, model_id: str) -> Challenger:
        return self._challengers.setdefault(model_id, Challenger(model_id))

    def _note(self, event: ModelChange) -> None:
        self._number += 1
        self._changes.append({
            "id": f"{MODEL}/{self.line}/{self._number}", "kind": MODEL, "of": self.line, "instrument": event.instrument,
            "time_ms": _ms(event.event_time), "old": short(event.old), "new": short(event.new), "cause": event.cause,
            "reason": event.reason,
        })  # fmt: skip


class ModelsView:
    """All lines, and the changes of models and of strategies."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._lines: dict[str, LineView] = {}
        self._kinds: dict[str, str] = {}
        self._strategies: dict[str, deque[Row]] = {}

    def forecasts(self, line: str, events: Iterable[Event]) -> None:
        """Take in events of `forecasts.LINE`."""
        view = self._line(line)
        for event in events:
            view.forecast(event)

    def shadows(self, line: str, events: Iterable[Event]) -> None:
        """Take in events of `shadows.LINE`."""
        view = self._line(line)
        for event in events:
            view.shadow(event)

    def strategy(self, event: StrategyChange) -> None:
        """Take in a run's change of strategy, or that it was refused."""
        kept = self._strategies.setdefault(event.run, deque(maxlen=KEPT_CHANGES))
        old, new = _strategies(event)
        cause = "refused" if event.refusal else "raised" if event.new == NOBODY else "command"
        row = {
            "id": f"{STRATEGY}/{event.run}/{event.request}", "kind": STRATEGY, "of": event.run, "instrument": "",
            "time_ms": _ms(event.event_time), "old": old, "new": new,
            "cause": cause, "reason": event.refusal or event.reason,
        }  # fmt: skip
        if all(one["id"] != row["id"] for one in kept):
            kept.append(row)

    def lines(self) -> list[Row]:
        """A row a line that forecasts, or has, the last active first."""
        views = sorted(self._lines.values(), key=lambda view: (-view.last_time, view.line))
        return [view.row() for view in views if view.last_time]

    def changes(self) -> list[Row]:
        """The last ones, newest first."""
        rows = [row for view in self._lines.values() for row in view.changes()]
        rows += [row for kept in self._strategies.values() for row in kept]
        return sorted(rows, key=lambda row: (row["time_ms"], row["id"]), reverse=True)[:KEPT_CHANGES]

    def unknown(self) -> list[str]:
        """The ids of challengers whose kind was not told yet."""
        return sorted({one for view in self._lines.values() for one in view.models()} - self._kinds.keys())

    def tell_kind(self, model_id: str, kind: str) -> None:
        """`kind`: of the catalogue, such as "lightgbm"."""
        self._kinds[model_id] = kind
        for view in self._lines.values():
            view.forget_row()

    def warnings(self) -> list[str]:
        """What is wrong with the lines that forecast, in words."""
        newest = max((view.last_time for view in self._lines.values()), default=0)
        views = [view for view in self._lines.values() if view.last_time > newest - WARNED_NS]
        return [text for view in sorted(views, key=lambda view: view.line) for text in view.warnings()]

    def _line(self, line: str) -> LineView:
        if line not in self._lines:
            self._lines[line] = LineView(line, self._venue, self._kinds)
        return self._lines[line]


class _Slot:
    """An instrument: its last forecasts, the model that gave them and the change that put it in force."""

    def __init__(self) -> None:
        self.model = ""
        self.change: ModelChange | None = None
        """None where it was not read: it is too long ago."""
        self.drift = math.nan
        self._last: Forecast | None = None
        self._course: deque[float | None] = deque(maxlen=COURSE)

    @property
    def reason(self) -> str:
        """Why the last bar has no forecast."""
        return self._last.reason if self._last else ""

    def put(self, change: ModelChange) -> None:
        self._serve(change.new)
        self.change = change

    def take(self, event: Forecast) -> None:
        self._serve(event.model_id)
        self._last = event
        if not math.isnan(event.drift):
            self.drift = event.drift
        self._course.append(_figure(event.value))

    def _serve(self, model_id: str) -> None:
        if model_id != self.model:
            self.model, self.change, self.drift = model_id, None, math.nan

    def row(self) -> Row:
        last = self._last
        return {
            "model": short(self.model), "value": _figure(last.value) if last else None,
            "time_ms": _ms(last.close_time) if last else None, "reason": last.reason if last else "",
            "drift": _figure(self.drift), "course": list(self._course),
        }  # fmt: skip


def drift_word(index: float | None) -> str:
    """What a population stability index means; "" for none."""
    if index is None:
        return ""
    return "calm" if index < MOVING else "moving" if index <= DRIFTED else "drifted"


def params_of(text: str) -> dict[str, float]:
    """A strategy's parameters as a StrategyChange has them; {} for what is none."""
    try:
        return _PARAMS.decode(text)
    except msgspec.DecodeError:
        return {}


def file_name(strategy: str) -> str:
    """A strategy's name without the folders of its file."""
    return strategy.replace("\\", "/").rpartition("/")[2]


def _strategies(event: StrategyChange) -> tuple[str, str]:
    """What gave way and what took over: their names, or, of one strategy, the parameters that differ."""
    names = [file_name(name) for name in (event.old, event.new)]
    if event.old != event.new:
        return names[0], names[1]
    given = [params_of(text) for text in (event.old_params, event.new_params)]
    differing = sorted(key for key in given[0] | given[1] if given[0].get(key) != given[1].get(key))
    said = [", ".join(f"{key} {params[key]:g}" for key in differing if key in params) for params in given]
    old, new = (f"{name} ({words})" if words else name for name, words in zip(names, said, strict=True))
    return old, new


def _lead(row: Row) -> tuple[float, int]:
    lead = row["judged"]["lead"] if row["judged"] else None
    return -math.inf if lead is None else lead, row["forecasts"]


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _share(ordered: list[int], share: float) -> float | None:
    """The value that this share is not above, ms; None of nothing."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] / NS_PER_MS if ordered else None


def _figure(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _ms(time_ns: int) -> float:
    return time_ns / NS_PER_MS
