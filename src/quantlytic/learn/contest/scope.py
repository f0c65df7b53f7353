"""Where a challenger would serve if it were promoted: there it is measured, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quantlytic.learn.live.serving import Line
from quantlytic.learn.live.swap import Wish, wishes
from quantlytic.learn.registry.registry import CHALLENGER, DAMAGED, AliasChange

NOWHERE = (
    "each instrument has a champion (or a pin) of its own, which stands before a model of all: this one would serve nowhere, and "
    "is not judged. Train models of one instrument each (`pooled = false`), or give the spec of all another name"
)


def challengers(changes: Mapping[str, AliasChange], line: Line) -> list[Wish]:
    """What the challenger aliases of a line ask for, their instruments those on which the model would serve. `changes`: the last
    one of each alias."""
    found = wishes(_of_one(changes), line, (CHALLENGER,))
    pooled = {alias: change for alias, change in changes.items() if _is_pooled(alias)}
    return found + [_scoped(wish, changes, line) for wish in wishes(pooled, line, (CHALLENGER,))]


def open_to_all(changes: Mapping[str, AliasChange], line: Line) -> tuple[str, ...]:
    """The line's instruments that have no champion and no pin of their own, also where a pooled pin stands before that."""
    own = {instrument for wish in wishes(_of_one(changes), line) for instrument in wish.instruments}
    return tuple(one for one in line.instruments if one not in own)


def moved_to(instruments: tuple[str, ...], line: Line) -> str:
    """In words, that a pooled challenger is measured on these from now on."""
    where = "measured on all instruments" if instruments == line.instruments else _only(instruments)
    return f"from now on {where}; the contest begins anew"


def withdrawal(changes: Mapping[str, AliasChange], alias: str) -> AliasChange | None:
    """The change by which an alias means no model any more, be it withdrawn or rolled back to none; None when it means one, or
    that cannot be read."""
    change = changes.get(alias)
    return None if change is None or change.model_id or change.cause == DAMAGED else change


def _scoped(wish: Wish, changes: Mapping[str, AliasChange], line: Line) -> Wish:
    left, change = open_to_all(changes, line), wish.change
    if left and left != line.instruments:
        change = msgspec.structs.replace(change, reason=f"{change.reason}; {_only(left)}")
    return wish._replace(instruments=left, change=change)


def _only(instruments: tuple[str, ...]) -> str:
    return f"measured on {', '.join(instruments)} alone: the others have champions of their own"


def _of_one(changes: Mapping[str, AliasChange]) -> dict[str, AliasChange]:
    return {alias: change for alias, change in changes.items() if not _is_pooled(alias)}


def _is_pooled(alias: str) -> bool:
    return alias.split("/")[1] == "pooled"
