"""Whether the lines of models can forecast: is there a champion, does it fit, when was it heard last?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from quantlytic.model.errors import QuantlyticError
from quantlytic.model.forecast import Forecast
from quantlytic.model.time import NS_PER_S, duration_text
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.learn.registry import Registry
    from quantlytic.learn.serving import Line

OK, WARN, FAIL = "ok", "warn", "fail"


def examine_line(
    line: Line, registry: Registry, log: Log, now_ns: int, folder: Path | None = None
) -> Iterator[tuple[str, str]]:
    """What is found of a line, as (state, one sentence): "ok", "warn" (it has no forecasts now) or "fail" (it never will have).

    `folder`: where paths to features of one's own begin. Nothing is compiled, and no model is loaded.
    """
    from quantlytic.learn.swap import wishes

    try:
        asked = wishes(registry.latest(line.name), line)
    except QuantlyticError as error:
        yield FAIL, f"{line.name}: {error}"
        return
    missing = set(line.instruments)
    for wish in asked:
        missing -= set(wish.instruments)
        state, said = _fit(line, registry, wish.change.model_id, wish.instruments, now_ns, folder)
        yield state, f"{line.name}: {said}"
    if missing:
        where = "" if len(missing) == len(line.instruments) else f" for {_symbols(missing)}"
        advice = "quantlytic train SPEC, then quantlytic models promote MODEL ALIAS --reason ..."
        yield WARN, f"{line.name}: no champion{where}, so no forecasts: {advice}"
    state, said = _last(line, log, now_ns)
    yield state, f"{line.name}: {said}"


def _fit(
    line: Line, registry: Registry, model_id: str, instruments: tuple[str, ...], now_ns: int, folder: Path | None
) -> tuple[str, str]:
    from quantlytic.learn.serving import Feed, check_scope
    from quantlytic.learn.staleness import expires_at, staleness

    try:
        manifest = registry.manifest(model_id)
        check_scope(manifest, instruments)
        Feed(manifest, line, folder=folder, compiled=False)
    except QuantlyticError as error:
        return FAIL, str(error)
    if stale := staleness(manifest, now_ns):
        return WARN, stale
    until = expires_at(manifest)
    lasts = "" if until is None else f", good for {_age(until - now_ns)} more"
    return OK, f"{manifest.kind} {model_id[:12]} forecasts {_symbols(instruments)}{lasts}"


def _last(line: Line, log: Log, now_ns: int) -> tuple[str, str]:
    first, end = log.bounds(line.forecasts_stream)
    back = 4 * (len(line.instruments) + 1)  # each bar's forecasts, its mark, and changes between them
    last: Forecast | None = None
    for event in log.read(line.forecasts_stream, max(first, end - back)).events if end > first else ():
        last = event if isinstance(event, Forecast) else last
    if last is None:
        return OK, "nothing was forecast yet"
    age = f"the last bar it had a word on ended {_age(now_ns - last.close_time)} ago"
    return (WARN, f"{age}; no forecast: {last.reason}") if math.isnan(last.value) else (OK, age)


def _symbols(instruments: set[str] | tuple[str, ...]) -> str:
    names = sorted(one.partition(":")[2] for one in instruments)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _age(age_ns: int) -> str:
    """In the largest unit of which there are two: "90s", "5m", "3d"."""
    for unit_s in (86_400, 3_600, 60):
        if age_ns >= 2 * unit_s * NS_PER_S:
            return duration_text(age_ns // (unit_s * NS_PER_S) * unit_s * NS_PER_S)
    return f"{max(0, age_ns) / NS_PER_S:.3g}s"
