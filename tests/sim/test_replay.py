"""Real captures, served by the exchange in a box and recorded by the real services: complete, verbatim, rebuildable."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sim.truth import check_lake, events_of
from tests.venues.captures import CAPTURES, market_of, symbol_of

from quantlytic.app.host import Host
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry
from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.services import rebuild
from quantlytic.services.archiver import Archiver
from quantlytic.services.recorder import Recorder
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.venues.binance.feed import BinanceFeed
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.exchange.config import ExchangeConfig
from quantlytic.venues.exchange.server import ExchangeServer

PATIENCE_S = 200.0
LINGER_S = 0.3


class Replay:
    """A capture on its way through exchange, recorder, log and archiver into a lake."""

    def __init__(self, path: Path, name: str, folder: Path, speed: float) -> None:
        self.path, self.name, self.folder, self.speed = path, name, folder, speed
        self.venue = market_of(name).venue
        with gzip.open(path) as file:
            lines = [line.rstrip(b"\n").partition(b" ")[2] for line in file]
        self.messages = [line for line in lines if line.startswith(b'{"stream"')]

    @contextmanager
    def recorded(self) -> Iterator[tuple[Log, Lake]]:
        """Play it to its end, stop the services cleanly; what they left behind."""
        with ExitStack() as open_things:
            log = open_things.enter_context(closing(self._open_log()))
            config = ExchangeConfig(replay=(self.path,), speed=self.speed, port=0)
            server = open_things.enter_context(ExchangeServer(config))
            host = Host(self._open_log)
            try:
                host.add(lambda handle: self._recorder(handle, server), endless=True)
                host.add(lambda handle: Archiver(handle, Lake(self.folder / "lake"), batch_s=0.5))
                self._await_end(log, host)
                assert server.state()["replay"]["ended"]
            finally:
                host.stop()
            assert host.failure is None, host.failure
            yield log, Lake(self.folder / "lake")

    def _open_log(self) -> Log:
        return open_log("sqlite", folder=self.folder / "log")

    def _recorder(self, log: Log, server: ExchangeServer) -> Recorder:
        market = msgspec.structs.replace(
            market_of(self.name), rest_url=server.rest_url, stream_url=f"{server.stream_url}/stream"
        )
        clock = GuardedClock()
        feed = BinanceFeed(market, [symbol_of(self.name)], clock)
        return Recorder(log, self.venue, feed, BinanceNormaliser(market), clock)

    def _await_end(self, log: Log, host: Host) -> None:
        """Until all messages are on the tape, and a little longer, should one come twice."""
        stream, offset, count = f"raw.{self.venue}", 0, 0
        ends_s = time.monotonic() + PATIENCE_S
        while count < len(self.messages):
            assert host.failure is None, host.failure
            assert time.monotonic() < ends_s, f"{count} of {len(self.messages)} messages after {PATIENCE_S:g} s"
            log.wait({stream: offset}, 1.0)
            batch = log.read(stream, offset)
            count += sum(1 for event in batch.events if is_message(event))
            offset = batch.next_offset
        time.sleep(LINGER_S)

    # ---- what must be true

    def check(self, log: Log, lake: Lake) -> None:
        filed = [frame.payload for _, frame in lake.raw.frames(self.venue) if is_message(frame)]
        assert filed == self.messages, (
            "the raw objects do not hold the capture's messages, byte for byte, in order, once"
        )
        check_lake(log, lake)
        self._check_tables(lake)
        self._check_ledger(log)
        check_book(lake, f"{self.venue}:{symbol_of(self.name)}")
        market = market_of(self.name)
        fresh = Lake(self.folder / "rebuilt")
        assert rebuild.rebuild(lake, self.venue, BinanceNormaliser(market), fresh) == sum(
            item.frames for item in lake.raw.objects(self.venue)
        )
        for table in rebuild.compare(lake, fresh, self.venue):
            assert (table.differences, table.rebuilt) == (0, table.recorded), table

    def _check_tables(self, lake: Lake) -> None:
        """Every message of the capture, read by another decoder, is one row, and no row is anything else."""
        wanted: dict[str, list[tuple[Any, ...]]] = {"trade": [], "bookTicker": [], "depth": []}
        for payload in self.messages:
            message = json.loads(payload)
            wanted[message["stream"].split("@")[1]].append(row_of(message["data"]))
        trades = lake.scan("trades").sort("offset").select("trade_id", "price", "quantity", "event_time", "side")
        assert [(i, p, q, t // NS_PER_MS, s < 0) for i, p, q, t, s in trades.collect().rows()] == wanted["trade"]
        quotes = lake.scan("quotes").sort("offset").select("sequence", "bid", "bid_quantity", "ask", "ask_quantity")
        assert quotes.collect().rows() == wanted["bookTicker"]
        sides = ("bid_prices", "bid_quantities", "ask_prices", "ask_quantities")
        book = lake.scan("book").sort("offset").select("snapshot", "first_sequence", "last_sequence", *sides).collect()
        changes = [
            (first, last, list(zip(*levels[:2], strict=True)), list(zip(*levels[2:], strict=True)))
            for snapshot, first, last, *levels in book.rows()
            if not snapshot
        ]
        assert changes == wanted["depth"]

    def _check_ledger(self, log: Log) -> None:
        """A whole capture over one connection leaves nothing to complain of."""
        entries = [event for _, event in events_of(log, f"market.{self.venue}") if isinstance(event, LedgerEntry)]
        assert entries == []


def is_message(event: object) -> bool:
    """A message of a stream: neither an answer nor a marker."""
    return isinstance(event, RawFrame) and not event.channel and event.payload.startswith(b'{"stream"')


def row_of(data: dict[str, Any]) -> tuple[Any, ...]:
    """What a message's row must say."""
    if data.get("e") == "trade":
        return data["t"], float(data["p"]), float(data["q"]), data["T"], data["m"]
    if data.get("e") == "depthUpdate":
        bids, asks = ([(float(price), float(quantity)) for price, quantity in data[side]] for side in "ba")
        return data["U"], data["u"], bids, asks
    return data["u"], float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])


