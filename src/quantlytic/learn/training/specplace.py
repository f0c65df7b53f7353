"""Where in a spec's text a value is that somebody refused."""

from __future__ import annotations

import re
from typing import NamedTuple

_SECTION = re.compile(r"\s*\[+([^\]]+)\]+")
_KEY = re.compile(r"\s*([\w.-]+)\s*=(.*)")
_NAMED = re.compile(r"\[([\w.-]+)\](?: ([\w-]+))?")


class _Line(NamedTuple):
    number: int
    section: str
    key: str
    value: str


def placed(message: str, text: str) -> str:
    """A message of one line, begun with line, section and key where the value it speaks of stands in the spec's text; as it was
    where that cannot be told for sure."""
    if message.startswith("line "):
        return message
    lines = _lines(text)
    found = _named(message, lines) or _quoted(message, lines)
    if found is None:
        return message
    where = f"[{found.section}] {found.key}: " if found.section else f"{found.key}: "
    return f"line {found.number}: {'' if message.startswith('[') else where}{message}"


def _lines(text: str) -> list[_Line]:
    """The lines that have a value; those of an array that goes on have the key it began with."""
    found, section, key = [], "", ""
    for number, line in enumerate(text.splitlines(), 1):
        plain = line.partition("#")[0]
        if begun := _SECTION.fullmatch(plain.rstrip()):
            section, key = begun[1].strip(), ""
        elif given := _KEY.match(plain):
            key = given[1]
            found.append(_Line(number, section, key, given[2]))
        elif plain.strip() and key:
            found.append(_Line(number, section, key, plain))
    return found


def _named(message: str, lines: list[_Line]) -> _Line | None:
    """The message names section and key: "[search] trials is ...", "[label.horizon] Expected ..."."""
    named = _NAMED.match(message)
    if named is None:
        return None
    path = f"{named[1]}.{named[2]}" if named[2] else named[1]
    wanted = {path, named[1]}
    return next((one for one in lines if f"{one.section}.{one.key}".removeprefix(".") in wanted), None)


def _quoted(message: str, lines: list[_Line]) -> _Line | None:
    """The message quotes a value, or ends with it, that stands in one line alone."""
    values = re.findall(r"not '?(-?\w[\w.+-]*)'?$", message) + re.findall(r"'([^']+)'", message)
    for value in values:
        token = re.compile(rf"(?<![\w.-]){re.escape(value)}(?![\w-]|\.\d)")
        hits = [one for one in lines if one.key == value or token.search(one.value)]
        if len(hits) == 1:
            return hits[0]
    return None
