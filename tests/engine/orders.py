"""Short sequences of bars and what is done at each, for cases worked by hand.

A bar is (open, high, low, close), a minute long, volume 1000 unless a fifth number says else; bar k opens at minute k.
`plan` maps a bar's number to what the strategy does at its close.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from tests.engine.market import BTC, MINUTE_NS, rows

from quantlytic import Instrument, Session, Side, Strategy
from quantlytic.engine.market.market import Market
from quantlytic.model.order import OrderStatus, Reason

BUY, SELL = Side.BUY, Side.SELL
FLAT = (100.0, 100.0, 100.0, 100.0)
Plan = Mapping[int, Callable[[Any], Any]]
Steps = Sequence[tuple[float, ...]]


class Planned(Strategy):
    """Does what its plan says; only uncompiled, where handlers may be any Python."""

    plan: ClassVar[Plan] = {}

    def setup(self) -> None:
        self.bar = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if self.bar in self.plan:
            self.plan[self.bar](broker)
        self.bar += 1


def bars_of(steps: Steps, volume: float = 1000.0, start: int = 0) -> Any:
    array = rows(*[step[:4] for step in steps], start=start)  # type: ignore[misc]
    array["volume"] = [step[4] if len(step) > 4 else volume for step in steps]
    return array


def play(
    plan: Plan, *steps: tuple[float, ...], market: Market | None = None, cash: float = 1e6,
    instrument: Instrument = BTC, **options: Any,
) -> Session:  # fmt: skip
    """A session that has run the plan over the bars; shorts are allowed unless the market says else."""
    strategy = type("Played", (Planned,), {"plan": plan})
    chosen = Market(allow_short=True) if market is None else market
    session = Session(strategy, [instrument], cash, market=chosen, compiled=False, **options)
    session.run(bars_of(steps))
    return session


def fills(session: Session) -> list[tuple[int, int, float, float]]:
    """(bar, side, quantity, price) of each fill."""
    found = session.fills
    return [(int(f["bar_offset"]), int(f["side"]), float(f["quantity"]), round(float(f["price"]), 9)) for f in found]


def ends(session: Session) -> dict[int, str]:
    """Order id -> its last status, with the reason: `CANCELED oco`."""
    found: dict[int, str] = {}
    for update in session.updates:
        text = f"{OrderStatus(update['status']).name} {Reason(update['reason']).text}".strip()
        found[int(update["order_id"])] = text
    return found


__all__ = ["BTC", "BUY", "FLAT", "MINUTE_NS", "SELL", "bars_of", "ends", "fills", "play"]
