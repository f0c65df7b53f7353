"""When a model is too old to be asked, and when it knows the answers already."""

from __future__ import annotations

from quantlytic.learn.registry.artifact import Manifest
from quantlytic.model.time import NS_PER_S, iso


def expires_at(manifest: Manifest) -> int | None:
    """ns UTC: bars that close later have no forecast by it. None for never."""
    return manifest.data.end_ns + manifest.max_age_s * NS_PER_S if manifest.max_age_s else None


def staleness(manifest: Manifest, time_ns: int) -> str:
    """Why a model gives no forecast for a bar that closes at `time_ns`: "" when it is not too old."""
    end_ns = expires_at(manifest)
    if end_ns is None or time_ns <= end_ns:
        return ""
    return (
        f"model {manifest.model_id[:12]} is too old: it learned from data up to {iso(manifest.data.end_ns)[:19]}, and was good "
        f"until {iso(end_ns)[:19]}: train a newer one"
    )


def memory(manifest: Manifest, time_ns: int) -> str:
    """What the forecast of a bar that closes at `time_ns` is worth where the model learned from that bar (a tape that is played
    again): "" where it did not."""
    if time_ns > manifest.data.end_ns:
        return ""
    return (
        f"model {manifest.model_id[:12]} learned from data up to {iso(manifest.data.end_ns)[:19]}: what it forecasts of bars "
        "until then is memory, not skill"
    )
