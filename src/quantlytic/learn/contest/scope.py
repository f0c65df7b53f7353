"""Where a challenger would serve if it were promoted: there it is measured, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from quantlytic.learn.live.serving import Line
from quantlytic.learn.live.swap import Wish, wishes
from quantlytic.learn.registry.registry import CHALLENGER, AliasChange

NOWHERE = (
    "each instrument has a champion (or a pin) of its own, which stands before a model of all: this one would serve nowhere, and "
    "is not judged. Train models of one instrument each (`pooled = false`), or give the spec of all another name"
)


def challengers(changes: Mapping[str, AliasChange], line: Line) -> list[Wish]:
    """What the challenger aliases of a line ask for, their instruments those on which the model would serve. `changes`: the last
    one of each alias."""
    found = wishes(changes, line, (CHALLENGER,))
    return [_narrowed(wish, open_to_all(wish.instruments, changes, line)) if wish.is_pooled else wish for wish in found]


def open_to_all(instruments: Sequence[str], changes: Mapping[str, AliasChange], line: Line) -> tuple[str, ...]:
    """Those of the instruments that have no champion and no pin of their own."""
    own = {instrument for wish in wishes(changes, line) if not wish.is_pooled for instrument in wish.instruments}
    return tuple(one for one in instruments if one not in own)


def why_only(instruments: Sequence[str]) -> str:
    """In words, why a pooled challenger is measured on these alone."""
    return f"measured on {', '.join(instruments)} alone: the others have champions of their own"


def _narrowed(wish: Wish, left: tuple[str, ...]) -> Wish:
    change = wish.change
    if left and left != wish.instruments:
        change = msgspec.structs.replace(change, reason=f"{change.reason}; {why_only(left)}")
    return wish._replace(instruments=left, change=change)
