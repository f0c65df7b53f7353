"""Challengers that a person named, and whose alias the trainer took before anybody had looked."""

from __future__ import annotations

from quantlytic.learn.live.swap import Wish
from quantlytic.learn.registry.registry import AliasChange, Registry

TRAINER = "trainer"
"""Who makes the changes that are no person's."""
MOST = 50
"""So many changes of an alias are looked back at."""


class Overtaken:
    """Reads the history of an alias that has changed more than once since it was looked at; what it has seen but once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen: dict[str, int] = {}

    def before(self, wish: Wish, since: int) -> AliasChange | None:
        """The last change by a person that came after the change number `since` of the wish's alias and before the wish's own,
        which is the trainer's; it means no model where a challenger was withdrawn. None when there is none, or it was not the
        trainer who came after it: then nobody is to be asked but the last.

        Raises DataError where a change cannot be read, StoreError where the registry cannot."""
        last, first = wish.change.number, max(since, self._seen.get(wish.alias, 0)) + 1
        if wish.change.by != TRAINER or first >= last:
            return None
        self._seen[wish.alias] = last - 1  # a damaged one is told once, and holds up nobody
        changes = self._registry.history(wish.alias, newest=min(last - first + 2, MOST))
        named = [one for one in changes if first <= one.number < last and one.by != TRAINER]
        return named[-1] if named else None
