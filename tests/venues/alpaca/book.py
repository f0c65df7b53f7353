"""A small brokerage that keeps to Alpaca's documented rules: accounts, orders, fills, prints. Pure: no socket, seeded ids."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
OPEN = ("new", "accepted", "partially_filled", "pending_new")
TIF = {"us_equity": ("day", "gtc", "opg", "cls", "ioc", "fok"), "crypto": ("gtc", "ioc", "fok")}


class Rejected(Exception):
    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def asset(symbol: str, kind: str = "us_equity", **more: Any) -> Row:
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, symbol)), "class": kind, "exchange": "NASDAQ", "symbol": symbol,
        "name": symbol, "status": "active", "tradable": True, "marginable": False, "shortable": True,
        "easy_to_borrow": True, "fractionable": True, **more,
    }  # fmt: skip


def stamp(ns: int) -> str:
    text = datetime.fromtimestamp(ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ns % 10**9:09d}Z"


class Account:
    def __init__(self, secret: str, cash: float) -> None:
        self.secret = secret
        self.cash = cash
        self.held: dict[str, float] = {}
        self.orders: dict[str, Row] = {}
        self.fills: list[Row] = []
        self.blocked = False

    def by_client_id(self, client_order_id: str) -> Row | None:
        return next((row for row in self.orders.values() if row["client_order_id"] == client_order_id), None)


class Brokerage:
    """`on_print` gets (symbol, trade), `on_update` (account key, update): what the streams send."""

    def __init__(self, seed: int = 1) -> None:
        self.random = random.Random(seed)
        self.accounts = {"KEY": Account("SECRET", 100_000.0)}
        self.assets = {
            row["symbol"]: row
            for row in (
                asset("AAPL"), asset("MSFT"), asset("PENNY", fractionable=False),
                asset("GONE", status="inactive", tradable=False),
                asset("BTC/USD", "crypto", exchange="CRYPTO", marginable=False, shortable=False,
                      min_order_size="0.0001", min_trade_increment="0.0001", price_increment="0.5"),
            )
        }  # fmt: skip
        self.price = {"AAPL": 150.0, "MSFT": 300.0, "PENNY": 0.5, "BTC/USD": 60_000.0, "GONE": 1.0}
        self.depth: dict[str, float] = {}  # how much a market order finds; all of it without an entry
        self.trades: dict[str, list[Row]] = {}
        self.on_print: Callable[[str, Row], None] = lambda symbol, trade: None
        self.on_update: Callable[[str, Row], None] = lambda key, update: None
        self.now_ns: Callable[[], int] = time.time_ns
        self._trade_id = 1000
        self._last_ns = 0

    def print(self, symbol: str, price: float, size: float = 1.0, told: bool = True) -> Row:
        """A public trade; untold, it is only in the history."""
        self._trade_id += 1
        self._last_ns = max(self.now_ns(), self._last_ns + 1000)
        trade: Row = {"i": self._trade_id, "p": price, "s": size, "t": stamp(self._last_ns), "ns": self._last_ns}
        trade |= {"tks": "B"} if "/" in symbol else {"x": "V", "c": ["@"], "z": "C"}
        self.price[symbol] = price
        self.trades.setdefault(symbol, []).append(trade)
        if told:
            self.on_print(symbol, trade)
        left = size
        for key, account in self.accounts.items():
            for row in list(account.orders.values()):
                if left > 0 and row["symbol"] == symbol and row["status"] in OPEN and _crosses(row, price):
                    left -= self._fill(key, account, row, float(row["limit_price"] or price), left)
        return trade

    def submit(self, key: str, body: Row) -> Row:
        account = self.accounts[key]
        client_order_id = body.get("client_order_id") or str(self._uuid())
        if account.by_client_id(client_order_id) is not None:
            raise Rejected(422, 40010001, "client_order_id must be unique")
        self._check(account, body)
        now = stamp(self.now_ns())
        row: Row = {
            "id": str(self._uuid()), "client_order_id": client_order_id, "created_at": now, "updated_at": now,
            "submitted_at": now, "filled_at": None, "expired_at": None, "canceled_at": None, "failed_at": None,
            "replaced_at": None, "replaced_by": None, "replaces": None, "asset_id": self.assets[body["symbol"]]["id"],
            "symbol": body["symbol"], "asset_class": self.assets[body["symbol"]]["class"], "notional": None,
            "qty": _text(float(body["qty"])), "filled_qty": "0", "filled_avg_price": None, "order_class": "",
            "order_type": body["type"], "type": body["type"], "side": body["side"],
            "time_in_force": body["time_in_force"], "limit_price": _price(body.get("limit_price")),
            "stop_price": _price(body.get("stop_price")), "status": "new", "extended_hours": False, "legs": None,
            "trail_percent": None, "trail_price": None, "hwm": None,
        }  # fmt: skip
        account.orders[row["id"]] = row
        self._tell(key, "new", row)
        if row["type"] == "market" or (row["type"] == "limit" and _crosses(row, self.price[row["symbol"]])):
            symbol = row["symbol"]
            self._fill(key, account, row, self.price[symbol], self.depth.get(symbol, float(row["qty"])))
        if row["time_in_force"] in ("ioc", "fok") and row["status"] in OPEN:
            self._end(key, row, "canceled")
        return row

    def cancel(self, key: str, order_id: str) -> None:
        row = self._order(key, order_id)
        if row["status"] not in OPEN:
            raise Rejected(422, 42210000, f'order is already in "{row["status"]}" state')
        self._end(key, row, "canceled")

    def replace(self, key: str, order_id: str, body: Row) -> Row:
        row = self._order(key, order_id)
        if row["status"] not in OPEN:
            raise Rejected(422, 42210000, f'order is already in "{row["status"]}" state')
        again = {name: row[name] for name in ("symbol", "side", "type", "time_in_force", "limit_price", "stop_price")}
        again["qty"] = body.get("qty") or row["qty"]
        again["client_order_id"] = body.get("client_order_id")
        again["limit_price"] = body.get("limit_price") or row["limit_price"]
        self._end(key, row, "replaced")
        fresh = self.submit(key, again)
        row["replaced_by"], fresh["replaces"] = fresh["id"], row["id"]
        return fresh

    def account_row(self, key: str) -> Row:
        account = self.accounts[key]
        bound = sum(
            (float(row["qty"]) - float(row["filled_qty"])) * float(row["limit_price"] or self.price[row["symbol"]])
            for row in account.orders.values()
            if row["status"] in OPEN and row["side"] == "buy"
        )
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, key)), "account_number": "PA1", "status": "ACTIVE",
            "currency": "USD", "cash": _text(account.cash), "buying_power": _text(account.cash - bound),
            "non_marginable_buying_power": _text(account.cash - bound), "trading_blocked": account.blocked,
            "account_blocked": False, "trade_suspended_by_user": False, "shorting_enabled": True, "multiplier": "1",
        }  # fmt: skip

    def position_rows(self, key: str) -> list[Row]:
        return [
            {
                "asset_id": self.assets[symbol]["id"], "symbol": symbol.replace("/", ""), "exchange": "NASDAQ",
                "asset_class": self.assets[symbol]["class"], "qty": _text(quantity), "qty_available": _text(quantity),
                "side": "long" if quantity > 0 else "short", "avg_entry_price": "1", "cost_basis": "1",
            }
            for symbol, quantity in self.accounts[key].held.items()
            if quantity
        ]  # fmt: skip

    def _order(self, key: str, order_id: str) -> Row:
        row = self.accounts[key].orders.get(order_id)
        if row is None:
            raise Rejected(404, 40410000, f"order not found for {order_id}")
        return row

    def _check(self, account: Account, body: Row) -> None:
        found = self.assets.get(body["symbol"])
        if found is None:
            raise Rejected(422, 42210000, f'asset "{body["symbol"]}" not found')
        if account.blocked:
            raise Rejected(403, 40310000, "new orders are rejected by user request")
        if not found["tradable"]:
            raise Rejected(422, 42210000, f'asset "{body["symbol"]}" is not tradable')
        quantity, kind = float(body["qty"]), found["class"]
        if body["time_in_force"] not in TIF[kind]:
            raise Rejected(422, 42210000, f"invalid {kind} time_in_force")
        if kind == "us_equity" and quantity != int(quantity) and body["time_in_force"] != "day":
            raise Rejected(422, 42210000, "fractional orders must be DAY orders")
        if kind == "crypto" and quantity < float(found["min_order_size"]):
            raise Rejected(403, 40310000, f"minimal amount of order is {found['min_order_size']}")
        if kind == "us_equity" and (limit := float(body.get("limit_price") or 0)) >= 1 and round(limit, 2) != limit:
            raise Rejected(422, 42210000, f"invalid limit_price {limit}. sub-penny increment does not fulfill minimum")
        price = float(body.get("limit_price") or self.price[body["symbol"]])
        if body["side"] == "buy" and quantity * price > account.cash:
            raise Rejected(403, 40310000, "insufficient buying power")
        if body["side"] == "sell" and kind == "crypto" and quantity > account.held.get(body["symbol"], 0.0):
            raise Rejected(403, 40310000, "insufficient balance for BTC")

    def _fill(self, key: str, account: Account, row: Row, price: float, available: float) -> float:
        done, total = float(row["filled_qty"]), float(row["qty"])
        quantity = min(total - done, available)
        if quantity <= 0:
            return 0.0
        sign = 1 if row["side"] == "buy" else -1
        account.cash -= sign * quantity * price
        account.held[row["symbol"]] = round(account.held.get(row["symbol"], 0.0) + sign * quantity, 9)
        now_ns = self.now_ns()
        paid = done * float(row["filled_avg_price"] or 0) + quantity * price
        row["filled_qty"] = _text(done + quantity)
        row["filled_avg_price"] = _text(paid / (done + quantity))
        row["status"] = "filled" if done + quantity >= total else "partially_filled"
        row["updated_at"] = stamp(now_ns)
        event = "fill" if row["status"] == "filled" else "partial_fill"
        execution = str(self._uuid())
        moment = datetime.fromtimestamp(now_ns // 10**9, UTC)
        account.fills.append({
            "id": f"{moment:%Y%m%d%H%M%S}{now_ns // 10**6 % 1000:03d}::{execution}", "activity_type": "FILL",
            "transaction_time": stamp(now_ns), "type": event, "price": _text(price), "qty": _text(quantity),
            "side": row["side"], "symbol": row["symbol"], "leaves_qty": _text(total - done - quantity),
            "order_id": row["id"], "cum_qty": row["filled_qty"], "order_status": row["status"],
        })  # fmt: skip
        self._tell(key, event, row, price=_text(price), qty=_text(quantity), execution_id=execution,
                   position_qty=_text(account.held[row["symbol"]]))  # fmt: skip
        return quantity

    def _end(self, key: str, row: Row, status: str) -> None:
        row["status"], row["updated_at"] = status, stamp(self.now_ns())
        self._tell(key, status, row)

    def _tell(self, key: str, event: str, row: Row, **more: Any) -> None:
        self.on_update(key, {"event": event, "timestamp": row["updated_at"], "order": dict(row), **more})

    def _uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self.random.getrandbits(128), version=4)


def _crosses(row: Row, price: float) -> bool:
    if row["type"] == "market":
        return True
    limit = row["limit_price"]
    return limit is not None and (price <= float(limit) if row["side"] == "buy" else price >= float(limit))


def _text(value: float) -> str:
    return format(round(value, 9), ".9f").rstrip("0").rstrip(".")


def _price(value: Any) -> str | None:
    return None if value is None else _text(float(value))
