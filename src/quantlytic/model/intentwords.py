"""Intents in words, and which of them are worth a message."""

from __future__ import annotations

import math

from quantlytic.model.instrument import Instrument
from quantlytic.model.intent import Intent
from quantlytic.model.side import Side
from quantlytic.model.time import NS_PER_S

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_DIGITS = 6  # of a price of an instrument without a tick size


def is_near(intent: Intent, price: float, bps: float) -> bool:
    """Whether the band begins at most `bps` (hundredths of a percent of `price`) away from it, or holds it already."""
    if intent.is_withdrawn or not price > 0.0:
        return False
    distance = max(intent.price_low - price, price - intent.price_high, 0.0)
    return distance <= price * bps * 1e-4


def intent_words(intent: Intent, instrument: Instrument) -> str:
    """`BTCUSDT: buys if the 5-minute close is above 64,210 (+0.4 %), within the next 5 minutes`."""
    does, close = _does(intent), f"the {_bar(intent.bar_size_ns)} close"
    head = f"{instrument.symbol or instrument.id}: "
    if intent.is_withdrawn:
        return f"{head}no longer {does} at {close}"
    when = f"within the next {span_words(intent.until - intent.event_time)}"
    text = f"{head}{does} {_condition(intent, instrument, close)}, {when}"
    if not math.isnan(intent.probability):
        text += f"; model forecast gives {intent.probability * 100:.0f} %"
    return text


def span_words(span_ns: int) -> str:
    """`5 minutes`, `minute`, `90 seconds`: rounded up to whole seconds, from two minutes on to minutes, and so on."""
    seconds = max(1, -(-span_ns // NS_PER_S))
    for size, unit in _UNITS:
        if seconds >= 2 * size or size in (seconds, 1):
            count = -(-seconds // size)
            return f"{count} {unit}s" if count != 1 else unit
    raise AssertionError("a second is the last unit")


def _does(intent: Intent) -> str:
    if intent.action == "order":
        return "buys" if intent.side is Side.BUY else "sells"
    verb = "withdraws" if intent.action == "cancel" else "changes"
    return f"{verb} its {'buy' if intent.side is Side.BUY else 'sell'} order"


def _condition(intent: Intent, instrument: Instrument, close: str) -> str:
    low, high = intent.price_low, intent.price_high
    if math.isinf(low) and math.isinf(high):
        return f"whatever {close} is"
    ends = [price for price in (low, high) if not math.isinf(price)]
    shares = " to ".join(_share(price / intent.seen_price - 1.0) for price in ends)
    prices = " and ".join(_price(price, instrument.tick_size) for price in ends)
    word = "between" if len(ends) == 2 else "below" if math.isinf(low) else "above"
    if len(ends) == 2 and ends[0] == ends[1]:
        word, shares, prices = "at", _share(low / intent.seen_price - 1.0), _price(low, instrument.tick_size)
    return f"if {close} is {word} {prices} ({shares})"


def _bar(size_ns: int) -> str:
    seconds = size_ns / NS_PER_S
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            count = int(seconds // size)
            return "daily" if (count, unit) == (1, "day") else f"{count}-{unit}"
    return f"{seconds * 1e3:g}-millisecond" if size_ns else "bar's"


def _share(share: float) -> str:
    return f"{share * 100:+.{1 if abs(share) >= 0.0005 else 2}f} %"


def _price(price: float, tick: float) -> str:
    if tick > 0.0:
        digits = max(0, min(10, next((k for k in range(11) if abs(round(tick, k) - tick) < tick * 1e-6), 10)))
    else:
        digits = max(0, _DIGITS - 1 - math.floor(math.log10(price)))
    text = f"{price:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
