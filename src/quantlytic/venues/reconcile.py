"""What we believe about an account against what the venue says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quantlytic.model.order import OrderStatus
from quantlytic.venues.port import Balance, Difference, OrderEntry, OrderState


def differences(
    ours: Sequence[OrderState],
    theirs: Mapping[str, OrderState | None],
    open_there: Sequence[OrderState],
    balances: Mapping[str, float] | None = None,
    held: Mapping[str, Balance] | None = None,
) -> list[Difference]:
    """`theirs` has the venue's state of each of our orders (None: unknown there), `open_there` all that is open there.
    With `balances` (totals by asset) they are compared with what the venue says is `held`, to 1e-8."""
    found: list[Difference] = []
    known = {order.client_order_id for order in ours}
    for order in open_there:
        if order.client_order_id not in known:
            found.append(Difference("order", order.client_order_id, "unknown", _summary(order)))
    for order in ours:
        state = theirs.get(order.client_order_id)
        if state is None:
            if order.status != OrderStatus.REJECTED:
                found.append(Difference("order", order.client_order_id, _summary(order), "unknown"))
        elif (state.status, state.filled_quantity) != (order.status, order.filled_quantity):
            found.append(Difference("order", order.client_order_id, _summary(order), _summary(state)))
    if balances is not None and held is not None:
        totals = {asset: row.free + row.locked for asset, row in held.items()}
        for asset in sorted({*totals, *balances}):
            mine, there = balances.get(asset, 0.0), totals.get(asset, 0.0)
            if abs(mine - there) > 1e-8 + 1e-12 * abs(there):
                found.append(Difference("balance", asset, repr(mine), repr(there)))
    return found


def _summary(order: OrderState) -> str:
    return f"{order.status.name} {order.filled_quantity!r} of {order.quantity!r}"


async def ask_differences(
    entry: OrderEntry, orders: Sequence[OrderState], balances: Mapping[str, float] | None
) -> list[Difference]:
    """Ask the venue about everything that `differences` compares, and compare it."""
    theirs = {order.client_order_id: await entry.status(order.instrument, order.client_order_id) for order in orders}
    held = await entry.balances() if balances is not None else None
    return differences(orders, theirs, await entry.open_orders(), balances, held)
