"""Which source an instrument's history comes from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from quantlytic.model.errors import InputError
from quantlytic.venues.daily import DailySource

HOW = "files:DIR, yahoo, venue or auto"
_BINANCE = ("binance", "box")


def source_of(
    how: str, *, cache: Path, equities: Collection[str], rest_urls: Mapping[str, str] | None = None
) -> Callable[[str], DailySource]:
    """A function from instrument to source. `how`: "files:DIR" takes all from a folder, "yahoo" all from Yahoo, "venue" each from
    its own venue; "auto" takes instruments of the venues in `equities` from Yahoo and others from their venues.

    `rest_urls`: where Binance-like venues are, by name, if elsewhere than usual. `cache` is a folder for what a source keeps.
    Sources are opened when they are first needed. Raises InputError for another `how`.
    """
    kind, _, folder = how.partition(":")
    if kind == "files" and folder:
        from quantlytic.daily.sources.files import FilesSource

        files = FilesSource(Path(folder))
        return lambda _instrument: files
    if how not in ("yahoo", "venue", "auto"):
        raise InputError(f"{how!r} is no source of daily history: give {HOW}")
    opened: dict[str, DailySource] = {}

    def find(instrument: str) -> DailySource:
        venue = instrument.partition(":")[0]
        name = "yahoo" if how == "yahoo" or (how == "auto" and venue in equities) else venue
        if name in equities and name != "yahoo":
            raise InputError(f"{venue} gives no daily history itself: take --source auto or yahoo for {instrument}")
        if name not in opened:
            opened[name] = _open(name, cache, rest_urls or {})
        return opened[name]

    return find


def _open(name: str, cache: Path, rest_urls: Mapping[str, str]) -> DailySource:
    if name == "yahoo":
        from quantlytic.venues.yahoo.daily import YahooDaily

        return YahooDaily(cache / "yfinance")
    if name in _BINANCE:
        from quantlytic.daily.sources.klines import KlinesDaily
        from quantlytic.venues.binance.market import spot

        if name == "box" and name not in rest_urls:
            raise InputError("the exchange in a box has an address of its own: say where it is in the settings")
        return KlinesDaily(spot(name, rest_urls[name]) if name in rest_urls else spot(name))
    from quantlytic.daily.sources.ccxtdaily import CcxtDaily

    return CcxtDaily(name)
