"""What the daily run is to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from quantlytic.model.errors import InputError

CALENDARS: Mapping[str, str] = {"usa": "XNYS", "yahoo": "XNYS", "alpaca": "XNYS", "finnhub": "XNYS"}
"""Exchange (a MIC of exchange_calendars) by venue; venues that are not named never close: "24/7"."""

_YAHOO_SUFFIXES = {
    "L": "XLON", "IL": "XLON", "DE": "XETR", "PA": "XPAR", "AS": "XAMS", "BR": "XBRU", "MI": "XMIL", "MC": "XMAD",
    "SW": "XSWX", "ST": "XSTO", "CO": "XCSE", "HE": "XHEL", "OL": "XOSL", "TO": "XTSE", "HK": "XHKG", "T": "XTKS",
    "AX": "XASX", "SA": "BVMF", "JO": "XJSE",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DailySettings:
    """`instruments` (`venue:SYMBOL`) are tracked, besides those that subscribers asked for. `history_days`: how far back a new
    one is fetched; `lookback_days`: how much is fetched anew every day, to be judged and compared.

    `strategies` are run over the day's bar: names, and "recommended" for what suits the instrument. Recommendations are made
    anew every `recommend_days`, of `candidates` (none: the whole catalogue), over `folds` stretches, `draws` parameter sets
    each, with `fee_bps` a fill; `cash` is the account's.
    """

    instruments: tuple[str, ...] = ()
    calendars: Mapping[str, str] = field(default_factory=lambda: dict(CALENDARS))
    history_days: int = 3650
    lookback_days: int = 400
    strategies: tuple[str, ...] = ("sma-cross", "recommended")
    recommend_days: int = 7
    candidates: tuple[str, ...] = ()
    folds: int = 6
    draws: int = 16
    fee_bps: float = 10.0
    cash: float = 1_000_000.0
    compiled: bool = True

    def __post_init__(self) -> None:
        for instrument in self.instruments:
            check_instrument(instrument)
        if len(set(self.instruments)) < len(self.instruments):
            raise InputError("setting 'daily.instruments' names an instrument twice")
        for name in ("history_days", "lookback_days", "recommend_days"):
            if getattr(self, name) < 1:
                raise InputError(f"setting 'daily.{name}' is 1 or more, not {getattr(self, name)}")

    def calendar_of(self, instrument: str) -> str:
        """The exchange whose sessions the instrument has; "24/7" for none."""
        venue, _, symbol = instrument.partition(":")
        if venue == "yahoo" and "yahoo" in self.calendars:
            if symbol.endswith("-USD"):
                return "24/7"
            suffix = symbol.rpartition(".")[2] if "." in symbol else ""
            return _YAHOO_SUFFIXES.get(suffix, self.calendars["yahoo"])
        return self.calendars.get(venue, "24/7")


def check_instrument(instrument: str) -> None:
    """Raise InputError for what is no `venue:SYMBOL`, or could not name a file."""
    venue, colon, symbol = instrument.partition(":")
    allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-^=/")
    if not (colon and venue and symbol) or not set(venue + symbol) <= allowed or len(instrument) > 100:
        raise InputError(f"{instrument!r} is no instrument: write venue:SYMBOL, such as usa:AAPL or binance:BTCUSDT")
