"""One account, one currency: instruments quoted in others are converted first, by rates that the user gives. Never implicitly.

What is converted is the price series: the instrument then behaves as one that is quoted in the account's currency, bought with
money changed at the moment of the trade and valued at the rate of the moment (an unhedged holding). So a return has both the
instrument's and the currency's part. The rate that counts at a time is the last one known then: of bars of rates, the close of
the last that has closed. Nothing is inferred: a rate from A to C is not made of A to B and B to C.

    open    by the rate at the bar's open_time        close   by the rate at its close_time
    high    by the smaller of the two, low by the larger: when within the bar they were reached is not known, so that the
            range holds only prices that there were, whichever rate it was; open and close are always within
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.model.action import ActionKind
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import iso

WEEK_NS = 7 * 86_400_000_000_000


@dataclass(frozen=True)
class Rates:
    """What one unit of each foreign currency costs in `currency`, over time.

    `series[foreign]` is (times int64 ns UTC, rates f8), by time. A rate older than `max_age_ns` is not used.
    """

    currency: str
    series: Mapping[str, tuple[NDArray[np.int64], NDArray[np.float64]]]
    max_age_ns: int = WEEK_NS

    @classmethod
    def of(cls, currency: str, rates: Mapping[str, tuple[ArrayLike, ArrayLike]], max_age_ns: int = WEEK_NS) -> Rates:
        """Rates from columns: `{"EUR": (times, dollars_for_a_euro)}`, checked.

        Raises InputError without a currency, DataError for rates that are not above 0 or times that do not increase.
        """
        if not currency:
            raise InputError("rates need the currency of the account, such as USD")
        series = {}
        for foreign, (times, values) in rates.items():
            at, rate = np.asarray(times, np.int64), np.asarray(values, np.float64)
            if at.shape != rate.shape or at.ndim != 1 or not len(at):
                raise DataError(f"rates of {foreign} in {currency}: times and rates must be as many, and at least one")
            bad = ~((rate > 0) & np.isfinite(rate)) | np.concatenate(([False], np.diff(at) <= 0))
            if bad.any():
                row = int(np.argmax(bad))
                what = (
                    f"is {rate[row]:g}, not above 0"
                    if not rate[row] > 0 or np.isinf(rate[row])
                    else "is not after the one before"
                )
                raise DataError(f"rates of {foreign} in {currency}: row {row} at {iso(int(at[row]))} {what}")
            series[foreign] = (at, rate)
        return cls(currency, series, max_age_ns)

    @classmethod
    def from_bars(cls, currency: str, *pairs: Bars, max_age_ns: int = WEEK_NS) -> Rates:
        """Rates from bars of pairs, whose instruments name `base` and `quote`: EURUSD serves dollars for euros and, by its
        inverse, euros for dollars. InputError for a pair without the account's currency, or a currency given twice."""
        found: dict[str, tuple[ArrayLike, ArrayLike]] = {}
        for bars in pairs:
            for index, pair in enumerate(bars.instruments):
                rows = bars.array[bars.array["instrument"] == index]
                if currency not in (pair.base, pair.quote) or not (pair.base and pair.quote):
                    raise InputError(
                        f"{pair.id}: base {pair.base!r} and quote {pair.quote!r} are no rate in {currency}"
                    )
                foreign = pair.base if pair.quote == currency else pair.quote
                if foreign in found:
                    raise InputError(f"{pair.id}: there are rates of {foreign} in {currency} already")
                found[foreign] = (rows["close_time"], rows["close"] if pair.quote == currency else 1.0 / rows["close"])
        return cls.of(currency, found, max_age_ns)

    def at(self, foreign: str, times: ArrayLike) -> NDArray[np.float64]:
        """The rates that counts at each time (ns UTC); 1 for the account's own currency.

        Raises InputError for a currency without rates, DataError where no rate is known yet or the last one is too old.
        """
        asked = np.asarray(times, np.int64)
        if foreign == self.currency:
            return np.ones(asked.shape)
        if foreign not in self.series:
            raise InputError(
                f"no rate of {foreign or 'an unnamed currency'} in {self.currency}: give one, or leave it out"
            )
        known, rates = self.series[foreign]
        row = np.searchsorted(known, asked, "right") - 1
        bad = (row < 0) | (asked - known[row] > self.max_age_ns)
        if bad.any():
            time = iso(int(asked[bad][0]))
            raise DataError(
                f"no rate of {foreign} in {self.currency} at {time}, nor {self.max_age_ns // 10**9:,} s before"
            )
        return np.asarray(rates[row])


def convert_bars(bars: Bars, rates: Rates) -> Bars:
    """The bars with all prices in the account's currency; volumes stay in base units, `quote_volume` goes by the close's rate.

    The instruments are quoted in the account's currency then, without tick size and minimum notional: those are rules in
    the other. Raises InputError for an instrument whose `quote` is not named or has no rate, DataError where a rate is
    missing in time.
    """
    array = bars.array.copy()
    for index, instrument in enumerate(bars.instruments):
        if instrument.quote == rates.currency:
            continue
        rows = np.flatnonzero(array["instrument"] == index)
        own = array[rows]
        opens, closes = (rates.at(instrument.quote, own[name]) for name in ("open_time", "close_time"))
        open_, close = own["open"] * opens, own["close"] * closes
        array["open"][rows], array["close"][rows] = open_, close
        array["high"][rows] = np.maximum(own["high"] * np.minimum(opens, closes), np.maximum(open_, close))
        array["low"][rows] = np.minimum(own["low"] * np.maximum(opens, closes), np.minimum(open_, close))
        array["quote_volume"][rows] = own["quote_volume"] * closes
    instruments = tuple(_in(rates.currency, instrument) for instrument in bars.instruments)
    return Bars(array, instruments, f"{bars.label} in {rates.currency}".strip())


def convert_actions(actions: NDArray[Any], instruments: Iterable[Instrument], rates: Rates) -> NDArray[Any]:
    """The actions (dtype ACTION) with dividends and delisting values in the account's currency, by the rates of their times."""
    converted = actions.copy()
    for index, instrument in enumerate(instruments):
        money = np.isin(actions["kind"], (ActionKind.DIVIDEND, ActionKind.DELISTING)) & (actions["instrument"] == index)
        if money.any():
            converted["value"][money] *= rates.at(instrument.quote, actions["event_time"][money])
    return converted


def check_one_currency(instruments: Iterable[Instrument]) -> None:
    """Raise InputError when instruments of one account name different quote currencies. Those that name none are believed."""
    quotes: dict[str, str] = {}
    for instrument in instruments:
        if instrument.quote:
            quotes.setdefault(instrument.quote, instrument.id)
    if len(quotes) > 1:
        named = ", ".join(f"{name} in {quote}" for quote, name in quotes.items())
        raise InputError(
            f"one account has one currency, and these have several: {named}; convert them (engine.currency)"
        )


def _in(currency: str, instrument: Instrument) -> Instrument:
    if instrument.quote == currency:
        return instrument
    return msgspec.structs.replace(instrument, quote=currency, tick_size=0.0, min_notional=0.0)
