"""A letter of each kind, for tests that look at letters."""

from __future__ import annotations

import math

from tests.telling.paperday import BTC, HOUR_NS, run_of

from quantlytic.model.breach import RiskBreach
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.fill import Fill
from quantlytic.model.halt import Halt
from quantlytic.model.intent import Intent
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.store.control.records import DigestAdvice, DigestNotice, DigestQuote, DigestSignal
from quantlytic.telling.chart import chart_of
from quantlytic.telling.digest import digest_letter
from quantlytic.telling.letter import Chart, Letter
from quantlytic.telling.replica import Point
from quantlytic.telling.words import (
    check_letter,
    data_letter,
    fill_letter,
    held_letter,
    intent_letter,
    link_letter,
    risk_letter,
    signal_letter,
)

T0 = 1_790_000_000_000_000_000
RUN = run_of()
SIGNAL = Signal(RUN.run_id, 3, BTC.id, T0, Side.BUY, 1.5, 64_210.0, 7)
FILL = Fill(RUN.run_id, 2, 5, BTC.id, T0, Side.SELL, 1.5, 64_215.5, 96.32)
INTENT = Intent(
    RUN.run_id, 4, BTC.id, T0, T0 + HOUR_NS, 1, "order", Side.BUY, 64_466.84, math.inf, 64_210.0, 1.5, 1.5, 0.31, 7, HOUR_NS
)  # fmt: skip
BREACH = RiskBreach(
    "spot", RUN.run_id, 9, BTC.id, T0, "max_order_notional", 10_000.0, 96_315.0,
    "order 9 to buy 1.5 BTCUSDT is worth 96,315.00: more than one order may be",
)  # fmt: skip
HALT = Halt("spot", T0, True, "kill", "ann", "pressed on the page")
DISCREPANCY = Discrepancy(
    "spot", T0, "position", BTC.id, "1.5", "1.0", "0.5 BTC were sold by hand at the venue", "adopted"
)  # fmt: skip
DIGEST = DigestNotice(
    day="2026-11-20",
    quotes=tuple(
        DigestQuote(name, close, change, {"7": close, "21": close * 0.97, "50": close * 0.9, "100": None, "200": 0.8 * close})
        for name, close, change in (
            ("binance:BTCUSDT", 64_210.5, 0.021), ("yahoo:AAPL", 271.49, -0.004), ("yahoo:BRK-B", 0.1234, None),
        )
    ),
    signals=(
        DigestSignal("binance:BTCUSDT", "sma-cross", 1, 64_210.5), DigestSignal("yahoo:AAPL", "rsi-reversion", -1, 271.49),
    ),
    advice=(
        DigestAdvice("binance:BTCUSDT", "turtle", "BTCUSDT: turtle. It made 12 % a year out of sample, after costs.", True),
        DigestAdvice("yahoo:AAPL", "", "AAPL: none. Nothing that was tried is proven to be better than luck.", True),
    ),
    trouble=("yahoo:AAPL: a dividend of 0.26 was missing on 2026-11-10 and has been added",),
)  # fmt: skip
GAP = LedgerEntry(BTC.id, "trades", LedgerKind.GAP, T0, 100, 111, 12)


def wave(count: int = 60) -> list[Point]:
    """Bars that go up and down, with an average that follows."""
    found: list[Point] = []
    for k in range(count):
        close, before = (64_000.0 + 300.0 * math.sin(at / 9.0) for at in (k, k - 1))
        found.append(
            Point(
                T0 + (k - count + 1) * HOUR_NS, before, max(close, before) + 20.0, min(close, before) - 20.0, close,
                {"SMA 5": close - 30.0, "RSI 14": 50.0, **({"SMA 20": 64_000.0} if k > 20 else {})},
            )
        )  # fmt: skip
    return found


def chart(mark: str = "BUY") -> Chart:
    found = chart_of("BTCUSDT", "1h", wave(), mark, mark == "BUY")
    assert found is not None
    return found


def of_each_kind() -> dict[str, Letter]:
    """Name -> letter."""
    record = (
        "Back-tested on BTCUSDT with these parameters, 2024-01-01 to 2026-01-01: +12.3 % a year.",
        "Verdict: unproven.",
    )
    reason = "SMA 5 (64,230.11) crossed above SMA 20 (64,228.02) at 64,210.00."
    return {
        "signal": signal_letter(SIGNAL, RUN, reason=reason, record=record, chart=chart()),
        "fill": fill_letter(FILL, RUN),
        "look-ahead": intent_letter(INTENT, RUN, chart("")),
        "risk": risk_letter(BREACH),
        "halt": risk_letter(HALT),
        "discrepancy": risk_letter(DISCREPANCY),
        "data": data_letter(GAP),
        "confirm": link_letter("confirm", "https://alerts.example.com/confirm?token=abc", T0 + 48 * HOUR_NS, T0),
        "mine": link_letter("mine", "https://alerts.example.com/mine?token=abc", T0 + 24 * HOUR_NS, T0),
        "held": held_letter(3, 60, ("signal", "look-ahead", "fill"), T0 + HOUR_NS // 2, T0),
        "test": check_letter(T0),
        "digest": digest_letter(DIGEST),
    }
