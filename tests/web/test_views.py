from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from quantlytic.model.bar import Bar
from quantlytic.model.delivery import Delivery
from quantlytic.model.equity import Equity
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.forecast import Forecast
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import CAME_LATE
from quantlytic.model.quote import Quote
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.model.trade import Trade
from quantlytic.store.log.batch import EventBatch
from quantlytic.web.outbox import Mail
from quantlytic.web.views import MAX_SERIES, Dashboard

S = 1_000_000_000
NOW = 1_800_000_000 * S
A, B = "box:A", "box:B"


def batch(*events: Event, start: int = 0) -> EventBatch:
    return EventBatch(events, range(start, start + len(events)), start + len(events))


def trade(name: str = A, time: int = NOW, price: float = 10.0) -> Trade:
    return Trade(name, time, time, 1, price, 1.0, Side.BUY)


def dashboard() -> Dashboard:
    return Dashboard("box", [S], stale_after_s=2.0, warmup_bars=12)


def test_the_first_trade_draws_the_first_candle() -> None:
    view = dashboard()
    assert view.state(NOW)["candles"] == []
    view.apply(batch(trade()))
    state = view.state(NOW)
    assert state["charts"] == ["box:A|1s"]
    assert state["candles"] == [(NOW / 1e6, 10.0, 10.0, 10.0, 10.0, 1.0, 0)]
    assert state["markets"][A]["price"] == 10.0


def test_the_chart_asked_for_is_the_one_told() -> None:
    view = dashboard()
    view.apply(batch(trade(A), trade(B, price=20.0)))
    assert view.state(NOW, series="box:B|1s")["candles"][0][1] == 20.0
    assert view.state(NOW, series="box:NONE|1s")["series"] == "box:A|1s"


def test_completeness_is_counted_and_warned_about() -> None:
    view = dashboard()
    gap = LedgerEntry(A, "trades", LedgerKind.GAP, NOW, 5, 8, 4)
    view.apply(batch(gap, LedgerEntry(A, "trades", LedgerKind.BACKFILL, NOW, 5, 7, 3, CAME_LATE)))
    state = view.state(NOW)
    assert state["ledger"]["GAP"] == {"entries": 1, "count": 4}
    assert state["warnings"] == ["Market messages lost: 1"]
    assert [note["kind"] for note in state["notes"]] == ["GAP", "BACKFILL"]


def test_a_silent_feed_is_told_without_any_event() -> None:
    view = dashboard()
    view.apply(batch(trade()))
    assert view.drain(NOW)["feed"]["state"] == "live"
    changes = view.drain(NOW + 3 * S)
    assert changes["feed"]["state"] == "stale"
    assert changes["warnings"] == ["The market feed is silent"]


def test_runs_are_kept_apart_and_the_one_that_moves_is_shown() -> None:
    view = dashboard()
    view.apply_run("old", batch(Equity("old", A, NOW, 50.0, 50.0, 0.0, 1.0, 0)))
    view.apply_run("new", batch(Equity("new", A, NOW - S, 70.0, 70.0, 0.0, 1.0, 0)), seen_ns=NOW)
    state = view.state(NOW)
    assert (state["current_run"], state["run"]["equity"]) == ("new", 70.0)
    assert view.state(NOW, run_id="old")["run"]["equity"] == 50.0
    assert [run["run_id"] for run in state["runs"]] == ["new", "old"]


def test_what_the_live_runs_hold_is_added_up() -> None:
    view = dashboard()
    for name, mode, quantity in (("a", "live", 1.5), ("b", "live", -0.5), ("c", "paper", 9.0), ("d", "live", 0.0)):
        run = Run(name, mode, "box", "x", {}, (), S, 1e5, 10.0, 0, "")
        view.describe_run(run)
        view.apply_run(name, batch(Equity(name, A, NOW, 1e5, 1e5, quantity, 10.0, 0)))
    assert view.held() == [{"instrument": A, "quantity": 1.0, "value": None}]
    view.apply(batch(trade(A, price=20.0)))
    assert view.held() == [{"instrument": A, "quantity": 1.0, "value": 20.0}]


def test_mails_join_their_deliveries() -> None:
    view = dashboard()
    sent = Delivery("r", "m1", "outbox", "you", NOW, "BUY")
    view.apply(batch(sent, Delivery("r", "m2", "smtp", "you", NOW + S, "X", "failed")))
    view.set_mails(
        [Mail("0-m1.eml", "m1", NOW / 1e6, "BUY", "q", "you"), Mail("0-m0.eml", "m0", 5.0, "SELL", "q", "you")]
    )
    notices = view.state(NOW)["notices"]
    assert [(row["message_id"], row["mail"]) for row in notices] == [
        ("m2", None),
        ("m1", "0-m1.eml"),
        ("m0", "0-m0.eml"),
    ]
    assert view.state(NOW)["warnings"] == ["Notices not delivered: 1"]


