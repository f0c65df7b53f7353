"""Challengers that a person named, and whose alias the trainer took before anybody had looked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from quantlytic.learn.contest.scope import withdrawal
from quantlytic.learn.registry.registry import CHALLENGER, AliasChange, Registry
from quantlytic.model.errors import DataError

TRAINER = "trainer"
"""Who makes the changes that are no person's."""
MOST = 50
"""So many changes of an alias are looked back at."""


def never_asked(changes: Mapping[str, AliasChange], handled: Mapping[str, int]) -> list[tuple[str, AliasChange]]:
    """Challenger aliases that mean no model any more, where the model before was not taken up; `handled` as below."""
    found = [(alias, withdrawal(changes, alias)) for alias in changes if alias.endswith(f"/{CHALLENGER}")]
    return [
        (alias, gone) for alias, gone in found if gone and gone.previous and handled.get(alias, 0) < gone.number - 1
    ]


class Overtaken:
    """What the aliases of a line meant since they were looked at: what the trainer made does not hide what a person said."""

    def __init__(self, registry: Registry, line: str) -> None:
        self._registry, self._line = registry, line
        self._seen: dict[str, int] = {}  # alias -> up to this change there is nothing of a person's

    def states(self, handled: Mapping[str, int]) -> Iterator[dict[str, AliasChange]]:
        """The last change of each alias; before it, where there is one, the same with the last that a person made of a challenger
        after the change `handled`, and that the trainer's own came after.

        Raises StoreError when the registry cannot be read, DataError, after all else, for a change between that is damaged."""
        changes = self._registry.changes(self._line)
        before, damaged = dict[str, AliasChange](), list[DataError]()
        for alias, change in changes.items():
            if alias.endswith(f"/{CHALLENGER}") and change.by == TRAINER:
                try:
                    named = self._named(alias, max(handled.get(alias, 0), self._seen.get(alias, 0)) + 1, change.number)
                except DataError as error:
                    damaged.append(error)
                    named = None
                if named is None:
                    self._seen[alias] = change.number - 1
                else:
                    before[alias] = named
        if before:
            yield changes | before
        yield changes
        if damaged:
            raise damaged[0]

    def _named(self, alias: str, first: int, last: int) -> AliasChange | None:
        """The last change by a person of those numbered [first, last)."""
        if first >= last:
            return None
        changes = self._registry.history(alias, newest=min(last - first + 2, MOST))
        named = [one for one in changes if first <= one.number < last and one.by != TRAINER]
        return named[-1] if named else None
