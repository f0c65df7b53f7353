"""What is wrong with the settings, in words: a line a mistake, with the setting's name, what to write, and where.

What was given is shown where it is short, and never where it may be a secret."""

from __future__ import annotations

import difflib
import os
import re
import types
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError

MOST = 10
"""So many mistakes are told of at once."""
_SECRET = re.compile(r"pass|secret|token|key|url|api", re.IGNORECASE)
_LIMITS = {
    "greater_than_equal": ("at least", "ge"), "greater_than": ("above", "gt"), "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}  # fmt: skip
_KINDS = {
    "int": "a whole number", "float": "a number", "finite": "a finite number", "bool": "true or false",
    "string": "text in quotes", "path": "a path in quotes", "list": 'a list such as ["a", "b"]',
    "dict": "a table of names and values", "model": "a table of settings",
}  # fmt: skip


def mistakes(error: ValidationError, model: type[BaseModel], given: Mapping[str, Any]) -> str:
    """All that `error` found in settings of `model`, a line each. `given`: those that came from neither file nor environment."""
    found = error.errors(include_url=False, include_context=True)
    lines = list(dict.fromkeys(_line(one, model, given) for one in found))
    if len(lines) > MOST:
        lines[MOST:] = [f"and {len(lines) - MOST} more mistakes in the settings"]
    return "\n".join(lines)


def _line(one: Mapping[str, Any], model: type[BaseModel], given: Mapping[str, Any]) -> str:
    loc: tuple[int | str, ...] = one["loc"]
    entries = [f"no. {part + 1}" for part in loc if isinstance(part, int)]
    name = ".".join(str(part) for part in loc if isinstance(part, str))
    entry = f" of entry {', '.join(entries)}" if entries else ""
    subject = f"setting '{name}'{entry}" if name else "settings that do not go together"
    return f"{subject}: {_what(one, model, loc)}; mend it {_where(loc, given)}"


def _what(one: Mapping[str, Any], model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    kind, context = str(one["type"]), one.get("ctx", {})
    words = f"{one['msg'][0].lower()}{one['msg'][1:]}"
    if kind == "extra_forbidden":
        return _unknown(str(loc[-1]), _fields(model, loc[:-1]))
    if kind == "missing":
        return "it is missing, and there is no default"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        words = f"it must be {context['expected']}"
    elif kind in _LIMITS:
        limit, key = _LIMITS[kind]
        words = f"it must be {limit} {context[key]:g}"
    elif kind == "string_pattern_mismatch":
        words = "it may have letters, digits, '.', '_' and '-', and begins with one of the first two"
    elif (known := kind.partition("_")[0]) in _KINDS:
        sections = known == "list" and _fields(model, (*loc, 0))
        words = f"it must be {f'tables, each under [[{loc[-1]}]]' if sections else _KINDS[known]}"
    return words + _shown(one.get("input"), model, loc)


def _unknown(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
    return f"there is no such setting; {hint}"


def _shown(value: Any, model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    """What was given instead, where it is short and no secret."""
    annotation = _annotation(model, loc)
    is_section = any(get_origin(kind) is dict for kind in _types(annotation)) or bool(_fields(model, loc))
    if is_section or not isinstance(value, str | int | float) or any(_SECRET.search(str(part)) for part in loc):
        return ""
    if SecretStr in _types(annotation) or (isinstance(value, str) and _keeps_secrets(model, loc[:-1])):
        return ""  # a line too high or too low, and it is the secret that is written there
    if (isinstance(value, str) and "://" in value) or (isinstance(value, int) and abs(value) >= 10**40):
        return ""  # an address may hold a password; a number this long cannot be written
    text = repr(value)
    return f", not {text if len(text) <= 40 else text[:36] + '...' + text[0]}"


def _where(loc: tuple[int | str, ...], given: Mapping[str, Any]) -> str:
    """The variable that it was read from; else the file."""
    variables = {name.upper() for name in os.environ}
    parts = [str(part).upper() for part in loc]
    for end in range(len(parts), 0, -1):
        if (variable := "QUANTLYTIC_" + "__".join(parts[:end])) in variables:
            return f"in {variable}"
    within: Any = given
    for part in loc:
        within = within.get(part) if isinstance(within, Mapping) else None
    if loc and within is not None:
        return "on the command line"
    return f"in {os.path.abspath('quantlytic.toml')}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The names of the settings in the section at `loc`."""
    for kind in _types(_annotation(model, loc)) if loc else [model]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return list(kind.model_fields)
    return []


def _keeps_secrets(model: type[BaseModel], loc: tuple[int | str, ...]) -> bool:
    """Whether one of the settings in the section at `loc` is a secret."""
    return any(SecretStr in _types(_annotation(model, (*loc, name))) for name in _fields(model, loc))


def _annotation(model: type[BaseModel], loc: tuple[int | str, ...]) -> Any:
    """The type of the setting at `loc`; None where there is none."""
    at: Any = model
    for part in loc:
        kinds = _types(at)
        sections = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if sections:
            field = sections[0].model_fields.get(str(part))
            at = None if field is None else field.annotation
        else:  # an element of a list, or a value of a table
            inner = [get_args(kind)[-1] for kind in kinds if get_origin(kind) in (list, dict)]
            at = inner[0] if inner else None
    return at


def _types(annotation: Any) -> list[Any]:
    """What an annotation may be: of a union each."""
    if get_origin(annotation) is Annotated:
        return _types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for one in get_args(annotation) for kind in _types(one)]
    return [annotation]
