"""The completeness check: what it counts is what was left out, doubled or stated."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.lake.events import T0, trades

from quantlytic.model.bar import Bar
from quantlytic.model.book import BookDelta
from quantlytic.model.event import Event
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.store.lake import Lake
from quantlytic.store.lake.completeness import StreamReport, check

BTC = "box:BTCUSDT"


def file(lake: Lake, events: list[Event], source: str = "market.box") -> None:
    done = max((lake.table(name).version(source) or -1 for name in lake.tables()), default=-1) + 1
    lake.append(source, range(done, done + len(events)), events)


def report(lake: Lake, kind: str) -> StreamReport:
    (found,) = [one for one in check(lake) if one.kind == kind]
    return found


def entry(kind: LedgerKind, first: int, last: int, count: int | None = None, stream: str = "trades") -> LedgerEntry:
    return LedgerEntry(BTC, stream, kind, T0, first, last, last - first + 1 if count is None else count)


def book(first: int, last: int, snapshot: bool = False) -> BookDelta:
    return BookDelta(BTC, T0 + last, T0, first, last, (1.0,), (1.0,), (2.0,), (1.0,), snapshot=snapshot)


def test_an_empty_lake_has_no_streams(tmp_path: Path) -> None:
    assert check(Lake(tmp_path)) == []


@settings(max_examples=25, deadline=None)
@given(missing=st.sets(st.integers(1, 58)), stated=st.sets(st.integers(1, 58)), seed=st.integers(0, 99))
def test_holes_in_trade_ids_are_counted_and_set_against_the_ledger(
    tmp_path_factory: pytest.TempPathFactory, missing: set[int], stated: set[int], seed: int
) -> None:
    lake = Lake(tmp_path_factory.mktemp("lake"))
    events = [trade for trade in trades(0, 200) if isinstance(trade, Trade) and trade.trade_id not in missing]
    shuffled: list[Event] = [*events, *(entry(LedgerKind.GAP, number, number) for number in stated)]
    random.Random(seed).shuffle(shuffled)  # late and backfilled trades come out of order
    file(lake, shuffled)
    holes = [hole for number in sorted(missing - {n + 1 for n in missing}) if (hole := run_from(number, missing))]
    found = report(lake, "trades")
    assert (found.rows, found.gaps, found.missing, found.duplicates) == (len(events), len(holes), len(missing), 0)
    assert found.unexplained == sum(1 for hole in holes if not hole <= stated)
    assert found.is_clean == (not missing)
    assert (found.first_ns, found.last_ns) == (T0, T0 + 199 * 10**6)


def run_from(number: int, numbers: set[int]) -> set[int]:
    end = number
    while end in numbers:
        end += 1
    return set(range(number, end))


def test_doubled_trades_are_counted(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    file(lake, [*trades(0, 20), *trades(5, 3)])
    assert report(lake, "trades").duplicates == 3


def test_a_venue_that_counts_anew_is_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    anew = entry(LedgerKind.GAP, 0, 0, count=0)
    file(lake, [*trades(50, 30), anew, *trades(0, 70)])
    found = report(lake, "trades")
    assert (found.rows, found.gaps, found.duplicates) == (100, 0, 0)


def test_ids_that_are_not_contiguous_by_nature_are_left_to_the_ledger(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    sparse: list[Event] = [Trade(BTC, T0 + i, T0 + i, 7 * i, 1.0, 1.0, Side.BUY) for i in range(30)]
    none: list[Event] = [Trade("box:ADAUSDT", T0 + i, T0 + i, 0, 1.0, 1.0, Side.BUY) for i in range(30)]
    file(lake, [*sparse, *none, entry(LedgerKind.GAP, 3, 5)])
    without_ids, with_gap = [one for one in check(lake) if one.kind == "trades"]
    assert (without_ids.instrument, without_ids.gaps, without_ids.duplicates) == ("box:ADAUSDT", 0, 0)
    assert (with_gap.gaps, with_gap.missing, with_gap.unexplained, with_gap.duplicates) == (1, 3, 0, 0)


def test_book_changes_chain_by_their_spans(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    spans = [(1, 4), (5, 5), (6, 9), (10, 12), (15, 20), (21, 22), (23, 30)]
    file(lake, [book(12, 12, snapshot=True), *(book(*span) for span in spans)])
    found = report(lake, "book")
    assert (found.rows, found.gaps, found.missing, found.unexplained, found.duplicates) == (8, 1, 2, 1, 0)
    file(lake, [entry(LedgerKind.GAP, 13, 14, stream="book"), book(21, 22)])
    found = report(lake, "book")
    assert (found.gaps, found.unexplained, found.duplicates) == (1, 0, 1)


def test_futures_books_do_not_chain_by_their_first_ids(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    file(lake, [book(i * 100 + 3, i * 100 + 60) for i in range(20)])
    assert report(lake, "book").is_clean


def test_quotes_go_by_the_ledger_and_by_content(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    quotes: list[Event] = [Quote(BTC, T0 + i, T0 + i, 5 * i, 1.0 + i, 1.0, 2.0 + i, 1.0) for i in range(10)]
    file(lake, quotes)
    assert report(lake, "quotes").is_clean
    file(lake, [quotes[3], entry(LedgerKind.GAP, 1, 2, stream="quotes")])
    found = report(lake, "quotes")
    assert (found.rows, found.gaps, found.duplicates) == (11, 1, 1)


def test_bars_by_size_with_their_missing_steps(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    second = 10**9

    def bar(step: int, size: int) -> Bar:
        return Bar(BTC, T0 + step * size, T0 + (step + 1) * size, 1.0, 1.0, 1.0, 1.0, 1.0)

    bars: list[Event] = [bar(step, second) for step in (0, 1, 2, 5, 6, 6)]
    bars += [bar(step, 60 * second) for step in range(4)]
    file(lake, [*bars, entry(LedgerKind.LATE, 7, 7, stream="bars")], "bars.box")
    small, large = [one for one in check(lake) if one.kind == "bars"]
    assert (small.size, small.rows, small.missing_bars, small.gaps, small.duplicates, small.late) == (
        "1s",
        6,
        2,
        0,
        1,
        1,
    )
    assert (large.size, large.rows, large.missing_bars, large.duplicates) == ("1m", 4, 0, 0)


def test_the_ledgers_word_is_passed_on(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    kinds = (LedgerKind.DUPLICATE, LedgerKind.BACKFILL, LedgerKind.LATE, LedgerKind.INVALID)
    raw = LedgerEntry("box:*", "raw", LedgerKind.RECONNECT, T0)
    elsewhere = LedgerEntry("other:*", "raw", LedgerKind.RECONNECT, T0)
    entries = [entry(kind, 3, 4, count=number) for number, kind in enumerate(kinds, start=1)]
    file(lake, [*trades(0, 10), *entries, raw, raw, elsewhere])
    found = report(lake, "trades")
    assert (found.dropped, found.backfilled, found.late, found.invalid, found.reconnects) == (1, 2, 3, 4, 2)
    assert found.is_clean
