"""Which parameter sets a sweep tries: all combinations of the given values, or random draws."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from quantlytic.engine.param import Param
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError

Value = int | float | bool
Params = dict[str, Value]
Constraint = Callable[[Params], bool]

MAX_CELLS = 1_000_000
_TRIES = 200  # draws in vain, for each set wanted, before the search is given up


def cells_of(
    base: Strategy, axes: Mapping[str, Any], constraint: Constraint | None, draws: int | None, seed: int
) -> list[Params]:
    """`grid`, or with `draws` as many of `draw`."""
    return grid(base, axes, constraint) if draws is None else draw(base, axes, draws, seed, constraint)


def grid(base: Strategy, axes: Mapping[str, Any], constraint: Constraint | None) -> list[Params]:
    """Every combination of the axes' values that the constraint allows, the last axis running fastest.

    An axis is a sequence of numbers, or one number. The parameters that are no axis are those of `base`. The constraint is
    asked with all parameters. Raises InputError for an unknown name, an axis without values, too many combinations, and
    where nothing is left.
    """
    values = [_values(name, axes[name]) for name in _known(base, axes)]
    if not values:
        raise InputError("a sweep needs at least one parameter to vary, such as fast=range(10, 60, 5)")
    count = math.prod(len(column) for column in values)
    if count > MAX_CELLS:
        raise InputError(f"{count:,} combinations are more than {MAX_CELLS:,}: give fewer values, or draws=")
    sets = [base.params | dict(zip(axes, row, strict=True)) for row in itertools.product(*values)]
    allowed = [one for one in sets if constraint is None or _allows(constraint, one)]
    if not allowed:
        raise InputError(f"none of the {count:,} combinations meets the constraint")
    return allowed


def draw(base: Strategy, axes: Mapping[str, Any], count: int, seed: int, constraint: Constraint | None) -> list[Params]:
    """`count` different parameter sets that the constraint allows, drawn at random: fewer where there are no more.

    An axis is (low, high), both inclusive, for a uniform draw; a `range` or more than two values, for a choice among them;
    None for the parameter's own range. Without axes, all parameters that have a range are drawn. Raises InputError.
    """
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= MAX_CELLS:
        raise InputError(f"draws is a whole number from 1 to {MAX_CELLS:,}, not {count!r}")
    specs = base.param_specs
    names = _known(base, axes) or [name for name, spec in specs.items() if _has_range(spec)]
    if not names:
        raise InputError(f"{type(base).__name__} has no parameter with a range: give one, such as fast=(10, 60)")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"a seed is a whole number, 0 or more, not {seed!r}")
    random = np.random.default_rng(seed)
    draws = {name: _drawing(specs[name], axes.get(name)) for name in names}
    found: dict[tuple[Value, ...], Params] = {}
    misses, patience = 0, _TRIES * min(count, 1000)
    while len(found) < count and misses < max(patience, 20 * len(found)):  # so many in a row: there are no more
        row = {name: one(random) for name, one in draws.items()}
        candidate = base.params | row
        misses += 1
        if tuple(row.values()) not in found and (constraint is None or _allows(constraint, candidate)):
            found[tuple(row.values())] = candidate
            misses = 0
    if not found:
        raise InputError(f"none of {patience:,} draws meets the constraint")
    return list(found.values())


def _known(base: Strategy, axes: Mapping[str, Any]) -> list[str]:
    for name in axes:
        if name not in base.param_specs:
            type(base)(**{name: 0})  # raises, and says what there is instead
    return list(axes)


def _values(name: str, given: Any) -> list[Value]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [_number(name, given)]
    found = [_number(name, one) for one in itertools.islice(given, MAX_CELLS + 1)]
    if not found:
        raise InputError(f"parameter {name!r} is given no values")
    return list(dict.fromkeys(found))


def _number(name: str, value: Any) -> Value:
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, bool | int | float) or (isinstance(plain, float) and not math.isfinite(plain)):
        raise InputError(f"parameter {name!r} is given {value!r}: its values are numbers, or true and false")
    return plain


def _has_range(spec: Param) -> bool:
    return spec.kind is bool or (spec.low is not None and spec.high is not None)


def _drawing(spec: Param, given: Any) -> Callable[[np.random.Generator], Value]:
    if given is None:
        if not _has_range(spec):
            raise InputError(f"parameter {spec.name!r} has no range of its own: give one, such as {spec.name}=(1, 10)")
        given = (False, True) if spec.kind is bool else (spec.low, spec.high)
    values = _values(spec.name, given)
    is_pair = isinstance(given, Sequence) and not isinstance(given, range) and len(given) == 2
    if not is_pair or spec.kind is bool:
        return lambda random: values[int(random.integers(len(values)))]
    low, high = min(values), max(values)
    if low < -(2**63) or high >= 2**63:
        raise InputError(f"parameter {spec.name!r} cannot be drawn from {given!r}: it is too large")
    if spec.kind is int:
        least, most = math.ceil(low), math.floor(high)
        if least > most:
            raise InputError(f"parameter {spec.name!r} cannot be drawn from {given!r}: there is no whole number in it")
        return lambda random: int(random.integers(least, most, endpoint=True))
    return lambda random: float(random.uniform(low, high))


def _allows(constraint: Constraint, params: Params) -> bool:
    try:
        return bool(constraint(dict(params)))
    except KeyError as error:
        raise InputError(f"the constraint asks for {error}, which is no parameter") from None
    except Exception as error:
        raise InputError(f"the constraint failed on {params}: {type(error).__name__}: {error}") from error
