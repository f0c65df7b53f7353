"""Makes the one buffer that holds an account, its orders and the strategy's states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from quantlytic.engine.account import counter  # noqa: F401 - what compiled loops consult
from quantlytic.engine.account.account import (
    AMEND_BYTES,
    CANCEL_BYTES,
    CELL_BYTES,
    FILL_BYTES,
    FLOW_BYTES,
    ORDER_BYTES,
    SIGNAL_BYTES,
    UPDATE_BYTES,
)
from quantlytic.engine.account.broker import BROKER, Broker
from quantlytic.engine.account.ordertable import OPEN_ORDER_BYTES, POSITION_BYTES
from quantlytic.engine.account.position import POSITION
from quantlytic.engine.account.wallet import TIER_CELLS
from quantlytic.engine.compiler.record import Bytes, Layout, Record, pack
from quantlytic.engine.market.market import Market
from quantlytic.model.instrument import Instrument

_LINE = 64


def make_arena(
    state: Record,
    layout: Layout,
    instruments: Sequence[Instrument],
    cash: float,
    market: Market,
    max_open_orders: int,
    *,
    shared_state: bool = False,
) -> Bytes:
    """The arena in its first state; starts on a cache line. `shared_state`: one state for all instruments."""
    broker = Broker()
    account = broker.account
    account.cash = account.equity = float(cash)
    market.pack(account)
    account.instruments = count = len(instruments)
    account.order_capacity = account.cancel_capacity = rows = max_open_orders
    account.request_capacity = requests = rows + 32 + 4 * (count - 1)
    account.leaves = 1 << (count - 1).bit_length()
    state_bytes = -(-layout.size // _LINE) * _LINE
    account.state_bytes = 0 if shared_state else state_bytes
    end = BROKER.size
    for name, size in (
        ("positions_at", count * POSITION_BYTES),
        ("values_at", 2 * account.leaves * CELL_BYTES),
        ("orders_at", count * (rows + 1) * OPEN_ORDER_BYTES),
        ("tiers_at", TIER_CELLS * len(market.fees.tiers) * CELL_BYTES),
        ("lags_at", len(market.latency.lags_ns) * CELL_BYTES),
        ("states_at", state_bytes if shared_state else count * state_bytes),
        ("outbox_at", 0),
        ("fills_at", (rows + count) * FILL_BYTES),
        ("updates_at", (2 * requests + (2 * count + 3) * rows) * UPDATE_BYTES),
        ("new_orders_at", requests * ORDER_BYTES),
        ("signals_at", requests * SIGNAL_BYTES),
        ("cancels_at", count * rows * CANCEL_BYTES),
        ("amends_at", count * rows * AMEND_BYTES),
        ("flows_at", (2 * count + 8) * FLOW_BYTES),
    ):
        end = -(-end // _LINE) * _LINE
        setattr(account, name, end)
        end += size
    arena = _aligned(end)
    pack(broker, BROKER, _record(arena, 0, BROKER))
    numbers = [float(x) for tier in market.fees.tiers for x in (tier[0], tier[1] / 1e4, tier[2] / 1e4)]
    for start, values in ((account.tiers_at, numbers), (account.lags_at, list(market.latency.lags_ns))):
        arena[start : start + CELL_BYTES * len(values)].view(np.float64)[:] = values
    for k, instrument in enumerate(instruments):
        row = _record(arena, account.positions_at + k * POSITION_BYTES, POSITION)
        row["price"] = np.nan
        row["session_start"] = row["session_end"] = -1
        row["lot_size"], row["tick_size"] = instrument.lot_size, instrument.tick_size
        row["min_notional"] = instrument.min_notional
        pack(state, layout, _record(arena, account.states_at + k * account.state_bytes, layout))
    return arena


def _record(arena: Bytes, start: int, layout: Layout) -> Any:
    return arena[start : start + layout.size].view(layout.dtype)[0]


def _aligned(size: int) -> Bytes:
    whole = np.zeros(size + _LINE, np.uint8)
    skip = -whole.ctypes.data % _LINE
    return whole[skip : skip + size]
