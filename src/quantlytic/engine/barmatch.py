"""Open orders meet a bar (the rules are those of `account.py`)."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

import math
from typing import Any

from quantlytic.engine.codes import BUY, EXPIRED, GTC, MARKET, NEW, NOT_FILLED_AT_ONCE


def match_bar(account: Any, bar: Any) -> None:
    """Let all open orders of the bar's instrument meet it."""
    instrument = bar.instrument
    position = account.position(instrument)
    for row in range(position.orders):
        order = account.order(instrument, row)
        if order.type == MARKET or order.side * (order.price - bar.open) >= 0.0:
            account.execute(order, instrument, order.quantity, bar.open, order.resting, bar.open_time)
        elif order.time_in_force != GTC:
            account.finish(instrument, order, EXPIRED, NOT_FILLED_AT_ONCE, bar.open_time)
    while True:
        worst, least = -1, math.inf
        for row in range(position.orders):
            order = account.order(instrument, row)
            reached = bar.low <= order.price if order.side == BUY else bar.high >= order.price
            if order.status == NEW and reached:
                gain = order.side * (bar.close - order.price)
                if gain < least:
                    worst, least = row, gain
        if worst < 0:
            break
        order = account.order(instrument, worst)
        account.execute(order, instrument, order.quantity, order.price, True, bar.close_time)
    account.settle_rows(instrument)
