"""How much of a bar's (or trade's) volume our orders may be.

All fills of one instrument in one bar together are at most `share` of the bar's volume, rounded down to lots. What is over
waits for the next bar (FOK: needs all of it; IOC: the rest expires). In a bar of unknown volume (NaN) nothing fills.
Source: zipline's `volume_limit`.
"""

from __future__ import annotations

import math


def allowance(share: float, volume: float) -> float:
    """What may be filled in a bar of this volume; a share of 0 means that there is no cap."""
    if share > 0.0:
        return share * volume if volume > 0.0 else 0.0
    return math.inf
