"""A look of the gate at a challenger, and what it leads to in the registry."""

from __future__ import annotations

from quantlytic.learn.contest.challenge import Challenge, comparable
from quantlytic.learn.contest.promotion import Gate, Verdict
from quantlytic.learn.registry.registry import CHAMPION, PINNED, Registry, alias_of
from quantlytic.model.time import NS_PER_S

FOLLOW_NS = 600 * NS_PER_S
"""A champion that does not serve by then was refused, or is too old."""


def judge(gate: Gate, challenge: Challenge, registry: Registry, now_ns: int) -> Verdict | None:
    """Look, and promote it if it passes. None while the line is pinned, or has just been given another champion: then later."""
    manifest, seat = challenge.manifest, challenge.seat
    if registry.alias(alias_of(manifest.line, PINNED)) is not None:
        return None
    champion_alias = alias_of(manifest.line, CHAMPION)
    changes = registry.history(champion_alias, newest=1)
    champion = changes[-1].model_id if changes else ""
    if champion == seat.model_id:  # promoted before a crash
        return Verdict(True, True, changes[-1].reason, ())
    opponents = {one for one in seat.opponents.values() if one}
    if champion and champion not in opponents and 0 <= now_ns - changes[-1].time_ns < FOLLOW_NS:
        return None  # another one has just been named, and is about to serve
    for opponent in sorted(opponents):
        if why := comparable(manifest, registry.manifest(opponent)):
            return Verdict(False, True, why, ("label",))
    verdict = gate.judge(challenge.contest, seat.looked, manifest.trials, seat.place)
    if verdict.promoted:
        registry.promote(seat.model_id, champion_alias, verdict.reason, "gate", now_ns, expected=champion)
    seat.looked += 1
    return verdict
