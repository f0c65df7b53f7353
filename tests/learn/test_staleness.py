"""A model is asked until it is too old."""

from __future__ import annotations

import msgspec
from tests.learn.artifacts import small_artifact

from quantlytic.learn.live.staleness import expires_at, memory, staleness
from quantlytic.model.time import NS_PER_S


def test_a_model_without_an_age_never_is_too_old() -> None:
    manifest = small_artifact().manifest
    assert expires_at(manifest) is None
    assert staleness(manifest, 2**62) == ""


def test_the_last_bar_and_the_first_one_too_late() -> None:
    made = small_artifact().manifest
    data = msgspec.structs.replace(made.data, end_ns=1_700_000_000 * NS_PER_S)
    manifest = msgspec.structs.replace(made, data=data, max_age_s=60)
    assert expires_at(manifest) == 1_700_000_060 * NS_PER_S
    assert staleness(manifest, 1_700_000_060 * NS_PER_S) == ""
    words = staleness(manifest, 1_700_000_060 * NS_PER_S + 1)
    told = f"model {manifest.model_id[:12]} is too old: it learned from data up to 2023-11-14T22:13:20, and was good until "
    assert words == f"{told}2023-11-14T22:14:20: train a newer one"


def test_what_it_learned_from_it_remembers() -> None:
    made = small_artifact().manifest
    manifest = msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, end_ns=1_700_000_000 * NS_PER_S))
    assert memory(manifest, 1_700_000_000 * NS_PER_S + 1) == ""
    words = memory(manifest, 1_700_000_000 * NS_PER_S)
    assert (
        "learned from data up to 2023-11-14T22:13:20: what it forecasts of bars until then is memory, not skill"
        in words
    )
