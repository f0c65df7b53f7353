"""The recorder against ccxt's own handlers, on the same real frames, in one run.

    python benchmarks/bench_recorder.py [--json]

`recorder`: messages a second through the whole service: handed over by the feed's thread, stamped, decoded, sequences and
book checked, made into events, and committed (raw frames, events and state) to a SQLite log on disk; all of it read back
and counted afterwards (`lost`). `normalise`: decoding and checking alone. `ccxt_watch`: the
usual loop of a ccxt user, `while True: await exchange.watch_...()` for trades, book and best prices, its client fed with
the frames instead of a socket. `ccxt_handlers`: only what happens when nobody waits: parse the JSON (orjson) and let
`handle_message` keep trades, best prices and book. Neither writes anything to disk, which favours ccxt. `ratio` is
recorder to watch loop.
The figures are medians of turns that alternate.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from quantlytic.model.errors import InputError
from quantlytic.model.frame import RawFrame
from quantlytic.model.ledger import LedgerEntry
from quantlytic.services.recorder import Recorder
from quantlytic.store.log import open_log
from quantlytic.venues.binance.market import BinanceMarket, spot, usdm
from quantlytic.venues.binance.normaliser import BinanceNormaliser
from quantlytic.venues.clock import GuardedClock
from quantlytic.venues.port import Inbox, Request

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "raw_ws_binance"
CAPTURES = {"spot": "binance_spot_btcusdt_20240808.ws.gz", "usdm": "binance_usdm_btcusdt_20240808.ws.gz"}
TURNS = 3
FRAMES = 40_000
SYMBOL = "BTCUSDT"


def payloads_of(name: str) -> list[bytes]:
    """The messages of a capture, as they came."""
    path = DATA / name
    if not path.is_file():
        raise InputError(f"the recorder's benchmark needs the capture {path}")
    with gzip.open(path) as lines:
        return [line.rstrip(b"\n").partition(b" ")[2] for line, _ in zip(lines, range(FRAMES), strict=False)]


def channel_of(payload: bytes, market: BinanceMarket) -> str:
    return "" if payload.startswith(b'{"stream"') else market.depth_request(SYMBOL).path


class Replay:
    """A `MarketFeed` that delivers at once what was captured."""

    def __init__(self, messages: list[tuple[str, bytes]], clock: GuardedClock) -> None:
        self._messages = messages
        self._clock = clock

    async def run(self, inbox: Inbox) -> None:
        for channel, payload in self._messages:
            await inbox.put(RawFrame("ws-0", self._clock.now(), channel, payload))
        await asyncio.Event().wait()

    def request(self, request: Request) -> None:
        pass


def run_recorder(messages: list[tuple[str, bytes]], market: BinanceMarket) -> tuple[float, int]:
    """Seconds, and how many messages or events are missing afterwards."""
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(open_log("sqlite", folder=Path(folder))) as log:
        clock = GuardedClock()
        recorder = Recorder(log, market.venue, Replay(messages, clock), BinanceNormaliser(market), clock)
        started = time.perf_counter()
        while recorder.stats.frames <= len(messages):
            if not recorder.pump():
                recorder.wait(0.1)
        seconds = time.perf_counter() - started
        recorder.close()
        frames = [e for e in _read(log, f"raw.{market.venue}") if not e.channel.startswith("recorder:")]
        events = [e for e in _read(log, f"market.{market.venue}") if not isinstance(e, LedgerEntry)]
        same = [(frame.channel, frame.payload) for frame in frames] == messages
        return seconds, (0 if same else len(messages)) + abs(len(messages) - len(events))


def _read(log: Any, stream: str) -> list[Any]:
    events: list[Any] = []
    at = 0
    while (batch := log.read(stream, at)).events:
        events += batch.events
        at = batch.next_offset
    return events


def run_normaliser(messages: list[tuple[str, bytes]], market: BinanceMarket) -> float:
    frames = [RawFrame("ws-0", number, channel, payload) for number, (channel, payload) in enumerate(messages)]
    normaliser = BinanceNormaliser(market)
    started = time.perf_counter()
    for frame in frames:
        normaliser.feed(frame)
    return time.perf_counter() - started


class CcxtPeer:
    """`ccxt.pro.binance` with one market, no network, and its caches as after a subscription."""

    def __init__(self, kind: str) -> None:
        import ccxt.pro
        from ccxt.async_support.base.ws.client import Client

        self.symbol = "BTC/USDT" if kind == "spot" else "BTC/USDT:USDT"
        exchange = self.exchange = ccxt.pro.binance({"enableRateLimit": False})
        contract = kind != "spot"
        market = {
            "id": SYMBOL, "symbol": self.symbol, "base": "BTC", "quote": "USDT", "baseId": "BTC", "quoteId": "USDT",
            "settle": "USDT" if contract else None, "type": "swap" if contract else "spot", "spot": not contract,
            "swap": contract, "contract": contract, "linear": contract or None, "active": True, "margin": False,
            "future": False, "option": False, "inverse": False, "info": {}, "lowercaseId": SYMBOL.lower(),
            "precision": {"amount": 1e-5, "price": 0.01}, "limits": {},
        }  # fmt: skip
        exchange.set_markets([market])
        url = "wss://stream.binance.com:9443/ws/0" if kind == "spot" else "wss://fstream.binance.com/ws/0"
        nothing = [lambda *_: None] * 3
        self.client = Client(url, exchange.handle_message, *nothing, {})
        self.client.connected.resolve(True)
        self.client.send = _send_nothing
        exchange.client = lambda _: self.client
        exchange.orderbooks[self.symbol] = exchange.order_book({}, 1000)

    def take(self, channel: str, payload: bytes) -> None:
        if not channel:
            self.client.handle_text_or_binary_message(payload.decode())
            return
        reply = json.loads(payload)
        snapshot = self.exchange.parse_order_book(reply, self.symbol)
        snapshot["nonce"] = reply["lastUpdateId"]
        book = self.exchange.orderbooks[self.symbol]
        waiting = list(book.cache)
        book.reset(snapshot)
        for message in waiting:
            if message["u"] > reply["lastUpdateId"]:
                self.exchange.handle_order_book_message(self.client, message, book)

    async def watch(self, name: str) -> None:
        call = getattr(self.exchange, name)
        while True:
            await call([self.symbol] if name == "watch_bids_asks" else self.symbol)

    def best(self) -> tuple[float, float]:
        book = self.exchange.orderbooks[self.symbol]
        book.limit()
        return book["bids"][0][0], book["asks"][0][0]


async def _send_nothing(_: object) -> None:
    """Subscriptions go nowhere."""


def run_ccxt(messages: list[tuple[str, bytes]], kind: str, watching: bool) -> tuple[float, tuple[float, float]]:
    """Seconds, and the best bid and ask that it ends with: proof that it kept its book."""

    async def scenario() -> tuple[float, tuple[float, float]]:
        peer = CcxtPeer(kind)
        names = ("watch_trades", "watch_order_book", "watch_bids_asks") if watching else ()
        tasks = [asyncio.create_task(peer.watch(name)) for name in names]
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        for channel, payload in messages:
            peer.take(channel, payload)
            if watching:
                await asyncio.sleep(0)  # as between two frames of a socket
        seconds = time.perf_counter() - started
        best = peer.best()
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await peer.exchange.close()
        return seconds, best

    return asyncio.run(scenario())


def best_of_ours(messages: list[tuple[str, bytes]], market: BinanceMarket) -> tuple[float, float]:
    from quantlytic.venues.binance.depth import DepthSequence

    normaliser = BinanceNormaliser(market)
    for number, (channel, payload) in enumerate(messages):
        normaliser.feed(RawFrame("ws-0", number, channel, payload))
    depth: DepthSequence = normaliser._instruments[SYMBOL].depth
    return depth.book.best_bid, depth.book.best_ask


def measure() -> dict[str, Any]:
    """Per market: messages a second of each, the ratio, and what was lost."""
    result: dict[str, Any] = {}
    for kind, name in CAPTURES.items():
        market = spot() if kind == "spot" else usdm()
        messages = [(channel_of(payload, market), payload) for payload in payloads_of(name)]
        rates: dict[str, list[float]] = {"recorder": [], "normalise": [], "ccxt_watch": [], "ccxt_handlers": []}
        lost = 0
        best = set()
        for _ in range(TURNS):
            seconds, missing = run_recorder(messages, market)
            lost += missing
            rates["recorder"].append(len(messages) / seconds)
            rates["normalise"].append(len(messages) / run_normaliser(messages, market))
            for peer, watching in (("ccxt_watch", True), ("ccxt_handlers", False)):
                seconds, prices = run_ccxt(messages, kind, watching)
                rates[peer].append(len(messages) / seconds)
                best.add(prices)
        middle = {name: statistics.median(each) for name, each in rates.items()}
        result[kind] = {
            "messages": len(messages),
            **{f"{name}_per_s": round(rate) for name, rate in middle.items()},
            "ratio": round(middle["recorder"] / middle["ccxt_watch"], 1),
            "ratio_to_handlers": round(middle["recorder"] / middle["ccxt_handlers"], 1),
            "lost": lost,
            "same_best_prices": str(best == {best_of_ours(messages, market)}),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
        return
    for kind, row in figures.items():
        print(kind, "  ".join(f"{name}={value}" for name, value in row.items()))


if __name__ == "__main__":
    main()
