"""A look of the gate at a challenger, and what it leads to in the registry."""

from __future__ import annotations

from quantlytic.learn.contest.budget import Places
from quantlytic.learn.contest.challenge import Challenge, comparable
from quantlytic.learn.contest.promotion import Gate, Verdict
from quantlytic.learn.contest.scope import open_to_all, withdrawal
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.registry.registry import CHAMPION, PINNED, alias_of
from quantlytic.model.time import NS_PER_S

FOLLOW_NS = 600 * NS_PER_S
"""A champion that does not serve by then was refused, or is too old."""


def judge(
    gate: Gate, challenge: Challenge, loader: Loader, places: Places, time_ns: int, now_ns: int
) -> Verdict | None:
    """Look, and promote it if it passes; one that is really looked at takes one of the `places` of the year, by the market's
    `time_ns`. None while the line is pinned, or has just been given another champion, and for one that was withdrawn, or would
    serve elsewhere than it was measured, by now: then later.
    """
    manifest, seat = challenge.manifest, challenge.seat
    registry, line = loader.registry, loader.line
    if registry.alias(alias_of(manifest.line, PINNED)) is not None:
        return None
    latest = registry.changes(line.name)
    if withdrawal(latest, seat.alias) or (challenge.is_pooled and open_to_all(latest, line) != seat.instruments):
        return None  # the next look at the aliases will see to it
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
    seat.place = seat.place or places.take(seat.alias, time_ns)
    verdict = gate.judge(challenge.contest, seat.looked, manifest.trials, seat.place)
    if verdict.promoted:
        registry.promote(seat.model_id, champion_alias, verdict.reason, "gate", now_ns, expected=champion)
    seat.looked += 1
    return verdict
