"""Lets a strategy see the past before it may trade, so that its indicators are ready when it begins."""

from __future__ import annotations

import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.session import Session
from quantlytic.model.errors import InputError


def warm_up(session: Session, bars: Bars) -> None:
    """Advance a fresh session over bars without trading: whatever the strategy orders is below the smallest order allowed.

    Handlers run as ever, so indicators and counters move on; cash and positions stay as they are. The refusals are among
    `session.updates`, the bars count in `bar_offset`, and `session.equity` has an entry for each.
    """
    positions = session._positions
    if positions["quantity"].any() or positions["orders"].any():
        raise InputError("only a session without positions and open orders can be warmed up")
    allowed = positions["min_notional"].copy()
    positions["min_notional"] = np.inf
    try:
        session.run(bars)
    finally:
        positions["min_notional"] = allowed
