"""What is assumed of the market, each assumption named: the `Market`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from quantlytic.engine.account.codes import (
    CASH_ACCOUNT,
    OPEN_HIGH_LOW_CLOSE,
    OPEN_LOW_HIGH_CLOSE,
    QUEUES,
    SQUARE_ROOT,
    WORST,
)
from quantlytic.engine.account.lifecycle import Lifecycle
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.latency import Latency
from quantlytic.engine.market.margin import Margin
from quantlytic.engine.market.slippage import (
    FixedSlippage,
    NoSlippage,
    Slippage,
    SpreadSlippage,
    SquareRootImpact,
    VolumeShareSlippage,
)
from quantlytic.model.errors import InputError

_PATHS = {"worst": WORST, "ohlc": OPEN_HIGH_LOW_CLOSE, "olhc": OPEN_LOW_HIGH_CLOSE}
_SLIPPAGES: dict[str, type[Any]] = {
    "none": NoSlippage, "fixed": FixedSlippage, "spread": SpreadSlippage,
    "volume-share": VolumeShareSlippage, "square-root": SquareRootImpact,
}  # fmt: skip
_PATH_SENTENCES = {
    "worst": "Inside a bar the worst order of events is assumed: stops before targets, scarce cash to the worse trade. "
    "A trailing stop moves after it was met, and is met again by the close alone.",
    "ohlc": "Inside a bar the price goes open, high, low, close.",
    "olhc": "Inside a bar the price goes open, low, high, close.",
}


@dataclass(frozen=True)
class Market:
    """Every assumption about trading. The default: no costs, a cash account without shorts, whole fills, no latency.

    `participation`: the share (0 to 1) of a bar's volume that our orders may be; None: no cap. `path`: "worst", "ohlc" or
    "olhc" (`engine/matching/barmatch.py`). `borrow_rate`: what shorts pay a year, as a share of their value (0.03 is 3 %).
    `allow_short`: fully backed shorts in a cash account; margin always allows them. `queue`: "risk-averse", "proportional" or
    "none", how a resting limit's place among others at its price moves, on ticks (`engine/matching/tickmatch.py`).
    """

    fees: Fees = field(default_factory=Fees)
    slippage: Slippage = field(default_factory=NoSlippage)
    latency: Latency = field(default_factory=Latency)
    participation: float | None = None
    path: str = "worst"
    borrow_rate: float = 0.0
    margin: Margin = field(default_factory=Margin)
    allow_short: bool = False
    queue: str = QUEUES[0]

    def __post_init__(self) -> None:
        kinds: tuple[tuple[str, Any], ...] = (
            ("fees", Fees), ("slippage", tuple(_SLIPPAGES.values())), ("latency", Latency), ("margin", Margin),
        )  # fmt: skip
        for name, kind in kinds:
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"{name} of a market is not {getattr(self, name)!r}: see quantlytic.engine.market.market"
                )
        share = self.participation
        if share is not None and not (isinstance(share, int | float) and 0 < share <= 1):
            raise InputError(f"participation is a share of the volume above 0 and up to 1, or None, not {share!r}")
        if self.path not in _PATHS:
            raise InputError(f"path is {', '.join(_PATHS)}, not {self.path!r}")
        if not (isinstance(self.borrow_rate, int | float) and 0 <= self.borrow_rate <= 100):
            raise InputError(f"borrow_rate is a share a year from 0 to 100, not {self.borrow_rate!r}")
        if not isinstance(self.allow_short, bool):
            raise InputError(f"allow_short is true or false, not {self.allow_short!r}")
        if self.queue not in QUEUES:
            raise InputError(f"queue is {', '.join(QUEUES)}, not {self.queue!r}")

    def sentences(self) -> list[str]:
        """The assumptions in plain words, for reports."""
        share = self.participation
        shorts = self.allow_short or self.margin.mode != "none"
        said = [
            self.fees.sentence(),
            self.slippage.sentence(),
            self.latency.sentence(),
            _PATH_SENTENCES[self.path],
            f"Orders may be {share:.4g} of a bar's or trade's volume; the rest waits. Quotes and books have no such cap."
            if share
            else "Orders fill whole, at any volume.",
            self.margin.sentence(),
            f"Shorts are allowed; borrowing costs {self.borrow_rate:.4g} a year." if shorts else "No shorts.",
        ]
        if shorts and not self.borrow_rate:
            said[-1] = "Shorts are allowed; borrowing is free."
        if self.queue != QUEUES[0]:
            said.append(f"Among resting orders at one price, the place in the queue: {self.queue}.")
        return said

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, texts, lists and dicts, for manifests. `from_dict` gives the same market."""
        names = {kind: name for name, kind in _SLIPPAGES.items()}
        slippage = {"model": names[type(self.slippage)]} | dataclasses.asdict(self.slippage)
        latency = dataclasses.asdict(self.latency) | {"lags_ns": list(self.latency.lags_ns)}
        fees = dataclasses.asdict(self.fees) | {"tiers": [list(tier) for tier in self.fees.tiers]}
        return dataclasses.asdict(self) | {"slippage": slippage, "latency": latency, "fees": fees}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Market:
        """What `to_dict` gave. Raises InputError, naming it, for what is not known."""
        given = dict(values)
        try:
            slippage = dict(given.pop("slippage", {"model": "none"}))
            model = slippage.pop("model", "none")
            if model not in _SLIPPAGES:
                raise InputError(f"slippage model is {', '.join(_SLIPPAGES)}, not {model!r}")
            parts: dict[str, Any] = {
                name: kind(**given.pop(name)) for name, kind in (("fees", Fees), ("latency", Latency), ("margin", Margin))
                if name in given
            }  # fmt: skip
            return cls(slippage=_SLIPPAGES[model](**slippage), **parts, **given)
        except TypeError as error:
            raise InputError(f"a market cannot be made of this: {error}") from None

    def pack(self, account: Lifecycle) -> None:
        """Write the numbers into an account that is being made. Tiers and lags are the arena's."""
        fees, margin, latency = self.fees, self.margin, self.latency
        account.taker_rate, account.maker_rate = fees.taker_rate, fees.maker_rate
        account.fee_per_order, account.fee_per_unit = float(fees.per_order), float(fees.per_unit)
        account.fee_minimum, account.tiers = float(fees.minimum), len(fees.tiers)
        account.slippage, account.slippage_first, account.slippage_second = self.slippage.numbers
        account.path = _PATHS[self.path]
        account.participation = float(self.participation or 0.0)
        account.borrow_rate = float(self.borrow_rate)
        account.margin_mode, account.leverage = margin.number, float(margin.leverage)
        account.maintenance, account.liquidation_rate = float(margin.maintenance), margin.liquidation_fee_bps / 1e4
        account.allow_short = self.allow_short or margin.number != CASH_ACCOUNT
        account.latency, account.latency_ns = latency.kind, latency.ns
        account.latency_seed, account.lags = latency.seed, len(latency.lags_ns)
        plain = Fees(fees.taker_bps, fees.maker_bps)
        account.plain = self == Market(fees=plain, allow_short=self.allow_short, queue=self.queue)
        account.restless = (
            account.borrow_rate > 0.0 or account.margin_mode != CASH_ACCOUNT or account.slippage == SQUARE_ROOT
        )


def market_of(market: Market | None, fees: Fees, allow_short: bool) -> Market:
    """The market given, or one of the two shortcuts. InputError when both say something."""
    if market is None:
        return Market(fees=fees, allow_short=allow_short)
    if not isinstance(market, Market):
        raise InputError(f"a market is a ql.Market, not {market!r}")
    if fees != Fees() or allow_short:
        raise InputError("fees and allow_short are part of the market: give market= alone, or them alone")
    return market
