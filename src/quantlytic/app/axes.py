"""Values of parameters to try, as written on the command line."""

from __future__ import annotations

import math

from quantlytic.model.errors import InputError

_MOST = 100_000


def parse_axes(texts: tuple[str, ...]) -> dict[str, list[float | int | bool]]:
    """`("fast=10:60:5", "slow=100,150")` to lists of values by name; FROM:BELOW:STEP stops before BELOW, as `range` does.

    Raises InputError for what is not NAME=VALUES, and for a name given twice.
    """
    found: dict[str, list[float | int | bool]] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values:
            raise InputError(f"--param {text}: write NAME=VALUES, such as --param fast=10:60:5")
        if name in found:
            raise InputError(f"--param {text}: {name} was given already")
        found[name] = _range(text, values) if ":" in values else [_number(text, one) for one in values.split(",")]
    return found


def _range(text: str, values: str) -> list[float | int | bool]:
    numbers = [_number(text, one) for one in values.split(":")]
    if len(numbers) not in (2, 3):
        raise InputError(f"--param {text}: a range is FROM:BELOW:STEP")
    start, end, step = (*numbers, 1)[:3]
    count = math.ceil((end - start) / step - 1e-9) if step > 0 else 0
    if not 0 < count <= _MOST:
        raise InputError(f"--param {text}: a range goes up, from FROM to below BELOW, in steps above 0")
    return [start + index * step for index in range(count)]


def _number(text: str, one: str) -> float | int | bool:
    if one.strip().lower() in ("true", "false"):
        return one.strip().lower() == "true"
    for kind in (int, float):
        try:
            number = kind(one)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    raise InputError(f"--param {text}: {one.strip()!r} is neither a number nor true or false")