def check_book(lake: Lake, instrument: str) -> None:
    """Rebuilt from the table's first snapshot and the changes after it, the book is never crossed."""
    sides = ("bid_prices", "bid_quantities", "ask_prices", "ask_quantities")
    rows = lake.scan("book").sort("offset").select("snapshot", "last_sequence", *sides).collect().rows()
    at = next(number for number, row in enumerate(rows) if row[0])
    _, reached, *snapshot = rows[at]
    bids, asks = dict(zip(*snapshot[:2], strict=True)), dict(zip(*snapshot[2:], strict=True))
    applied = 0
    for is_snapshot, last, *levels in rows:
        if is_snapshot or last <= reached:
            continue
        for side, prices, quantities in ((bids, *levels[:2]), (asks, *levels[2:])):
            side.update(zip(prices, quantities, strict=True))
            for price, quantity in zip(prices, quantities, strict=True):
                if not quantity:
                    del side[price]
        applied += 1
        assert not bids or not asks or max(bids) < min(asks), f"{instrument}: crossed at {last}"
    assert applied > len(rows) / 2


def capture(market_data: Path, name: str) -> Path:
    return market_data / "raw_ws_binance" / name


def test_a_capture_as_fast_as_it_goes(market_data: Path, tmp_path: Path) -> None:
    replay = Replay(capture(market_data, CAPTURES[0]), CAPTURES[0], tmp_path, 0)
    with replay.recorded() as (log, lake):
        replay.check(log, lake)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("speed", [0, 20])
@pytest.mark.parametrize("name", CAPTURES)
def test_every_capture_whole(name: str, speed: float, market_data: Path, tmp_path: Path) -> None:
    """As fast as it goes (0), and at twenty times its pace."""
    replay = Replay(capture(market_data, name), name, tmp_path, speed)
    with replay.recorded() as (log, lake):
        replay.check(log, lake)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_minute_of_every_capture_at_its_own_pace(market_data: Path, tmp_path: Path) -> None:
    """All four at once, each on an exchange of its own."""
    with ExitStack() as open_things:
        replays = []
        for name in CAPTURES:
            folder = tmp_path / name.partition(".")[0]
            folder.mkdir()
            replays.append(Replay(first_minute(capture(market_data, name), folder / "minute.ws.gz"), name, folder, 1))
        done = [(replay, open_things.enter_context(replay.recorded())) for replay in replays]
        for replay, (log, lake) in done:
            replay.check(log, lake)


def first_minute(path: Path, target: Path) -> Path:
    with gzip.open(path) as file, gzip.open(target, "wb", 1) as cut:
        lines = iter(file)
        start_ns = None
        for line in lines:
            stamp = int(line.partition(b" ")[0])
            start_ns = stamp if start_ns is None else start_ns
            if stamp >= start_ns + 60 * NS_PER_S:
                break
            cut.write(line)
    return target
