"""The daily digest in words: what a day did to somebody's instruments."""

from __future__ import annotations

from datetime import UTC, datetime

from quantlytic.model.errors import InputError
from quantlytic.model.time import NS_PER_S
from quantlytic.store.control.records import DigestNotice, DigestQuote
from quantlytic.telling.letter import Letter, Table, one_line
from quantlytic.telling.words import strategy_name

_DAY_S = 86_400
_AVERAGES = ("21", "50", "200")  # of those in the notice: more columns do not fit a phone


def digest_letter(notice: DigestNotice) -> Letter:
    """The digest of a day. Its time is the day's end. Raises InputError for a day that is none."""
    try:
        began = datetime.fromisoformat(notice.day).replace(tzinfo=UTC)
    except ValueError:
        raise InputError(f"the digest's day {one_line(notice.day, 30)!r} is no date such as 2026-11-20") from None
    count, size = len(notice.signals), len(notice.quotes)
    signals = "No signal" if not count else "1 signal" if count == 1 else f"{count} signals"
    advice = [one for one in notice.advice if one.is_new] or list(notice.advice)
    tables = [
        Table("Signals", ("Instrument", "Signal", "Price", "Strategy"), tuple(
            (_symbol(one.instrument), "BUY" if one.side > 0 else "SELL", _price(one.price), strategy_name(one.strategy))
            for one in notice.signals
        )),
        Table(
            "Closes, and how far above their averages of 21, 50 and 200 days",
            ("Instrument", "Close", "Change", *_AVERAGES),
            tuple(map(_row, notice.quotes)),
        ),
    ]  # fmt: skip
    return Letter(
        "digest", (int(began.timestamp()) + _DAY_S) * NS_PER_S,
        one_line(f"{notice.day}: {signals.lower()} on {size} instrument{'s' if size != 1 else ''}"),
        lines=(f"{signals} on {size} instrument{'s' if size != 1 else ''} on {notice.day}. {_breadth(notice.quotes)}",),
        record=tuple(one_line(one.sentence, 600) for one in advice), record_title="Recommendations",
        small=(
            *(one_line(f"Data: {one}", 300) for one in notice.trouble),
            "Days end at midnight UTC, or at the exchange's close.",
        ),
        tables=tuple(table for table in tables if table.rows),
    )  # fmt: skip


def _breadth(quotes: tuple[DigestQuote, ...]) -> str:
    changes = [one.change for one in quotes if one.change is not None]
    if not changes:
        return ""
    up, down = sum(one > 0 for one in changes), sum(one < 0 for one in changes)
    return f"{up} rose and {down} fell."


def _row(quote: DigestQuote) -> tuple[str, ...]:
    averages = [quote.averages.get(period) for period in _AVERAGES]
    against = [_share(quote.close / one - 1.0) if one else "–" for one in averages]
    change = "–" if quote.change is None else _share(quote.change)
    return _symbol(quote.instrument), _price(quote.close), change, *against


def _symbol(instrument: str) -> str:
    return one_line(instrument.partition(":")[2] or instrument, 40)


def _price(price: float) -> str:
    return f"{price:,.2f}" if price >= 1.0 else f"{price:,.6g}"


def _share(share: float) -> str:
    return f"{share * 100:+.1f} %".replace("-", "−")
