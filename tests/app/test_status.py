"""The live status fits a terminal of 80 columns and leaves room for the echoed ^C."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from quantlytic.app.status import Status
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run

RUN = Run(
    run_id="r", mode="paper", venue="box", strategy="sma-cross", params={}, bar_size_ns=1_000_000_000, cash=1e5,
    instruments=(Instrument("box:BTCUSDT", "BTC", "USDT"), Instrument("box:ETHUSDT", "ETH", "USDT")), fee_bps=10,
    first_bar_offset=0, code_hash="",
)  # fmt: skip


def state(**changes: Any) -> dict[str, Any]:
    feed = {"state": "live", "rates": {"trades": 149.0, "quotes": 146.0, "book": 20.0},
            "lag_p50_ms": 12.34, "lag_p99_ms": 115_098.9}  # fmt: skip
    run = {
        "counts": {"bars": 12_345, "signals": 12, "orders": 11, "fills": 10, "rejected": 0}, "equity": 100_345.67,
        "positions": [
            {"instrument": "box:BTCUSDT", "quantity": 0.74567, "unrealised": -1234.5},
            {"instrument": "box:ETHUSDT", "quantity": 0.0, "unrealised": 0.0},
        ],
        "signals": [{"instrument": "box:BTCUSDT", "side": "SELL", "price": 60_045.59, "time_ms": 1_795_271_360_000}],
    }  # fmt: skip
    return {"feed": feed, "run": run, "warnings": []} | changes


def shown(given: dict[str, Any], width: int = 80) -> list[str]:
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(Status(lambda: given, RUN).table(width))
    return capture.get().splitlines()


def test_a_line_each_at_80_columns() -> None:
    lines = shown(state())
    assert len(lines) == 5, lines
    assert "live" in lines[0]
    assert "equity 100,345.67, 10 fills" in lines[1]
    assert "0.74567 BTC " in lines[2]
    assert "flat" in lines[3]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_the_last_columns_stay_free(width: int) -> None:
    lines = shown(
        state(warnings=["the feed [of box] has been silent for 12 s, and much else could be said about it here"]), width
    )
    assert all(len(line) < width - 2 for line in lines), lines
    assert "[of box]" in " ".join(lines)


def test_a_warning_does_not_widen_the_table() -> None:
    assert shown(state(warnings=["x" * 60]))[:5] == shown(state())


def test_the_line_for_a_log() -> None:
    line = Status(state, RUN).line()
    assert "bars 12345 each" in line
    assert line.endswith("equity 100,345.67  0.74567 BTC")
    empty = Status(lambda: state(run=None), RUN).line()
    assert empty.endswith("equity -  flat")


def refused(*reasons: str) -> dict[str, Any]:
    given = state()
    given["run"]["counts"]["rejected"] = len(reasons)
    given["run"]["orders"] = [{"status": "REJECTED", "reason": reason} for reason in reasons]
    given["run"]["orders"] += [{"status": "FILLED", "reason": "amended"}]
    return given


def test_refused_orders_are_shown_with_what_refused_them() -> None:
    given = refused("insufficient-cash: 3", "max_order_notional: 1", "max_order_notional: order 2 ...", "spot: 1")
    assert "fills 10  refused 4 (spot, max_order_notional)  equity" in Status(lambda: given, RUN).line()
    assert shown(given)[-1].strip() == "orders    refused 4 (spot, max_order_notional)"
    assert "refused" not in Status(state, RUN).line()


def test_words_that_are_no_name_are_cut() -> None:
    given = refused("trading is halted (kill): a very long reason that somebody has written")
    assert "refused 1 (trading is halted (kill))" in Status(lambda: given, RUN).line()
    given = refused("Account has insufficient balance for requested action")
    assert "refused 1 (Account has insufficient...)" in Status(lambda: given, RUN).line()
    assert "refused 1  equity" in Status(lambda: refused(""), RUN).line()


def test_several_runs_are_counted_and_added_up() -> None:
    import msgspec

    other = msgspec.structs.replace(RUN, run_id="other", strategy="turtle")
    first = state()["run"]
    second = first | {"equity": 50_000.0, "counts": first["counts"] | {"bars": 7, "fills": 3}}
    given = state(totals={"r": first, "other": second, "an old one": second})
    line = Status(lambda: given, RUN, other).line()
    assert "2 runs  bars 12345 each  signals 24  fills 13  " in line
    assert line.endswith("equity 150,345.67  1.49134 BTC")
    console = Console(width=80, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(Status(lambda: given, RUN, other).table(80))
    lines = capture.get().splitlines()
    assert "sma-cross" in lines[1]
    assert "turtle" in lines[2]
    assert "equity 50,000.00, 3 fills" in lines[2]
    assert "1.49134 BTC" in lines[3]
