"""The exchange's memory: one SQLite file, written before anything is told. Killed at any instant, it knows what it told.

Trades are kept up to `keep_trades` a symbol, minute candles, orders, own trades and balances for good.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.venues.exchange.accounts import Accounts
from quantlytic.venues.exchange.candles import Candle
from quantlytic.venues.exchange.events import Happened, OwnTrade, Print
from quantlytic.venues.exchange.matching import Order

SCHEMA = """
CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trades (
    symbol TEXT, trade_id INTEGER, agg_id INTEGER, price INTEGER, quantity INTEGER, time_ms INTEGER, maker INTEGER,
    PRIMARY KEY (symbol, trade_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS trades_by_time ON trades (symbol, time_ms);
CREATE TABLE IF NOT EXISTS minutes (
    symbol TEXT, open_ms INTEGER, open INTEGER, high INTEGER, low INTEGER, close INTEGER,
    volume INTEGER, quote INTEGER, trades INTEGER, taker_volume INTEGER, taker_quote INTEGER, first_id INTEGER,
    last_id INTEGER, PRIMARY KEY (symbol, open_ms)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS orders (
    order_id INTEGER PRIMARY KEY, account TEXT, symbol TEXT, client_order_id TEXT, is_open INTEGER, body BLOB);
CREATE INDEX IF NOT EXISTS orders_by_account ON orders (account, symbol, order_id);
CREATE UNIQUE INDEX IF NOT EXISTS orders_by_client_id ON orders (account, client_order_id);
CREATE INDEX IF NOT EXISTS orders_open ON orders (is_open) WHERE is_open = 1;
CREATE TABLE IF NOT EXISTS own_trades (
    account TEXT, symbol TEXT, trade_id INTEGER, order_id INTEGER, time_ms INTEGER, body BLOB,
    PRIMARY KEY (account, symbol, trade_id, order_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS balances (
    account TEXT, asset TEXT, free INTEGER, locked INTEGER, PRIMARY KEY (account, asset)) WITHOUT ROWID;
"""
TRIM_EVERY = 10_000
TRADE_COLUMNS = "symbol, trade_id, agg_id, price, quantity, time_ms, maker"


class Saved(msgspec.Struct):
    """The counters that must never go back: the exchange resumes from them. `walks`: each symbol's price process."""

    seed: int
    starts: int = 0
    time_ms: int = 0
    next_order_id: int = 1
    trade_ids: dict[str, int] = {}
    agg_ids: dict[str, int] = {}
    update_ids: dict[str, int] = {}
    last_prices: dict[str, int] = {}
    walks: dict[str, tuple[float, float]] = {}


_SAVED = msgspec.msgpack.Decoder(Saved)


class Journal:
    """A journal in `folder`, or in memory for None. One thread. Raises StoreError when the file cannot be used."""

    def __init__(self, folder: Path | None, keep_trades: int = 200_000) -> None:
        self.path = str(folder / "exchange.sqlite") if folder else ":memory:"
        self.keep_trades = keep_trades
        self._since_trim: dict[str, int] = {}
        self._order_decoder = msgspec.msgpack.Decoder(Order)
        self._fill_decoder = msgspec.msgpack.Decoder(OwnTrade)
        try:
            if folder:
                folder.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=1, isolation_level=None)
            self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the exchange's journal {self.path} cannot be opened: {error}; "
                "stop the other quantlytic that uses it, or take another folder: QUANTLYTIC_HOME, or --folder of "
                "`quantlytic exchange`"
            ) from None

    def load(self) -> Saved | None:
        """The counters of the last commit, None for a new journal. Raises StoreError when they cannot be read."""
        row = self._db.execute("SELECT value FROM state WHERE name = 'saved'").fetchone()
        try:
            return _SAVED.decode(row[0]) if row else None
        except msgspec.MsgspecError as error:
            raise StoreError(f"the exchange's journal {self.path} is damaged: {error}; give another --folder") from None

    def load_accounts(self, accounts: Accounts) -> None:
        """Put the balances back."""
        for account, asset, free, locked in self._db.execute("SELECT account, asset, free, locked FROM balances"):
            accounts.balances.setdefault(account, {})[asset] = [free, locked]

    def commit(self, happened: Happened, saved: Saved, accounts: Accounts, minutes: Iterable[Candle] = ()) -> None:
        """Write one step, all or nothing. Raises StoreError when it cannot be written: then nothing of it was."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            if happened.prints:
                rows = [msgspec.structs.astuple(trade) for trade in happened.prints]
                db.executemany("INSERT INTO trades VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                self._trim(happened.prints)
            candles = [msgspec.structs.astuple(candle) for candle in minutes]
            if candles:
                db.executemany("REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", candles)
            self._write_accounts(happened, accounts)
            db.execute("REPLACE INTO state VALUES ('saved', ?)", (msgspec.msgpack.encode(saved),))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise StoreError(f"the exchange's journal {self.path} cannot be written: {error}") from None

    def trades(self, symbol: str, from_id: int | None = None, limit: int = 500) -> list[Print]:
        """Trades from an id on, or the last ones; ids ascending."""
        if from_id is None:
            order, first = "DESC", -1
        else:
            order, first = "ASC", from_id
        sql = f"SELECT {TRADE_COLUMNS} FROM trades WHERE symbol = ? AND trade_id >= ? ORDER BY trade_id {order} LIMIT ?"
        found = [_print(row) for row in self._db.execute(sql, (symbol, first, limit))]
        return found if order == "ASC" else found[::-1]

    def trades_between(self, symbol: str, start_ms: int, end_ms: int, limit: int) -> list[Print]:
        """Trades with start_ms <= time <= end_ms, oldest first."""
        sql = (
            f"SELECT {TRADE_COLUMNS} FROM trades WHERE symbol = ? AND time_ms BETWEEN ? AND ? "
            "ORDER BY time_ms, trade_id LIMIT ?"
        )
        return [_print(row) for row in self._db.execute(sql, (symbol, start_ms, end_ms, limit))]

    def first_of_agg(self, symbol: str, agg_id: int) -> int | None:
        """The first trade id at or after an aggregate (agg ids grow with trade ids, so a bisection finds it)."""
        low, high = self._db.execute(
            "SELECT min(trade_id), max(trade_id) FROM trades WHERE symbol = ?", (symbol,)
        ).fetchone()
        if low is None:
            return None
        while low < high:
            middle = (low + high) // 2
            sql = "SELECT agg_id FROM trades WHERE symbol = ? AND trade_id = ?"
            if self._db.execute(sql, (symbol, middle)).fetchone()[0] < agg_id:
                low = middle + 1
            else:
                high = middle
        return int(low)

    def minutes(self, symbol: str, start_ms: int, end_ms: int) -> list[Candle]:
        """Minute candles with start_ms <= open time <= end_ms, oldest first."""
        sql = "SELECT * FROM minutes WHERE symbol = ? AND open_ms BETWEEN ? AND ? ORDER BY open_ms"
        return [Candle(*row) for row in self._db.execute(sql, (symbol, start_ms, end_ms))]

    def order(self, account: str, order_id: int | None, client_order_id: str) -> Order | None:
        """One order of an account by either id."""
        column, key = ("client_order_id", client_order_id) if order_id is None else ("order_id", order_id)
        row = self._db.execute(f"SELECT body FROM orders WHERE account = ? AND {column} = ?", (account, key)).fetchone()
        return self._order_decoder.decode(row[0]) if row else None

    def orders(self, account: str, symbol: str, from_id: int, limit: int) -> list[Order]:
        """An account's orders from an id on (0: the last ones), ids ascending."""
        order = "ASC" if from_id else "DESC"
        sql = (
            "SELECT body FROM orders WHERE account = ? AND symbol = ? AND order_id >= ? "
            f"ORDER BY order_id {order} LIMIT ?"
        )
        found = [self._order_decoder.decode(row[0]) for row in self._db.execute(sql, (account, symbol, from_id, limit))]
        return found if from_id else found[::-1]

    def open_orders(self) -> list[Order]:
        """All orders that wait in a book, oldest first."""
        sql = "SELECT body FROM orders WHERE is_open = 1 ORDER BY order_id"
        return [self._order_decoder.decode(row[0]) for row in self._db.execute(sql)]

    def own_trades(self, account: str, symbol: str, from_id: int, order_id: int | None, limit: int) -> list[OwnTrade]:
        """An account's trades from a trade id on (0: the last ones), or those of one order; ids ascending."""
        order = "ASC" if from_id or order_id is not None else "DESC"
        sql = (
            "SELECT body FROM own_trades WHERE account = ? AND symbol = ? AND trade_id >= ? "
            f"AND (? IS NULL OR order_id = ?) ORDER BY trade_id {order} LIMIT ?"
        )
        bound = (account, symbol, from_id, order_id, order_id, limit)
        found = [self._fill_decoder.decode(row[0]) for row in self._db.execute(sql, bound)]
        return found if order == "ASC" else found[::-1]

    def close(self) -> None:
        """Fold the write-ahead log back and close."""
        self._db.close()

    def _write_accounts(self, happened: Happened, accounts: Accounts) -> None:
        encode = msgspec.msgpack.encode
        if happened.orders:
            rows = [
                (order.order_id, order.account, order.symbol, order.client_order_id, order.is_open, encode(order))
                for order in happened.orders.values()
            ]
            self._db.executemany(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (order_id) DO UPDATE SET is_open = excluded.is_open, body = excluded.body",
                rows,
            )
        if happened.own_trades:
            fills = [
                (fill.account, fill.symbol, fill.trade_id, fill.order_id, fill.time_ms, encode(fill))
                for fill in happened.own_trades
            ]
            self._db.executemany("INSERT INTO own_trades VALUES (?, ?, ?, ?, ?, ?)", fills)
        if accounts.touched:
            touched = [(account, asset, *accounts.balances[account][asset]) for account, asset in accounts.touched]
            self._db.executemany("REPLACE INTO balances VALUES (?, ?, ?, ?)", touched)
            accounts.touched.clear()

    def _trim(self, prints: Sequence[Print]) -> None:
        for trade in prints:
            self._since_trim[trade.symbol] = self._since_trim.get(trade.symbol, 0) + 1
        for symbol, count in self._since_trim.items():
            if count >= min(TRIM_EVERY, self.keep_trades):
                last = max(trade.trade_id for trade in prints if trade.symbol == symbol)
                self._db.execute(
                    "DELETE FROM trades WHERE symbol = ? AND trade_id <= ?", (symbol, last - self.keep_trades)
                )
                self._since_trim[symbol] = 0


def _print(row: tuple[Any, ...]) -> Print:
    symbol, trade_id, agg_id, price, quantity, time_ms, maker = row
    return Print(symbol, trade_id, agg_id, price, quantity, time_ms, bool(maker))
