"""Misbehaviour on demand, seeded: what the exchange does wrong, how often, and a count of what it did."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping

from quantlytic.model.errors import InputError

FRAME_FAULTS = ("drop", "delay", "duplicate", "reorder", "disconnect")
REQUEST_FAULTS = ("http429", "http5xx", "html")
ORDER_FAULTS = ("order_timeout", "order_cut", "order_unknown", "order_late")
PROBABILITIES = FRAME_FAULTS + REQUEST_FAULTS + ORDER_FAULTS
AMOUNTS = {"delay_ms": 500.0, "retry_after_s": 1.0, "timeout_s": 60.0, "late_ms": 1000.0}
KINDS = ("trade", "aggTrade", "bookTicker", "depth", "kline", "ticker", "miniTicker", "user")


class Faults:
    """The faults in force. Per message sent: `drop`, `delay` (by `delay_ms`), `duplicate`, `reorder` (with the next
    of its stream), `disconnect`; each also for one kind of stream alone, as `drop.trade`. Per request: `http429`
    (with `retry_after_s`), `http5xx`, `html`. Per accepted order: `order_timeout` (the answer never comes),
    `order_cut` (the connection breaks), `order_unknown` (504, code -1007). Per new order: `order_late` (it is looked at
    `late_ms` after it came in, and taken if its receive window allows). All are probabilities. `stale` (0 or 1)
    stops the feed while connections stay open. `NAME.times` stops a fault after it struck so often.
    """

    def __init__(self, seed: int = 1, **settings: float) -> None:
        self.seed = seed
        self.settings: dict[str, float] = {}
        self.injected: Counter[str] = Counter()
        self.on_requests = random.Random(f"{seed}:requests")
        self.set(settings)

    def set(self, settings: Mapping[str, float]) -> None:
        """Change some settings. Raises InputError, with nothing changed, for a name or value that cannot be."""
        for name, value in settings.items():
            _check(name, value)
        self.settings = self.settings | {name: float(value) for name, value in settings.items()}

    def clear(self) -> None:
        """Behave well again."""
        self.settings = {}

    @property
    def stale(self) -> bool:
        """Whether the feed stands still."""
        return bool(self.settings.get("stale"))

    def amount(self, name: str) -> float:
        """`delay_ms`, `retry_after_s`, `timeout_s` or `late_ms`."""
        return self.settings.get(name, AMOUNTS[name])

    def strikes(self, name: str, kind: str, source: random.Random) -> bool:
        """Whether the fault happens now, by `source`; counts it if so."""
        settings = self.settings
        share = settings.get(f"{name}.{kind}", settings.get(name, 0.0))
        if not share or source.random() >= share:
            return False
        times = settings.get(f"{name}.times")
        if times is not None:
            if times < 1:
                return False
            self.settings = settings | {f"{name}.times": times - 1}
        self.injected[f"{name}.{kind}"] += 1
        return True

    @property
    def on_frames(self) -> bool:
        """Whether any fault of sent messages is in force (asked for every message: must be quick)."""
        return bool(self.settings)


def parse_faults(texts: tuple[str, ...]) -> dict[str, float]:
    """`("drop=0.01", "delay.trade=0.2")` to settings. Raises InputError."""
    settings: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            settings[name.strip()] = float(value)
        except ValueError:
            raise InputError(f"fault {text!r}: write NAME=VALUE, such as drop=0.01 or delay.trade=0.2") from None
        _check(name.strip(), settings[name.strip()])
    return settings


def kind_of(stream: str) -> str:
    """`"btcusdt@depth20@100ms"` -> `"depth"`."""
    return stream.split("@")[1].partition("_")[0].rstrip("0123456789") if "@" in stream else "user"


def _check(name: str, value: float) -> None:
    base, _, part = name.partition(".")
    if base in PROBABILITIES and (not part or (base in FRAME_FAULTS and part in KINDS)):
        fits = 0 <= value <= 1
    elif name in AMOUNTS or (base in PROBABILITIES and part == "times"):
        fits = 0 <= value < math.inf
    elif name == "stale":
        fits = value in (0, 1)
    else:
        raise InputError(
            f"unknown fault {name!r}; there are {', '.join(PROBABILITIES)} (probabilities), stale (0 or 1), "
            f"{', '.join(AMOUNTS)}; of {', '.join(FRAME_FAULTS)} also for one of .{', .'.join(KINDS)}; and NAME.times"
        )
    if not fits:
        raise InputError(f"fault {name}={value!r} is out of range: probabilities are 0 to 1, amounts not negative")
