"""Which models nobody will ask for again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from quantlytic.learn.registry.artifact import Manifest
from quantlytic.learn.registry.registry import CHALLENGER, DAMAGED, Registry
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.forecast import ModelChange
from quantlytic.model.time import NS_PER_S
from quantlytic.store.log.port import Log

YOUNG_NS = 86_400 * NS_PER_S
"""Younger ones may be on their way to an alias."""
_SHORT = 12  # digits of the ids that the tape has of an ensemble's members


def prunable(registry: Registry, log: Log | None, keep: int, now_ns: int) -> list[Manifest]:
    """Oldest first: all but the newest `keep` of each line, those of the last day, those that an alias means, or meant as
    champion or pin (a rollback goes back to them), those of which the tape's ModelChanges speak, and what any of these was
    trained to follow.

    DataError when a manifest or an alias is damaged: whom it names is then not known.
    """
    if keep < 1:
        raise InputError("keep one model of each line, or more")
    told = set(() if log is None else _told(log))  # a long read: what comes after it is newer
    manifests, damaged = registry.list()
    if damaged:
        raise DataError(f"nothing is removed while something is damaged: {damaged[0]}")
    named = {one[:_SHORT] for one in (*_aliased(registry), *told)}
    of_line: dict[str, int] = {}
    kept: dict[str, Manifest] = {}
    for one in reversed(manifests):
        of_line[one.line] = of_line.get(one.line, 0) + 1
        is_young = now_ns - one.created_ns < YOUNG_NS
        if of_line[one.line] <= keep or is_young or one.model_id[:_SHORT] in named:
            kept[one.model_id] = one
    known = {one.model_id: one for one in manifests}
    waiting = list(kept.values())
    while waiting:
        parent = known.get(waiting.pop().parent)
        if parent is not None and parent.model_id not in kept:
            kept[parent.model_id] = parent
            waiting.append(parent)
    return [one for one in manifests if one.model_id not in kept]


def remove(registry: Registry, found: Iterable[Manifest]) -> Iterator[Manifest]:
    """Remove these, the newest first, and give each that is gone: not those that an alias has come to mean meanwhile, by what
    is asked before each, nor what they were trained to follow."""
    followed: set[str] = set()
    for one in sorted(found, key=lambda one: (one.created_ns, one.model_id), reverse=True):
        if one.model_id in followed or one.model_id in set(_aliased(registry)):
            followed.add(one.parent)
            continue
        registry.remove(one.model_id)
        yield one


def _aliased(registry: Registry) -> Iterable[str]:
    for alias, change in registry.changes().items():
        if change.cause == DAMAGED:
            raise DataError(f"nothing is removed while something is damaged: {change.reason}")
        is_past = not alias.endswith(f"/{CHALLENGER}")
        yield from (one.model_id for one in (registry.history(alias) if is_past else [change]))


def _told(log: Log) -> Iterable[str]:
    """The ids that changes of models on the tape speak of."""
    for stream in (*log.streams("forecasts."), *log.streams("shadows.")):
        at, end = log.bounds(stream)
        while at < end and (batch := log.read(stream, at)).events:
            for event in batch.events:
                if isinstance(event, ModelChange):
                    yield from (event.old + "+" + event.new).split("+")
            at = batch.next_offset
