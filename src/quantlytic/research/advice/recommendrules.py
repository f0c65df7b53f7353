"""Which strategies `recommend` tries, and from which parameter values it draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quantlytic.engine.param import Param
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.research.search.space import Params, Value
from quantlytic.strategies import catalogue

YARDSTICKS = ("buy-and-hold", "dca")
"""Built-ins that decide nothing: what the others are held against."""

_RUNGS = 7  # values of a parameter, spread over its range by equal factors
_BELOW = (("fast", "slow"), ("exit", "entry"), ("low", "high"), ("fast", "middle"), ("middle", "slow"))


@dataclass(frozen=True)
class Rule:
    """A strategy, its name, and the values that its parameters are drawn from (none: it has nothing to choose)."""

    name: str
    kind: type[Strategy]
    axes: dict[str, list[Value]]

    def describe(self) -> dict[str, Any]:
        """For the manifest."""
        return {"name": self.name, "code_sha256": catalogue.source_hash(self.kind), "axes": self.axes}


def rules_of(strategies: Sequence[str | type[Strategy]] | None, allow_short: bool) -> tuple[list[Rule], dict[str, str]]:
    """(rules, why the others were left out). None is the whole catalogue; what needs quotes, trades, forecasts or several
    instruments at once is left out of it. Raises InputError for a strategy that is named and cannot be used, or none at all."""
    names: Sequence[str | type[Strategy]] = catalogue.names() if strategies is None else strategies
    found: list[Rule] = []
    left_out: dict[str, str] = {}
    for one in names:
        name, kind = (one, catalogue.find(one)) if isinstance(one, str) else (one.__name__, one)
        why = _unfit(name, kind, strategies is None)
        if why and strategies is not None:
            raise InputError(f"{name} cannot be recommended for one instrument: {why}")
        if why:
            left_out[name] = why
        else:
            found.append(Rule(name, kind, axes_of(kind, allow_short)))
    if not found:
        raise InputError("recommend needs at least one strategy to try")
    if len({rule.name for rule in found}) < len(found):
        raise InputError("a strategy is named twice")
    return found, left_out


def axes_of(kind: type[Strategy], allow_short: bool) -> dict[str, list[Value]]:
    """Values of each parameter: seven over its range, by equal factors, and its default. `weight`, which decides how much and
    not when, keeps its default; so does `short` on an account that may not sell what it has not."""
    found: dict[str, list[Value]] = {}
    for name, spec in kind.param_specs.items():
        if name == "weight" or (name == "short" and not allow_short):
            continue
        values = _values(spec)
        if len(values) > 1:
            found[name] = values
    return found


def is_sensible(params: Params) -> bool:
    """Whether what should be below another parameter is: `fast` below `slow`, `exit` not above `entry`."""
    return all(params[low] <= params[high] for low, high in _BELOW if low in params and high in params) and (
        params.get("fast") != params.get("slow") or "fast" not in params
    )


def _unfit(name: str, kind: type[Strategy], in_catalogue: bool) -> str:
    handlers = kind.handlers()
    if "on_slice" in handlers:
        return "it trades several instruments against each other"
    if others := handlers & {"on_quote", "on_trade", "on_book"}:
        return f"it decides on {' and '.join(sorted(one.removeprefix('on_') for one in others))} events, not on bars"
    if "on_bar" not in handlers:
        return "it does not decide on bars"
    if catalogue.reads_forecasts(kind):
        return "it follows a model's forecasts: `quantlytic train` tells what those are worth"
    if in_catalogue and name in YARDSTICKS:
        return "it decides nothing: a yardstick"
    return ""


def _values(spec: Param) -> list[Value]:
    if spec.kind is bool:
        return [False, True]
    if spec.low is None or spec.high is None:
        return []
    low, high = float(spec.low), float(spec.high)
    steps = [k / (_RUNGS - 1) for k in range(_RUNGS)]
    spread = [low * (high / low) ** step if low > 0 else low + (high - low) * step for step in steps]
    if spec.kind is int:
        return sorted({*(min(max(round(one), math.ceil(low)), math.floor(high)) for one in spread), int(spec.default)})
    return sorted({*(min(max(float(f"{one:.4g}"), low), high) for one in spread), float(spec.default)})
