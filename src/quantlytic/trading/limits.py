"""How far an account may go. Every limit is a plain number; `None` switches one off, and has to be written down to do so."""

from __future__ import annotations

import math
from zoneinfo import ZoneInfo

import msgspec

from quantlytic.model.errors import InputError


def _check_numbers(limits: msgspec.Struct) -> None:
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value) or value < 0:
            raise InputError(f"risk limit {name}={value!r}: write a number from 0 up, or none to do without this limit")


class InstrumentLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one instrument. Worst cases count: what is held plus all that is open in that direction.

    max_position_quantity  base units, long or short.
    max_position_notional  the same at the last price, in the account's currency.
    max_order_notional     one order, in the account's currency. A market order counts at the worst price of the collar.
    price_collar_bps       how far a price may be on the dear side of the last one (buying above it, selling below it).
    far_price_bps          how far it may be on the cheap side: a resting order so far away is a slip of the finger.
    max_price_age_s        the last price may be no older (or further ahead of our clock): without it nothing is sent.
    max_open_orders        orders open at a time.
    allow_short            whether more may be sold than is held. Without it a sale can never touch what is not the runs'.
    """

    max_position_quantity: float | None = 1e6
    max_position_notional: float | None = 10_000.0
    max_order_notional: float | None = 5_000.0
    price_collar_bps: float | None = 200.0
    far_price_bps: float | None = 5_000.0
    max_price_age_s: float | None = 120.0
    max_open_orders: int | None = 10
    allow_short: bool = False

    def __post_init__(self) -> None:
        _check_numbers(self)


_LIMITS = msgspec.msgpack.Decoder(InstrumentLimits)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of an account. Money is in the account's currency: the one that its instruments are quoted in.

    every                what holds for each instrument; `instruments` has what is different for single ones: id -> {name: value}.
    max_gross_notional   what all runs hold and have open, at the last prices, shorts counted like longs, no run netted
                         with another. `max_venue_notional`: the same of each venue.
    max_orders_per_s, max_orders_per_minute  new orders; cancels are never held back.
    max_open_orders      orders open at a time, of all instruments.
    max_daily_loss       money lost since the day began (in `day_zone`); `max_daily_loss_share` as a share of the worth then.
    max_drawdown_share   loss from the highest worth ever, as a share of it.
    self_trade_guard     an order that would meet one of our own, of whatever run, is refused.
    """

    every: InstrumentLimits = InstrumentLimits()
    instruments: dict[str, dict[str, int | float | bool | None]] = {}
    max_gross_notional: float | None = 50_000.0
    max_venue_notional: float | None = 50_000.0
    max_orders_per_s: int | None = 5
    max_orders_per_minute: int | None = 60
    max_open_orders: int | None = 50
    max_daily_loss: float | None = 1_000.0
    max_daily_loss_share: float | None = 0.05
    max_drawdown_share: float | None = 0.20
    day_zone: str = "UTC"
    self_trade_guard: bool = True

    def __post_init__(self) -> None:
        _check_numbers(self)
        zone_of(self.day_zone)
        for instrument in self.instruments:
            self.of(instrument)

    def where(self, limit: str, allowed: float, instrument: str) -> str:
        """Where the limit that allows so much is set, and so how it is changed: what a refusal ends with; "" for what is no
        setting."""
        is_whole = limit in Limits.__struct_fields__ and limit != "instruments"
        if limit in InstrumentLimits.__struct_fields__ and not (is_whole and getattr(self, limit) == allowed):
            own = limit in self.instruments.get(instrument, {})
            section = f'account.limits.instruments."{instrument}"' if own else "account.limits.every"
            value = getattr(self.of(instrument), limit)
        elif is_whole:
            section, value = "account.limits", getattr(self, limit)
        else:
            return ""
        shown = str(value).lower() if isinstance(value, bool | None) else f"{value:.10g}"
        return f"; to change that: {limit} (now {shown}) under [{section}] in quantlytic.toml"

    def of(self, instrument: str) -> InstrumentLimits:
        """The limits of one instrument. Raises InputError for one that is misspelt."""
        own = self.instruments.get(instrument)
        if own is None:
            return self.every
        try:
            return _LIMITS.decode(msgspec.msgpack.encode(msgspec.structs.asdict(self.every) | own))
        except (msgspec.ValidationError, OverflowError) as error:
            raise InputError(f"risk limits of {instrument}: {error}") from None


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name. Raises InputError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise InputError(f"day_zone {name!r} is no time zone: write UTC, or a name such as America/New_York") from None
