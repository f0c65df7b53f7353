"""The synthetic market's messages: contiguous, consistent with REST, and resumed after a stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantlytic.model.time import NS_PER_MS, NS_PER_S
from quantlytic.venues.exchange import render
from quantlytic.venues.exchange.instruments import listing_for
from quantlytic.venues.exchange.journal import Journal
from quantlytic.venues.exchange.matching import BUY, SELL, Order
from quantlytic.venues.exchange.synthetic import SyntheticMarket
from quantlytic.venues.exchange.units import E8

START_NS = 1_700_000_000 * NS_PER_S
DEPOSITS = {"demo": {"BTC": 10 * E8, "USDT": 10**6 * E8}}


def open_market(folder: Path | None = None, now_ns: int = START_NS, **journal: Any) -> SyntheticMarket:
    listings = [listing_for("BTCUSDT"), listing_for("ETHUSDT")]
    return SyntheticMarket(listings, Journal(folder, **journal), seed=3, now_ns=now_ns, deposits=DEPOSITS)


def run(market: SyntheticMarket, seconds: float, each: Callable[[], None] = lambda: None) -> list[tuple[str, Any]]:
    told: list[tuple[str, Any]] = []
    end = market.now_ns + round(seconds * NS_PER_S)
    while market.now_ns < end:
        market.advance(min(end, market.now_ns + 20 * NS_PER_MS))
        each()
        market.flush()
        told += [(stream, json.loads(text)) for stream, text in market.frames]
        market.frames.clear()
    return told


def order(side: int, price: int, lots: int, client_id: str, **more: Any) -> Order:
    return Order(0, "demo", "BTCUSDT", side, "LIMIT", "GTC", price, lots, 0, client_id, **more)


@pytest.mark.parametrize("rate", ["@100ms", ""])
def test_diffs_are_contiguous_and_rebuild_the_book(rate: str) -> None:
    market = open_market()
    first, bids, asks = market.depth("BTCUSDT", 10_000)
    sides = {"b": dict(bids), "a": dict(asks)}
    last = first
    told = run(market, 5)
    for name, message in told:
        if name != f"btcusdt@depth{rate}":
            continue
        assert message["U"] == last + 1
        assert message["u"] >= message["U"]
        last = message["u"]
        for side, levels in sides.items():
            for price, quantity in message[side]:
                levels[int(price.replace(".", ""))] = int(quantity.replace(".", ""))
    market.advance(market.now_ns)
    now, bids, asks = market.depth("BTCUSDT", 10_000)
    if now == last:
        assert {p: q for p, q in sides["b"].items() if q} == dict(bids)
        assert {p: q for p, q in sides["a"].items() if q} == dict(asks)
    assert last > first + 50
    market.journal.close()


def test_a_snapshot_between_two_diffs_joins_up_with_them() -> None:
    market = open_market()
    snapshots: list[int] = []
    told = run(market, 3, lambda: snapshots.append(market.depth("BTCUSDT", 5)[0]))
    spans = [(m["U"], m["u"]) for name, m in told if name == "btcusdt@depth@100ms"]
    inside = [s for s in snapshots if spans[0][1] < s < spans[-1][1]]
    assert inside
    for snapshot in inside:
        following = next(span for span in spans if span[1] > snapshot)
        assert following[0] <= snapshot + 1 <= following[1]
    market.journal.close()


def test_trades_are_numbered_without_holes_and_rest_tells_the_same() -> None:
    market = open_market()
    trades = [message for name, message in run(market, 5) if name == "ethusdt@trade"]
    assert [trade["t"] for trade in trades] == list(range(1, len(trades) + 1))
    rows = [render.trade_row(trade) for trade in market.journal.trades("ETHUSDT", 1, 10_000)]
    assert [(r["id"], r["price"], r["qty"], r["time"], r["isBuyerMaker"]) for r in rows] == [
        (t["t"], t["p"], t["q"], t["T"], t["m"]) for t in trades
    ]
    assert all(trade["E"] >= trade["T"] for trade in trades)
    market.journal.close()


def test_aggregates_cover_all_trades() -> None:
    market = open_market()
    told = run(market, 5)
    aggregates = [message for name, message in told if name == "btcusdt@aggTrade"]
    assert [a["a"] for a in aggregates] == list(range(1, len(aggregates) + 1))
    covered = [trade_id for a in aggregates for trade_id in range(a["f"], a["l"] + 1)]
    assert covered == list(range(1, market.core.desks["BTCUSDT"].trade_id + 1))
    market.journal.close()


def test_second_candles_are_made_of_the_trades() -> None:
    market = open_market()
    told = run(market, 6)
    candles = [m["k"] for name, m in told if name == "btcusdt@kline_1s" and m["k"]["x"]]
    assert len(candles) >= 4
    for candle in candles:
        inside = [m for n, m in told if n == "btcusdt@trade" and candle["t"] <= m["T"] <= candle["T"]]
        prices = [float(m["p"]) for m in inside]
        assert (float(candle["o"]), float(candle["c"])) == (prices[0], prices[-1])
        assert (float(candle["h"]), float(candle["l"]), candle["n"]) == (max(prices), min(prices), len(inside))
    rest = market.klines("BTCUSDT", "1s", None, None, 1000)
    assert [candle["t"] for candle in candles] == [candle.open_ms for candle in rest][: len(candles)]
    market.journal.close()


def test_minutes_across_a_boundary_are_kept_whole() -> None:
    market = open_market(now_ns=(1_700_000_000 // 60 * 60 + 58) * NS_PER_S)
    market.advance(market.now_ns + 4 * NS_PER_S)  # one commit for both minutes
    market.flush()
    trades = market.journal.trades("BTCUSDT", 1, 10_000)
    minutes = market.klines("BTCUSDT", "1m", None, None, 10)
    assert len(minutes) == 2
    assert sum(candle.trades for candle in minutes) == len(trades)
    assert sum(candle.volume for candle in minutes) == sum(trade.quantity_e8 for trade in trades)
    assert market.day("BTCUSDT")["count"] == len(trades)
    market.journal.close()


def test_a_user_trades_with_the_crowd_and_hears_of_it() -> None:
    market = open_market()
    run(market, 1)
    ask = market.core.desks["BTCUSDT"].book.asks.best
    assert ask is not None
    totals = market.core.accounts.totals()
    bought = order(BUY, ask + 1000, 50, "one")
    market.place(bought)
    market.flush()
    kinds = [(json.loads(text)["e"], json.loads(text).get("x")) for _, text in market.messages]
    assert kinds == [("executionReport", "NEW"), ("executionReport", "TRADE"), ("outboundAccountPosition", None)]
    assert bought.status == "FILLED"
    assert market.core.accounts.totals() == totals
    market.journal.close()


def test_the_crowd_trades_with_a_resting_order_of_a_user() -> None:
    market = open_market()
    run(market, 1)
    bid = market.core.desks["BTCUSDT"].book.bids.best
    assert bid is not None
    resting = order(BUY, bid, 20, "maker")
    market.place(resting)
    for _ in range(60):
        run(market, 1)
        if not resting.is_open:
            break
    assert resting.status == "FILLED"
    fills = market.journal.own_trades("demo", "BTCUSDT", 0, resting.order_id, 100)
    assert all(fill.is_maker and fill.is_buyer and fill.price_e8 == bid * 10**6 for fill in fills)
    assert sum(fill.quantity_e8 for fill in fills) == 20_000
    assert market.core.accounts.free("demo", "BTC") == 10 * E8 + 20_000 - sum(fill.fee_e8 for fill in fills)
    market.journal.close()


def test_after_a_stop_it_goes_on_where_it_was(tmp_path: Path) -> None:
    market = open_market(tmp_path)
    told = run(market, 3)
    desk = market.core.desks["BTCUSDT"]
    resting = order(SELL, 7_000_000, 1000, "rest")
    market.place(resting)
    assert desk.book.asks.best is not None
    market.place(order(BUY, desk.book.asks.best, 10, "take"))
    market.flush()
    before = {name: dict(assets) for name, assets in market.core.accounts.balances.items() if name in ("demo", "fees")}
    totals, price, trade_id = market.core.accounts.totals(), desk.last_price, desk.trade_id
    last_update = max(m["u"] for name, m in told if name == "btcusdt@depth@100ms")
    market.journal.close()

    again = open_market(tmp_path, now_ns=START_NS)  # and the machine's clock jumped back
    desk = again.core.desks["BTCUSDT"]
    assert again.time_ms > START_NS // NS_PER_MS + 3000
    assert {name: again.core.accounts.balances[name] for name in before} == before
    assert again.core.accounts.totals() == totals
    assert [o.client_order_id for o in again.core.open_orders.values() if o.account == "demo"] == ["rest"]
    assert desk.book.update_id > last_update
    assert abs(desk.last_price / price - 1) < 1e-3
    new = [m for name, m in run(again, 2) if name == "btcusdt@trade"]
    assert new[0]["t"] == trade_id + 1
    found = again.journal.order("demo", None, "rest")
    assert found is not None
    again.core.cancel(again.core.open_orders[found.order_id], again.time_ms)
    again.flush()
    assert again.core.accounts.locked("demo", "BTC") == 0
    again.journal.close()


def test_old_trades_are_forgotten_and_minutes_kept() -> None:
    market = open_market(keep_trades=50)
    run(market, 20)
    last = market.core.desks["BTCUSDT"].trade_id
    kept = market.journal.trades("BTCUSDT", 1, 10_000)
    assert 50 <= len(kept) <= 100
    assert kept[-1].trade_id == last
    assert sum(candle.trades for candle in market.klines("BTCUSDT", "1m", None, None, 10)) == last
    market.journal.close()
