"""Whether the lines of models can forecast: is there a champion, does it fit, when was it heard last?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from quantlytic.model.errors import QuantlyticError
from quantlytic.model.forecast import Forecast
from quantlytic.model.time import NS_PER_S, duration_text
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.learn.live.serving import Line
    from quantlytic.learn.registry.registry import Registry

OK, WARN, FAIL = "ok", "warn", "fail"
FOLLOW_NS = 60 * NS_PER_S
"""So long may it take until a model that was named serves."""


def examine_line(
    line: Line, registry: Registry, log: Log, now_ns: int, folder: Path | None = None
) -> Iterator[tuple[str, str]]:
    """What is found of a line, as (state, one sentence): "ok", "warn" (it has no forecasts now) or "fail" (it never will have).

    `folder`: where paths to features of one's own begin. Nothing is compiled, and no model is run.
    """
    from quantlytic.learn.live.swap import wishes

    try:
        asked = wishes(registry.changes(line.name), line)
    except QuantlyticError as error:
        yield FAIL, f"{line.name}: {error}"
        return
    heard = _last_forecasts(line, log)
    missing = set(line.instruments)
    for wish in asked:
        missing -= set(wish.instruments)
        if wish.is_damaged:
            yield FAIL, f"{line.name}: {wish.change.reason}"
            continue
        model_id = wish.change.model_id
        last_ns = max((one.close_time for one in heard.values() if one.model_id == model_id), default=now_ns)
        state, said = _fit(line, registry, model_id, wish.instruments, now_ns, last_ns, folder)
        yield state, f"{line.name}: {said}"
        others = {
            one: heard[one].model_id[:12] or "nobody"
            for one in wish.instruments
            if one in heard
            and heard[one].model_id != model_id
            and heard[one].close_time > wish.change.time_ns + FOLLOW_NS
        }
        if others:
            served = ", ".join(sorted(set(others.values())))
            why = "it was refused, demoted, or is too old: the page, and a message, say why"
            yield (
                WARN,
                f"{line.name}: {_symbols(others)}: forecast by {served}, not by {model_id[:12]}: {why}",
            )
    if missing:
        where = "" if len(missing) == len(line.instruments) else f" for {_symbols(missing)}"
        advice = "quantlytic train SPEC, then quantlytic models promote MODEL ALIAS --reason ..."
        yield WARN, f"{line.name}: no champion{where}, so no forecasts: {advice}"
    state, said = _last(max(heard.values(), key=lambda one: one.close_time, default=None), now_ns)
    yield state, f"{line.name}: {said}"


def _fit(
    line: Line, registry: Registry, model_id: str, instruments: tuple[str, ...], now_ns: int, last_ns: int,
    folder: Path | None,
) -> tuple[str, str]:  # fmt: skip
    """`last_ns`: when the last bar closed that it has forecast."""
    from quantlytic.learn.live.serving import Feed, check_scope
    from quantlytic.learn.live.staleness import expires_at, memory, staleness

    try:
        manifest = registry.get(model_id).manifest
        check_scope(manifest, instruments)
        Feed(manifest, line, folder=folder, compiled=False)
    except QuantlyticError as error:
        return FAIL, str(error)
    if stale := staleness(manifest, now_ns):
        return WARN, stale
    if remembered := memory(manifest, last_ns):
        return WARN, f"the last bars were of that time: {remembered}"
    until = expires_at(manifest)
    lasts = "" if until is None else f", good for {_age(until - now_ns)} more"
    return OK, f"{manifest.kind} {model_id[:12]} forecasts {_symbols(instruments)}{lasts}"


def _last_forecasts(line: Line, log: Log) -> dict[str, Forecast]:
    """Instrument -> its last forecast, of the last few bars of the line."""
    first, end = log.bounds(line.forecasts_stream)
    back = 4 * (len(line.instruments) + 1)  # each bar's forecasts, its mark, and changes between them
    events = log.read(line.forecasts_stream, max(first, end - back)).events if end > first else ()
    return {one.instrument: one for one in events if isinstance(one, Forecast) and one.instrument in line.instruments}


def _last(last: Forecast | None, now_ns: int) -> tuple[str, str]:
    if last is None:
        return OK, "nothing was forecast yet"
    age = f"the last bar it had a word on ended {_age(now_ns - last.close_time)} ago"
    return (WARN, f"{age}; no forecast: {last.reason}") if math.isnan(last.value) else (OK, age)


def _symbols(instruments: Iterable[str]) -> str:
    names = sorted(one.partition(":")[2] for one in instruments)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _age(age_ns: int) -> str:
    """In the largest unit of which there are two: "90s", "5m", "3d"."""
    for unit_s in (86_400, 3_600, 60):
        if age_ns >= 2 * unit_s * NS_PER_S:
            return duration_text(age_ns // (unit_s * NS_PER_S) * unit_s * NS_PER_S)
    return f"{max(0, age_ns) / NS_PER_S:.3g}s"
