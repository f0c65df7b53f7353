"""Our books against the venue's. Pure: two pictures in, what differs out, each difference with its explanation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from quantlytic.trading.tracker import ENDED, Leg
from quantlytic.venues.port import Balance, OrderState, VenueFill

CENT = 1e-7  # balances have eight decimals; a value that a venue cuts off at the eighth may be off by some of them


class Finding(msgspec.Struct, frozen=True):
    """A difference. `kind`: "missed" (a report of ours that was not heard), "unknown" (the venue does not know our order),
    "risen" (an order of ours is open that has ended in our books), "foreign" (not ours), "taken" (from a run), "unled" (of a run
    that is not traded now), "balance"."""

    kind: str
    what: str
    name: str
    ours: str
    venue: str
    explanation: str


def compare_orders(
    legs: Iterable[Leg],
    states: Mapping[str, OrderState | None],
    open_there: Sequence[OrderState],
    own_prefixes: Sequence[str],
    in_flight: Iterable[str] = (),
) -> list[Finding]:
    """Orders: where the venue knows more than we do. `states`: the venue's, of each leg asked about. `own_prefixes` begin the
    ids of the account's runs; `in_flight` are ids of which something has been asked, or has changed, meanwhile: about these
    nothing is said."""
    quiet = set(in_flight)
    known = {leg.client_order_id: leg for leg in legs}
    found = []
    for name, leg in known.items():
        if name not in states or name in quiet or leg.is_waiting:
            continue
        state = states[name]
        if state is None:
            if not leg.is_ended:
                found.append(
                    Finding("unknown", "order", name, _leg(leg), "unknown", "the venue has no such order (any more)")
                )
        elif state.filled_quantity > leg.filled or (state.status in ENDED and not leg.is_ended):
            text = "it changed at the venue, and its report was not heard"
            found.append(Finding("missed", "order", name, _leg(leg), _state(state), text))
    for state in open_there:
        name = state.client_order_id
        if name in known or name in quiet:
            continue
        if name.startswith(tuple(own_prefixes)):
            text = "an order of ours that has ended in our books is open at the venue"
            found.append(Finding("risen", "order", name, "ended", _state(state), text))
        else:
            text = "placed by hand or by another program"
            found.append(Finding("foreign", "order", name, "unknown", _state(state), text))
    return found


def compare_balances(expected: Mapping[str, float], held: Mapping[str, Balance]) -> list[Finding]:
    """Totals by asset, our sum of what was there and of all trades since against what the venue says."""
    found = []
    for asset in sorted({*expected, *held}):
        ours = expected.get(asset, 0.0)
        there = held[asset].free + held[asset].locked if asset in held else 0.0
        if abs(ours - there) > CENT + 1e-10 * abs(there):
            text = f"no trade explains {there - ours:+.8f} {asset}: a deposit, a withdrawal, a fee or another program"
            found.append(Finding("balance", "balance", asset, f"{ours:.8f}", f"{there:.8f}", text))
    return found


def foreign_trade(trade: VenueFill) -> Finding:
    """A trade of the account that no order of ours brought about."""
    venue = f"{trade.side.name} {trade.quantity:.8g} at {trade.price:.10g}"
    text = f"a trade of {trade.instrument} by hand or by another program"
    if trade.venue_order_id < 0:
        text = f"a trade of {trade.instrument} of no order, or beyond what was ordered"
    return Finding("foreign", "fill", str(trade.trade_id), "unknown", venue, text)


def held_before(instrument: str, quantity: float) -> Finding:
    """A position that was there when the account was taken over."""
    text = "held before the account was first traded here"
    return Finding("foreign", "position", instrument, "0", f"{quantity:.8f}", text)


def taken_from_run(run: str, instrument: str, before: float, after: float) -> Finding:
    """Part of a run's position that the account does not hold any more."""
    text = f"sold or taken out of the account past run {run}: its position follows"
    return Finding("taken", "position", instrument, f"{before:.8f}", f"{after:.8f}", text)


def left_behind(held: Iterable[tuple[str, str, float]], legs: Iterable[tuple[str, Leg]]) -> list[Finding]:
    """Positions (run, instrument, quantity) and orders of runs whose strategy is not running."""
    found = []
    for run, instrument, quantity in held:
        if quantity:
            text = f"held by run {run}, which is not traded now: start it again with its settings, or sell by hand"
            found.append(Finding("unled", "position", instrument, f"{quantity:.8f}", "not compared", text))
    for run, leg in legs:
        text = f"of run {run}, which is not traded now: it stays open; start the run again, or cancel by hand"
        found.append(Finding("unled", "order", leg.client_order_id, _leg(leg), "not compared", text))
    return found


def balance_effects(trade: VenueFill, base: str, quote: str) -> list[tuple[str, float]]:
    """What a trade does to the account's balances: (asset, change)."""
    effects = [(base, trade.side * trade.quantity), (quote, -trade.side * trade.quantity * trade.price)]
    return effects + ([(trade.fee_asset, -trade.fee)] if trade.fee else [])


def _leg(leg: Leg) -> str:
    return f"{leg.status.name} {leg.filled:.8g} of {leg.quantity:.8g}"


def _state(state: OrderState) -> str:
    return f"{state.side.name} {state.status.name} {state.filled_quantity:.8g} of {state.quantity:.8g} at {state.price:.10g}"
