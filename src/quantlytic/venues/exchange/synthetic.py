"""The synthetic market: a crowd's order flow and the users' orders on one timeline, journalled before it is told."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.exchange import candles, render
from quantlytic.venues.exchange.accounts import CROWD
from quantlytic.venues.exchange.candles import INTERVALS_MS
from quantlytic.venues.exchange.core import Core
from quantlytic.venues.exchange.events import OwnTrade
from quantlytic.venues.exchange.flow import Flow
from quantlytic.venues.exchange.instruments import SEED_PRICES, Listing
from quantlytic.venues.exchange.journal import Journal, Saved
from quantlytic.venues.exchange.market import Levels, Market
from quantlytic.venues.exchange.matching import BUY, Order
from quantlytic.venues.exchange.units import E8

DIFF_NS = 100 * NS_PER_MS
ID_BLOCK = 100_000  # update ids are reserved in blocks: after a restart they go on above the block
LONGEST_CATCH_UP_NS = 5 * NS_PER_S
CROWD_BASE = 10**8 * E8
CROWD_QUOTE = 10**10 * E8


class _Diffs:
    """Book changes of one symbol since the last diff message of one rate."""

    def __init__(self, update_id: int) -> None:
        self.first_id = update_id + 1
        self.changed: dict[tuple[int, int], None] = {}


class SyntheticMarket(Market):
    """Symbols traded by a seeded crowd and by the accounts of `deposits` (account -> asset -> e8 units).

    `advance` lets market time pass, `flush` commits what happened and makes the frames ready to send. A journal with
    a past is resumed: ids go on, balances and open orders are as they were acknowledged, prices go on near the last.
    """

    def __init__(
        self,
        listings: list[Listing],
        journal: Journal,
        *,
        seed: int,
        now_ns: int,
        deposits: Mapping[str, Mapping[str, int]],
        trades_per_s: float = 40.0,
        fee_ppm: tuple[int, int] = (1000, 1000),
    ) -> None:
        saved = journal.load()
        self.saved = saved or Saved(seed)
        now_ns = max(now_ns, (self.saved.time_ms + 1) * NS_PER_MS)
        super().__init__(listings, journal, now_ns // NS_PER_MS)
        self.now_ns = now_ns
        self.core = Core(listings, *fee_ppm)
        self.messages: list[tuple[str, str]] = []
        self._seen = 0
        self._next_diff_ns = now_ns // DIFF_NS * DIFF_NS + DIFF_NS
        self._resume(deposits)
        self.saved.starts += 1
        start = f"{self.saved.seed}:{self.saved.starts}"
        rate = trades_per_s / max(1, len(listings))
        self.flows = {
            s: Flow(self.core, s, seed=start, start_ns=now_ns, anchor=float(SEED_PRICES[s]), trades_per_s=rate)
            for s in self.listings
        }
        for symbol, flow in self.flows.items():
            flow.fair, flow.heat = self.saved.walks.get(symbol, (flow.fair, flow.heat))
            flow.seed_book()
        self._fast = {symbol: _Diffs(desk.book.update_id) for symbol, desk in self.core.desks.items()}
        self._slow = {symbol: _Diffs(desk.book.update_id) for symbol, desk in self.core.desks.items()}
        self._told_best = dict.fromkeys(self.listings, (0, 0, 0, 0))
        for desk in self.core.desks.values():
            desk.book.changed.clear()
        self.settle()
        self.frames.clear()
        self.flush()

    def advance(self, until_ns: int) -> None:
        """Let everything happen that is due up to a market time. A pause longer than a few seconds is skipped."""
        if until_ns - self.now_ns > LONGEST_CATCH_UP_NS:
            self._skip(until_ns - self.now_ns)
        while True:
            flow = min(self.flows.values(), key=lambda each: each.next_ns)
            due = min(flow.next_ns, self._next_diff_ns)
            if due > until_ns:
                break
            self._tick(due)
            if due == self._next_diff_ns:
                self._diffs()
                self._next_diff_ns += DIFF_NS
            else:
                flow.act()
                self.settle()
        self._tick(max(until_ns, self.now_ns))

    def place(self, order: Order) -> list[OwnTrade]:
        """Place a user's order, and make frames of what it did. Raises Reject."""
        fills = self.core.place(order)
        self.settle()
        return fills

    def settle(self) -> None:
        """Make frames of what the last action did. To be called after every order and cancel."""
        prints = self.core.happened.prints
        while self._seen < len(prints):
            trade = prints[self._seen]
            end = self._seen + 1
            self.live[trade.symbol].add(trade)
            self.last_trade[trade.symbol] = trade
            stream = trade.symbol.lower()
            self.emit(f"{stream}@trade", render.trade_frame(trade, self.time_ms))
            if end == len(prints) or (prints[end].symbol, prints[end].agg_id) != (trade.symbol, trade.agg_id):
                run = [each for each in prints if (each.symbol, each.agg_id) == (trade.symbol, trade.agg_id)]
                self._emit_json(f"{stream}@aggTrade", render.agg_frame(run, self.time_ms))
            self._seen = end
        for symbol, desk in self.core.desks.items():
            best = self.best(symbol)
            if best != self._told_best[symbol]:
                self._told_best[symbol] = best
                frame = render.book_ticker_frame(symbol, desk.book.update_id, best[:2], best[2:])
                self.emit(f"{symbol.lower()}@bookTicker", frame)

    def flush(self) -> None:
        """Commit what happened. Only then may `frames` and `messages` be told."""
        happened = self.core.take()
        self._seen = 0
        saved, desks = self.saved, self.core.desks
        reserve = any(desk.book.update_id >= saved.update_ids.get(symbol, 0) for symbol, desk in desks.items())
        if not (happened.prints or happened.orders or happened.messages or reserve):
            return
        for symbol, desk in desks.items():
            saved.trade_ids[symbol] = desk.trade_id
            saved.agg_ids[symbol] = desk.agg_id
            saved.last_prices[symbol] = desk.last_price
            saved.walks[symbol] = (self.flows[symbol].fair, self.flows[symbol].heat)
            if reserve:
                saved.update_ids[symbol] = desk.book.update_id + ID_BLOCK
        saved.next_order_id = self.core.next_order_id
        saved.time_ms = self.time_ms
        minutes = [candle for live in self.live.values() for candle in live.take_minutes()]
        self.journal.commit(happened, saved, self.core.accounts, minutes)
        encode = msgspec.json.encode
        self.messages.extend((account, encode(message).decode()) for account, message in happened.messages)

    def depth(self, symbol: str, limit: int) -> tuple[int, Levels, Levels]:
        desk = self.core.desk(symbol)
        tick, lot = desk.listing.tick_e8, desk.listing.lot_e8
        bids = [(price * tick, lots * lot) for price, lots in desk.book.bids.top(limit)]
        asks = [(price * tick, lots * lot) for price, lots in desk.book.asks.top(limit)]
        return desk.book.update_id, bids, asks

    def best(self, symbol: str) -> tuple[int, int, int, int]:
        desk = self.core.desks[symbol]
        tick, lot, book = desk.listing.tick_e8, desk.listing.lot_e8, desk.book
        bid, ask = book.bids.best, book.asks.best
        bids = (bid * tick, book.bids.levels[bid].lots * lot) if bid is not None else (0, 0)
        asks = (ask * tick, book.asks.levels[ask].lots * lot) if ask is not None else (0, 0)
        return bids + asks

    def _resume(self, deposits: Mapping[str, Mapping[str, int]]) -> None:
        saved, core = self.saved, self.core
        self.journal.load_accounts(core.accounts)
        core.next_order_id = saved.next_order_id
        known = set(core.accounts.balances) if saved.starts else set()
        for assets in core.accounts.balances.get(CROWD, {}).values():
            assets[:] = [sum(assets), 0]  # the crowd's orders are not kept: what they locked is free again
        for symbol, desk in core.desks.items():
            if symbol not in saved.trade_ids:
                core.accounts.deposit(CROWD, desk.listing.base, CROWD_BASE)
                core.accounts.deposit(CROWD, desk.listing.quote, CROWD_QUOTE)
            desk.trade_id = saved.trade_ids.get(symbol, 0)
            desk.agg_id = saved.agg_ids.get(symbol, 0)
            desk.last_price = saved.last_prices.get(symbol, 0)
            desk.book.update_id = saved.update_ids.get(symbol, 0)
        for account, amounts in deposits.items():
            if account not in known:
                for asset, amount in amounts.items():
                    core.accounts.deposit(account, asset, amount)
        for order in self.journal.open_orders():
            if order.symbol in core.desks:
                core.restore(order)

    def _tick(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.time_ms = now_ns // NS_PER_MS

    def _skip(self, by_ns: int) -> None:
        for flow in self.flows.values():
            flow.shift(by_ns)
        self._next_diff_ns = (self._next_diff_ns + by_ns) // DIFF_NS * DIFF_NS + DIFF_NS
        self._tick(self.now_ns + by_ns)

    def _diffs(self) -> None:
        """What goes out every 100 ms, and every second."""
        second = self._next_diff_ns % NS_PER_S == 0
        for symbol, desk in self.core.desks.items():
            stream = symbol.lower()
            changed, desk.book.changed = desk.book.changed, {}
            self._fast[symbol].changed = changed
            self._slow[symbol].changed.update(changed)
            self._emit_diff(f"{stream}@depth@100ms", symbol, self._fast[symbol])
            self._emit_partial(stream, symbol, "@100ms")
            if second:
                self._emit_diff(f"{stream}@depth", symbol, self._slow[symbol])
                self._emit_partial(stream, symbol, "")
                self._emit_day(stream, symbol)
                self._emit_candles(stream, symbol)

    def _emit_diff(self, stream: str, symbol: str, diffs: _Diffs) -> None:
        if not diffs.changed:
            return
        desk = self.core.desks[symbol]
        book, tick, lot = desk.book, desk.listing.tick_e8, desk.listing.lot_e8
        self.emitted[stream] += 1
        if self.wanted(stream):
            bids: Levels = []
            asks: Levels = []
            for side, price in diffs.changed:
                (bids if side == BUY else asks).append((price * tick, book.lots_at(side, price) * lot))
            frame = render.diff_frame(
                symbol, self.time_ms, (diffs.first_id, book.update_id), sorted(bids)[::-1], sorted(asks)
            )
            self.frames.append((stream, frame))
        diffs.changed = {}
        diffs.first_id = book.update_id + 1

    def _emit_partial(self, stream: str, symbol: str, rate: str) -> None:
        for limit in (5, 10, 20):
            name = f"{stream}@depth{limit}{rate}"
            if self.wanted(name):
                self.emit(name, render.depth_text(*self.depth(symbol, limit)))

    def _emit_day(self, stream: str, symbol: str) -> None:
        names = {f"{stream}@ticker": False, f"{stream}@miniTicker": True}
        for name, mini in names.items():
            if self.wanted(name):
                self._emit_json(name, candles.ticker_frame(self.day(symbol), self.time_ms, mini))

    def _emit_candles(self, stream: str, symbol: str) -> None:
        live = self.live[symbol]
        for interval in INTERVALS_MS:
            name = f"{stream}@kline_{interval}"
            closed = live.close(interval, self.time_ms)
            if closed is not None:
                self._emit_json(name, candles.kline_frame(closed, interval, self.time_ms, True))
            elif interval in live.growing and self.wanted(name):
                self._emit_json(name, candles.kline_frame(live.growing[interval], interval, self.time_ms, False))

    def _emit_json(self, stream: str, message: object) -> None:
        self.emitted[stream] += 1
        if self.wanted(stream):
            self.frames.append((stream, msgspec.json.encode(message).decode()))
