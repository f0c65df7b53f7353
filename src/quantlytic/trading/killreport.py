"""What a kill did, and whether the venue confirms it."""

from __future__ import annotations

from typing import Any

import msgspec


class CancelledOrder(msgspec.Struct, frozen=True):
    """An order that was open. `status`: the venue's last word on it."""

    client_order_id: str
    instrument: str
    side: str
    quantity: float
    filled_quantity: float
    price: float
    status: str


class FlattenOrder(msgspec.Struct, frozen=True):
    """A market order towards flat. `filled_quantity` and `quote_filled` as the venue gave them; `reason`: why not, if not."""

    client_order_id: str
    instrument: str
    side: str
    quantity: float
    status: str
    filled_quantity: float
    quote_filled: float
    reason: str


class KillReport(msgspec.Struct, kw_only=True):
    """The end of a kill. Times are seconds from its beginning; -1: it did not come to that.

    is_latched      the latch was shut at the end: nothing new is sent by us.
    is_quiet        the venue said that nothing is open, and still said so `quiet_s` later.
    is_flat         the venue says that nothing is held above what is kept, but for `dust`; None: it was not asked for.
    cancelled       orders that were open, whoever had placed them. `still_open`: those that are, as far as is known.
    held            by asset, what is held above what is kept (short: negative), of the account's instruments.
    dust            rests that the venue takes no order for, in words.
    unheard         questions that got no answer, and were asked again. `problems`: what went wrong, in words.
    """

    account: str
    flatten: bool
    is_latched: bool = False
    is_quiet: bool = False
    is_flat: bool | None = None
    cancelled: list[CancelledOrder] = []
    still_open: list[CancelledOrder] = []
    flattened: list[FlattenOrder] = []
    held: dict[str, float] = {}
    dust: list[str] = []
    unheard: int = 0
    problems: list[str] = []
    latched_s: float = -1.0
    nothing_open_s: float = -1.0
    flat_s: float = -1.0
    total_s: float = -1.0
    quiet_s: float = 0.0

    @property
    def is_verified(self) -> bool:
        """Everything that was asked for is so, by the venue's own word."""
        return self.is_latched and self.is_quiet and self.is_flat is not False

    def as_dict(self) -> dict[str, Any]:
        """For JSON: all of it, and `is_verified`."""
        report: dict[str, Any] = msgspec.to_builtins(self)
        return report | {"is_verified": self.is_verified}

    def lines(self) -> list[str]:
        """For people: what was done, what is held, whether it is verified."""
        latch = "shut: nothing new is sent" if self.is_latched else "NOT SHUT: stop the executor by hand"
        lines = [f"account {self.account}: the latch is {latch}"]
        for order in self.cancelled:
            done = f", {order.filled_quantity:,.10g} of it filled" if order.filled_quantity else ""
            lines.append(
                f"  {order.status.lower()}: {order.side} {order.quantity:,.10g} {order.instrument} "
                f"at {order.price:,.10g}{done} ({order.client_order_id})"
            )
        for sale in self.flattened:
            got = (
                f"{sale.filled_quantity:,.10g} done for {sale.quote_filled:,.2f}"
                if sale.filled_quantity
                else sale.reason
            )
            lines.append(
                f"  {sale.status.lower()}: {sale.side} {sale.quantity:,.10g} {sale.instrument} at market: {got}"
            )
        gone = sum(order.status == "CANCELED" for order in self.cancelled)
        open_now = f"{len(self.still_open)} STILL OPEN" if self.still_open else "nothing open"
        sure = f"confirmed over {self.quiet_s:g} s" if self.is_quiet else "NOT CONFIRMED by the venue"
        lines.append(f"orders: {gone} cancelled, {open_now}, {sure}")
        holdings = ", ".join(f"{held:,.10g} {asset}" for asset, held in sorted(self.held.items())) or "nothing"
        state = {None: "as it was: nothing was to be sold", True: "flat", False: "NOT FLAT"}[self.is_flat]
        lines.append(
            f"held above what is kept: {holdings}; {state}" if self.held or self.flatten else "held: not looked up"
        )
        lines += [f"  too small to sell: {text}" for text in self.dust]
        lines += [f"  trouble: {text}" for text in self.problems]
        steps = (("latch", self.latched_s), ("nothing open", self.nothing_open_s), ("flat", self.flat_s))
        times = ", ".join(f"{name} after {at_s:.2f} s" for name, at_s in steps if at_s >= 0)
        asked = f"; {self.unheard} questions had to be asked again" if self.unheard else ""
        word = "VERIFIED" if self.is_verified else "NOT VERIFIED"
        lines.append(f"{word} in {self.total_s:.1f} s ({times}){asked}")
        return lines
