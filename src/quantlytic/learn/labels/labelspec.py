"""How labels and weights are asked for."""

from __future__ import annotations

import msgspec

KINDS = ("forward_return", "direction", "triple_barrier", "trend_scan", "meta")


class LabelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`horizon`: bars a label looks ahead (for barriers: the vertical one; for trend scanning: the longest trend).

    `log`: forward returns are ln(exit / entry), not exit / entry - 1. `dead_zone`: of "direction", returns up to this size
    (0.001 is 10 bps) are neither up nor down, and unknown. `profit`, `stop`: barriers' distances as multiples of the standard
    deviation of the last `volatility_window` returns (log, of a bar) times the root of `horizon`; 0 is none. `at_end`: what
    the vertical barrier gives: "sign" of the return, or "drop" (unknown). `shortest`: bars of the shortest trend scanned.
    "meta" is a triple barrier in the direction of a signal: 1 where acting on it paid more than `min_return`.
    """

    kind: str = "direction"
    horizon: int = 1
    log: bool = False
    dead_zone: float = 0.0
    profit: float = 1.0
    stop: float = 1.0
    volatility_window: int = 50
    at_end: str = "sign"
    shortest: int = 5
    min_return: float = 0.0


class WeightSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`uniqueness`: by how little a label's time overlaps others'. `attribution`: by the size of the return that is its own.
    `decay`: the weight of the oldest as a share of the newest's, 1 for no decay; below 0 the oldest get none at all."""

    uniqueness: bool = True
    attribution: bool = False
    decay: float = 1.0