def test_charts_are_bounded_and_odd_bars_do_no_harm() -> None:
    view = dashboard()
    bars = [Bar(f"box:{k}", 0, S, 1.0, 1.0, 1.0, 1.0, 1.0) for k in range(2 * MAX_SERIES)]
    view.apply(batch(Bar(A, 0, 1234, 1.0, 1.0, 1.0, 1.0, 1.0), Bar(A, 5, 5, 1.0, 1.0, 1.0, 1.0, 1.0), *bars))
    assert len(view.state(NOW)["charts"]) == MAX_SERIES


def random_events(rng: random.Random, count: int) -> list[tuple[str, Event]]:
    """(where it belongs, event): a market, bars and a run in some order."""
    out: list[tuple[str, Event]] = []
    fills = 0
    for k in range(count):
        time, name, price = NOW + k * S // 3, rng.choice((A, B)), round(rng.uniform(90, 110), 2)
        kind = rng.randrange(6)
        if kind <= 1:
            out.append(("market", trade(name, time, price)))
        elif kind == 2:
            out.append(("market", Quote(name, time, time, k, price, 1.0, price + 1, 1.0)))
        elif kind == 3:
            open_time = time - time % S - S
            out.append(("market", Bar(name, open_time, open_time + S, price, price, price, price, 1.0)))
        elif kind == 4:
            fills += 1
            out.append(("run", Fill("r", fills, fills, name, time, rng.choice(list(Side)), 1.0, price, 0.1)))
            out.append(("run", Equity("r", name, time, price * 10, 0.0, 0.0, price, k)))
        else:
            out.append(("run", Signal("r", k, name, time, Side.BUY, 1.0, price)))
    return out


def merge(page: dict[str, Any], changes: dict[str, Any]) -> None:
    """What the page's state.js does with a delta."""
    runs, series = changes.pop("runs_changed", {}), page["series"]
    for key in ("candles", "candles_replace"):
        rows = changes.pop(key, {}).get(series)
        if rows:
            held = {} if key == "candles_replace" else {row[0]: row for row in page["candles"]}
            page["candles"] = sorted((held | {row[0]: row for row in rows}).values())
    page["markets"] |= changes.pop("markets", {})
    page |= changes
    run = runs.get(page["run_id"], {})
    for key in ("signals", "fills", "orders"):
        held = {row["id"]: row for row in page["run"][key]}
        page["run"][key] = list((held | {row["id"]: row for row in run.pop(key, [])}).values())
    if "curve_replace" in run:
        page["run"]["curve"] = run.pop("curve_replace")
    page["run"]["curve"] = sorted((dict(page["run"]["curve"]) | dict(run.pop("curve", []))).items())
    page["run"] |= run


def feed_in(view: Dashboard, events: Sequence[tuple[str, Event]], start: int) -> None:
    for offset, (where, event) in enumerate(events, start):
        if where == "run":
            view.apply_run("r", batch(event, start=offset))
        else:
            view.apply(batch(event, start=offset))


def test_a_snapshot_and_its_deltas_make_the_next_snapshot() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        events, view = random_events(rng, 150), dashboard()
        feed_in(view, [("run", Equity("r", A, NOW, 1.0, 1.0, 0.0, 1.0, 0)), ("market", trade()), *events[:50]], 0)
        if rng.random() < 0.5:
            view.drain(NOW)  # else the first delta repeats what the snapshot holds
        page = view.state(NOW)
        page["markets"] = {name: dict(row) for name, row in page["markets"].items()}
        for k in range(50, len(events), 7):
            feed_in(view, events[k : k + 7], 100 + k)
            merge(page, view.drain(NOW))
        assert page == view.state(NOW), f"seed {seed}"


def test_a_fill_of_a_run_with_forecasts_is_drawn_on_the_bar_that_its_line_means() -> None:
    """Its offsets are places in the line's stream, at which bars.VENUE has another bar."""
    view = dashboard()
    bars = [Bar(A, NOW + k * S, NOW + (k + 1) * S, 1.0, 1.0, 1.0, 1.0, 1.0) for k in range(3)]
    view.apply(batch(*bars))
    fields = [getattr(bars[2], name) for name in bars[2].__struct_fields__]
    view.apply_line("forecasts", "up", batch(Forecast("up", *fields, 0.6, bar_offset=2), start=1))
    for name, line, expected in (("plain", "", NOW + S), ("told", "up", NOW + 2 * S)):
        view.describe_run(Run(name, "paper", "box", "x", {}, (), S, 1e5, 10.0, 0, "", line))
        view.apply_run(name, batch(Fill(name, 1, 1, A, NOW + 9 * S, Side.BUY, 1.0, 1.0, 0.0, 1)))
        assert view.runs[name].state({})["fills"][0]["bar_ms"] == expected / 1e6
