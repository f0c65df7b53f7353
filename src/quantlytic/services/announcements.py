"""What has been announced and not yet judged: says what is new, changed or withdrawn, and what became of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from quantlytic.engine.fork import Intent as Band
from quantlytic.model.intent import Intent, IntentOutcome
from quantlytic.model.side import Side

Deed = tuple[str, Side | None]
"""("order", side), or ("cancel", None), ("amend", None): what a strategy did at a bar."""

_SAME = 1e-8  # of the price: edges that are nearer to each other are one, where there are no ticks
_TOUCHING = 1e-4  # of the price: nearer than that is there
_WORTH_SAYING = 1e-2
_MOST = 256  # bands remembered of one intent


class Said(msgspec.Struct, array_like=True):
    """The intent as it was last said, and for each time the closes for which it has been said ever since."""

    last: Intent
    since: list[tuple[int, float, float]]

    def say(self, intent: Intent) -> None:
        low, high = intent.price_low, intent.price_high
        kept = [(time, max(low, one), min(high, other)) for time, one, other in self.since]
        self.last = intent
        self.since = [band for band in kept if band[1] <= band[2]]
        if not intent.is_withdrawn and (not self.since or self.since[-1][1:] != (low, high)):
            self.since.append((intent.event_time, low, high))
        if len(self.since) > _MOST:  # of what is left out, the lead is told shorter than it was
            self.since = [*self.since[:-1:2], self.since[-1]]

    def said_at(self, close: float) -> int | None:
        """Since when it has been said for that close; None where it is not."""
        return next((time for time, low, high in self.since if low <= close <= high), None)


class Announcements:
    """The open intents of one run. Pure: the same bands and bars in, the same intents and outcomes out."""

    def __init__(self, run_id: str, bar_size_ns: int) -> None:
        self._run_id, self._bar_size_ns = run_id, bar_size_ns
        self.open: list[Said] = []
        self.next_id = 1

    def revise(
        self, instrument: str, until: int, bands: Sequence[Band], *, time: int, price: float, tick: float, offset: int,
        probability: float = math.nan,
    ) -> list[Intent]:  # fmt: skip
        """Take over what a fork has found for the bar that ends at `until`; returns what has to be said.

        A band that has moved by less than half a tick is not said again; one that has moved keeps its id; one that is gone is
        withdrawn. `price` is the last one, `offset` that of the last bar decided on, `probability` a forecast's.
        """
        mine = [one for one in self.open if (one.last.instrument, one.last.until) == (instrument, until)]
        told: list[Intent] = []
        for band in bands:
            assert band.side is not None
            said = _nearest(mine, band)
            if said is not None:
                mine.remove(said)
                if _is_same(said.last, band, tick):
                    continue
            intent = Intent(
                self._run_id, self.next_id if said is None else said.last.intent_id, instrument, time, until, band.horizon,
                band.action, band.side, band.price_low, band.price_high, price, band.quantity, band.target_quantity,
                probability, offset, self._bar_size_ns,
            )  # fmt: skip
            if said is None:
                self.next_id += 1
                self.open.append(Said(intent, [(time, band.price_low, band.price_high)]))
            else:
                said.say(intent)
            told.append(intent)
        for said in mine:
            if not said.last.is_withdrawn:
                gone = msgspec.structs.replace(
                    said.last, event_time=time, price_low=math.nan, price_high=math.nan, seen_price=price
                )
                said.say(gone)
                told.append(gone)
        return told

    def approach(self, instrument: str, *, time: int, price: float) -> list[Intent]:
        """The price has moved, the bands have not. Returns what is said again, because the price has come from no more than a
        hundredth away to half as far as it was when that was last said: so that everybody hears it in time, however near
        they want it to be, and nobody at every trade."""
        told: list[Intent] = []
        for said in self.open:
            last = said.last
            if last.instrument != instrument or last.until <= time or last.is_withdrawn:
                continue
            before, now = _away(last, last.seen_price), _away(last, price)
            if now < before and now <= max(before / 2, price * _TOUCHING) and now <= price * _WORTH_SAYING:
                again = msgspec.structs.replace(last, event_time=time, seen_price=price)
                said.say(again)
                told.append(again)
        return told

    def judge(self, instrument: str, until: int, close: float, deeds: Iterable[Deed]) -> list[IntentOutcome]:
        """A bar has closed and been decided on. Intents for earlier ends, at which there was no bar, are judged as well."""
        done, judged = set(deeds), list[IntentOutcome]()
        for said in [one for one in self.open if one.last.instrument == instrument and one.last.until <= until]:
            self.open.remove(said)
            last = said.last
            price = close if last.until == until else math.nan
            deed = (last.action, last.side if last.action == "order" else None)
            since = said.said_at(price) if deed in done else None
            lead_ns = 0 if since is None else last.until - since
            judged.append(
                IntentOutcome(self._run_id, last.intent_id, instrument, last.until, since is not None, price, lead_ns)
            )
        return judged


def merged(bands: Iterable[Band], tried: tuple[float, float], finest: float) -> list[Band]:
    """One band for all that is done on one side: orders of one close added up, neighbours joined, those at the ends of what
    was tried left open. What sleeps until another order has filled is left out."""
    found: list[Band] = []
    for band in bands:
        if band.parent_id or band.side is None:
            continue
        low = -math.inf if band.price_low <= tried[0] else band.price_low
        high = math.inf if band.price_high >= tried[1] else band.price_high
        twin = next((k for k, one in enumerate(found) if _touch(one, band, low, finest)), None)
        if twin is None:
            found.append(replace(band, price_low=low, price_high=high))
        elif found[twin].price_low == low:
            quantity = found[twin].quantity + band.quantity
            found[twin] = replace(found[twin], quantity=quantity, target_quantity=band.target_quantity)
        else:
            found[twin] = replace(found[twin], price_high=high)
    return found


def _touch(one: Band, other: Band, low: float, finest: float) -> bool:
    alike = (one.action, one.side, one.horizon) == (other.action, other.side, other.horizon)
    return alike and low - one.price_high <= finest


def _nearest(said: Sequence[Said], band: Band) -> Said | None:
    """The one of the same deed whose band is nearest, one that was withdrawn only where there is no other."""
    alike = [one for one in said if (one.last.action, one.last.side) == (band.action, band.side)]
    return min(alike, key=lambda one: _distance(one.last, band), default=None)


def _distance(intent: Intent, band: Band) -> float:
    if intent.is_withdrawn:
        return math.inf
    ends = ((intent.price_low, band.price_low), (intent.price_high, band.price_high))
    return sum(abs(_finite(one) - _finite(other)) for one, other in ends)


def _away(intent: Intent, price: float) -> float:
    return max(intent.price_low - price, price - intent.price_high, 0.0)


def _finite(price: float) -> float:
    return min(max(price, -1e300), 1e300)


def _is_same(intent: Intent, band: Band, tick: float) -> bool:
    ends = ((intent.price_low, band.price_low), (intent.price_high, band.price_high))
    return all(one == other or abs(one - other) < (tick / 2 or _SAME * abs(other)) for one, other in ends)
