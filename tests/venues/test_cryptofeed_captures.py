"""Captures of 15 venues: each line is parsed, or is known as a control message, or is refused with a reason."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.venues.cryptofeed_captures import EXCHANGES, captures_of, exchange_of, instruments_of
from tests.venues.cryptofeed_outcomes import BOOKS, EXPECTED, MISLED_BOOKS, QUOTES, TRADES
from tests.venues.raw_messages import PlainBook, RawBook, book_of, quotes_of, snapshot_of, trades_of

from quantlytic.model.book import BookDelta
from quantlytic.model.codec import decode_batch, encode_batch
from quantlytic.model.event import Event
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.venues.binance.market import BinanceMarket, spot, usdm
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.ccxt.messages import channel_of
from quantlytic.venues.ccxt.normaliser import CcxtNormaliser
from quantlytic.venues.ccxt.recording import BOOK_LEVELS, CcxtRecording

pytest.importorskip("ccxt", reason="needs ccxt (pip install quantlytic[ccxt])")
SEED = 20261121


class Step(NamedTuple):
    """A frame of the tape and what it gave; `channel` is "" for a REST reply."""

    frame: RawFrame
    message: Any
    channel: str
    events: Sequence[Event]

    def entries(self) -> list[LedgerEntry]:
        return [event for event in self.events if isinstance(event, LedgerEntry)]


def plain(payload: bytes) -> Any:
    return json.loads(gzip.decompress(payload) if payload.startswith(b"\x1f\x8b") else payload)


@cache
def steps_of(folder: Path, venue: str) -> list[Step]:
    """All connections of the venue, REST replies among the frames by time."""
    steps = []
    for capture in captures_of(folder, venue):
        tape = sorted((*capture.replies, *capture.frames), key=lambda frame: frame.receive_time)
        with CcxtRecording(venue.lower(), exchange_of(venue), capture.url) as recording:
            before = [frame for frame in tape if not frame.receive_time]
            for frame in before:
                assert not recording.answer(frame)
            recording.subscribe(instruments_of(venue).values())
            for frame in tape[len(before) :]:
                message = plain(frame.payload)
                if frame.channel:
                    steps.append(Step(frame, message, "", recording.answer(frame)))
                else:
                    events = recording.feed(frame)
                    steps.append(Step(frame, message, channel_of(message, recording.channels), events))
    return steps


def outcome_of(step: Step) -> str:
    """ "parsed", "control", or why it was refused."""
    refusals = [entry.detail.partition(": ")[2] for entry in step.entries() if entry.kind is LedgerKind.INVALID]
    assert len(refusals) <= 1
    return refusals[0] if refusals else "parsed" if step.events else "control"


@pytest.fixture(params=list(EXCHANGES))
def venue(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_every_line_of_every_capture_has_its_outcome(market_data: Path, venue: str) -> None:
    steps = [step for step in steps_of(market_data, venue) if step.channel]
    assert Counter((step.channel, outcome_of(step)) for step in steps) == EXPECTED[venue]
    files = (market_data / "raw_ws_cryptofeed").glob(f"{venue}.ws.*.gz")
    lines = [line for path in files for line in gzip.decompress(path.read_bytes()).split(b"\n")]
    assert sum(EXPECTED[venue].values()) == sum(line[:1].isdigit() for line in lines)
    for step in steps:
        for entry in step.entries():
            assert entry.kind is LedgerKind.DUPLICATE or entry.detail.startswith(f"{venue.lower()} {step.channel}: ")


def with_names(steps: list[Step]) -> Iterator[tuple[Step, dict[int, tuple[str, str]]]]:
    """The stream's messages; Bitfinex's (channel, instrument) by number, as far as they are known by then."""
    names: dict[int, tuple[str, str]] = {}
    for step in steps:
        message = step.message
        if not step.channel:
            continue
        if isinstance(message, dict) and message.get("event") == "subscribed" and "chanId" in message:
            names[message["chanId"]] = (message["channel"], message["symbol"])
        elif isinstance(message, list) and message[1] == "hb":
            continue
        yield step, names


def is_read(venue: str) -> bool:
    return EXCHANGES[venue] is not None and venue != "KRAKEN"


def test_trades_are_those_of_the_raw_messages(market_data: Path, venue: str) -> None:
    symbols, seen = instruments_of(venue), set()
    for step, names in with_names(steps_of(market_data, venue)):
        raw = trades_of(venue, step.message, names) if is_read(venue) else []
        fresh = {trade for trade in raw if trade not in seen}
        seen |= fresh
        given = [event for event in step.events if isinstance(event, Trade)]
        expected = sorted(
            (f"{venue.lower()}:{symbols[trade.instrument]}", trade.price, trade.size, trade.side) for trade in fresh
        )
        assert sorted((t.instrument, t.price, t.quantity, Side(t.side).name.lower()) for t in given) == expected
        if all(trade.trade_id.isdecimal() and len(trade.trade_id) < 19 for trade in fresh):
            assert {trade.trade_id for trade in given} == {int(trade.trade_id) for trade in fresh}
        repeats = sum(entry.count for entry in step.entries() if entry.kind is LedgerKind.DUPLICATE)
        assert repeats == len(raw) - len(fresh)
    assert len(seen) == TRADES[venue]


def test_quotes_are_those_of_the_raw_messages(market_data: Path, venue: str) -> None:
    symbols, count = instruments_of(venue), 0
    for step, names in with_names(steps_of(market_data, venue)):
        raw = quotes_of(venue, step.message, names) if is_read(venue) else []
        given = [event for event in step.events if isinstance(event, Quote)]
        assert [(q.instrument, q.bid, q.bid_quantity, q.ask, q.ask_quantity) for q in given] == [
            (f"{venue.lower()}:{symbols[name]}", *sides) for name, *sides in raw
        ]
        count += len(given)
    assert count == QUOTES[venue]


def best_of(delta: BookDelta) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    bids = list(zip(delta.bid_prices, delta.bid_quantities, strict=True))
    return bids, list(zip(delta.ask_prices, delta.ask_quantities, strict=True))


def test_books_are_those_kept_in_two_dicts(market_data: Path, venue: str) -> None:
    """At each message, as deep as the events go. Where the stream has changes alone, from the REST reply on."""
    symbols = instruments_of(venue)
    books: dict[str, PlainBook] = {}
    waiting: dict[str, list[RawBook]] = {}
    whole: dict[str, RawBook] = {}
    compared = misled = 0
    by_step = {id(step): names for step, names in with_names(steps_of(market_data, venue))}
    for step in steps_of(market_data, venue):
        if not step.channel:
            raw = snapshot_of(venue, step.frame.channel, step.message) if is_read(venue) else None
            if raw is not None:
                whole[raw.instrument] = raw
        else:
            raw = book_of(venue, step.message, by_step[id(step)]) if id(step) in by_step and is_read(venue) else None
            if raw is not None and (raw.instrument in books or raw.is_whole or venue == "GEMINI"):
                books.setdefault(raw.instrument, PlainBook()).apply(raw)
            elif raw is not None:
                waiting.setdefault(raw.instrument, []).append(raw)
        for delta in (event for event in step.events if isinstance(event, BookDelta)):
            assert raw is not None
            assert delta.instrument == f"{venue.lower()}:{symbols[raw.instrument]}"
            if raw.instrument not in books:
                books[raw.instrument] = PlainBook()
                start = whole[raw.instrument]
                for change in (start, *(c for c in waiting[raw.instrument] if c.last > start.last)):
                    books[raw.instrument].apply(change)
            misled += best_of(delta) != books[raw.instrument].best(BOOK_LEVELS)
            compared += 1
    assert (compared, misled) == (BOOKS[venue], MISLED_BOOKS.get(venue, 0))


@pytest.mark.parametrize(("venue", "market"), [("BINANCE", spot()), ("BINANCE_FUTURES", usdm())])
def test_our_own_reader_of_binance_agrees_with_ccxt(market_data: Path, venue: str, market: BinanceMarket) -> None:
    """Quotes one by one, books at the end. We record single trades: aggregated ones and candles are refused, each of them."""
    normaliser, symbols = BinanceNormaliser(market), instruments_of(venue)
    ours: list[Event] = []
    refused = Counter[str]()
    for step in steps_of(market_data, venue):
        frame = step.frame
        if "/depth?" in frame.channel:
            name = frame.channel.partition("symbol=")[2].partition("&")[0]
            frame = RawFrame("rest", frame.receive_time, market.depth_request(name).path, frame.payload)
        elif frame.channel:
            continue
        given = normaliser.feed(frame)
        ours += given
        refused[step.channel] += sum(isinstance(event, LedgerEntry) for event in given)
    assert +refused == Counter(
        {name: n for (name, _), n in EXPECTED[venue].items() if name in ("aggTrade", "kline_1m")}
    )
    theirs = [event for step in steps_of(market_data, venue) for event in step.events]

    def quotes(events: list[Event], names: dict[str, str]) -> list[tuple[Any, ...]]:
        found = [event for event in events if isinstance(event, Quote)]
        return [(names[q.instrument.partition(":")[2]], q.bid, q.bid_quantity, q.ask, q.ask_quantity) for q in found]

    assert quotes(ours, symbols) == quotes(theirs, {symbol: symbol for symbol in symbols.values()})
    for name, symbol in symbols.items():
        assert normaliser.is_in_sync(name)
        changes = [e for e in ours if isinstance(e, BookDelta) and e.instrument.endswith(f":{name}")]
        (start,) = (change for change in changes if change.snapshot)
        book = PlainBook()
        for change in (start, *(change for change in changes if change.last_sequence > start.last_sequence)):
            book.apply(RawBook(name, change.snapshot, change.last_sequence, *best_of(change)))
        last = [e for e in theirs if isinstance(e, BookDelta) and e.instrument.endswith(f":{symbol}")][-1]
        assert best_of(last) == book.best(BOOK_LEVELS)


def test_the_page_says_what_is_counted_here(venue: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "venues.md").read_text()
    outcomes = Counter[str]()
    for (_, outcome), count in EXPECTED[venue].items():
        outcomes[outcome if outcome in ("parsed", "control") else "refused"] += count
    figures = [outcomes.total(), *(outcomes[name] for name in ("parsed", "control", "refused"))]
    figures += [TRADES[venue], QUOTES[venue], BOOKS[venue]]
    row = list(EXCHANGES).index(venue)
    rows = [line.split("|")[2:-1] for line in page.partition("| venue | messages |")[2].splitlines()[2:17]]
    assert [int(cell) for cell in rows[row]] == figures


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("trades", [{"price": -1.0, "amount": 1.0}]),
        ("trades", [{"price": 0.0, "amount": 1.0}]),
        ("trades", [{"price": 1.0, "amount": -1.0}]),
        ("trades", [{"price": 1.0, "amount": 1.0, "timestamp": 10**17}]),
        ("book", {"bids": [[1.0, -1.0]], "asks": []}),
        ("book", {"bids": [], "asks": [[0.0, 1.0]]}),
        ("book", {"bids": [], "asks": [], "nonce": 2**64}),
        ("quotes", {"bid": 1.0, "ask": -1.0}),
        ("quotes", {"bid": 1.0, "ask": 2.0, "bidVolume": -1.0}),
    ],
)
def test_numbers_that_no_market_has_do_not_reach_the_tape(kind: str, item: Any) -> None:
    name = f"{kind} BTC/USDT"
    (entry,) = CcxtNormaliser("x").feed(RawFrame(name, 5, f"ccxt:{name}", json.dumps(item).encode()))
    assert isinstance(entry, LedgerEntry)
    assert entry.kind is LedgerKind.INVALID


def numbers_of(event: Event) -> tuple[float, ...]:
    """Its prices and quantities."""
    if isinstance(event, Trade):
        return event.price, event.quantity
    if isinstance(event, Quote):
        return event.bid, event.bid_quantity, event.ask, event.ask_quantity
    if isinstance(event, BookDelta):
        return (*event.bid_prices, *event.bid_quantities, *event.ask_prices, *event.ask_quantities)
    return ()


def damaged(payload: bytes, chance: random.Random) -> bytes:
    """Cut short, a few bytes changed, a value exchanged for one of another kind, or nested beyond reason."""
    kind = chance.randrange(5)
    if kind == 0:
        return payload[: chance.randrange(len(payload) + 1)]
    if kind == 1:
        changed = bytearray(payload)
        for _ in range(chance.randrange(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        return bytes(changed)
    if kind == 2:
        return b"[" * chance.choice((2, 5000)) + payload
    try:
        text = json.dumps(plain(payload))
    except ValueError:
        return payload
    values = ("null", "[]", "{}", '""', "-1", "1e999", '"NaN"', str(10**40), "true", '"\\ud800"')
    parts = text.split(", ")
    place = chance.randrange(len(parts))
    key, colon, _ = parts[place].rpartition(": ")
    parts[place] = key + colon + chance.choice(values)
    return ", ".join(parts).encode()


@pytest.mark.parametrize("venue", list(EXCHANGES))
def test_damaged_and_shuffled_lines_end_in_events_or_refusals(market_data: Path, venue: str) -> None:
    print(f"seed {SEED}")
    chance = random.Random(f"{SEED} {venue}")
    for capture in captures_of(market_data, venue):
        frames = list(capture.frames[:60]) + chance.sample(capture.frames, min(240, len(capture.frames)))
        for i in range(60, len(frames)):
            j = max(60, min(len(frames) - 1, i + chance.randrange(-20, 20)))
            frames[i], frames[j] = frames[j], frames[i]
        with CcxtRecording(venue.lower(), exchange_of(venue), capture.url) as recording:
            for reply in capture.replies:
                good = chance.random() < 0.7 or not reply.receive_time
                payload = reply.payload if good else damaged(reply.payload, chance)
                recording.answer(RawFrame("rest", reply.receive_time, reply.channel, payload))
            recording.subscribe(instruments_of(venue).values())
            for frame in frames:
                payload = damaged(frame.payload, chance) if chance.random() < 0.5 else frame.payload
                events = recording.feed(RawFrame(frame.connection, frame.receive_time, "", payload))
                refusals = [event for event in events if isinstance(event, LedgerEntry) and event.detail]
                assert all(
                    e.detail.startswith((f"{venue.lower()} ", "ccxt:")) and len(e.detail) <= 200 for e in refusals
                )
                assert all(0 <= number <= 1e300 for event in events for number in numbers_of(event))
                assert decode_batch(encode_batch(list(events))) == list(events)
