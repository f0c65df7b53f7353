"""What is told, to the word; the chart that goes with it."""

from __future__ import annotations

import io
import math
from hashlib import sha256

import matplotlib
import msgspec
import pytest
from PIL import Image
from tests.telling.letters import (
    BREACH,
    DIGEST,
    DISCREPANCY,
    FILL,
    GAP,
    HALT,
    INTENT,
    RUN,
    SIGNAL,
    T0,
    chart,
    of_each_kind,
    wave,
)
from tests.telling.paperday import HOUR_NS, run_of

from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.ledger import LedgerKind
from quantlytic.model.side import Side
from quantlytic.telling.chart import HEIGHT_PX, WIDTH_PX, chart_of, png_of
from quantlytic.telling.digest import digest_letter
from quantlytic.telling.letter import KINDS, Letter, price_text, time_text
from quantlytic.telling.occasion import TROUBLE, occasion_of
from quantlytic.telling.words import bare_letter, data_letter, fill_letter, intent_letter, risk_letter, signal_letter


def test_there_are_letters_of_every_kind() -> None:
    assert {letter.kind for letter in of_each_kind().values()} == set(KINDS)


@pytest.mark.parametrize(
    ("tick", "price", "text"),
    [(0.01, 3_001.1, "3,001.10"), (0.5, 3_001.5, "3,001.5"), (1.0, 60_045.0, "60,045"), (1e-8, 2e-6, "0.00000200"),
     (0.0, 64_210.0, "64,210"), (0.0, 99.480123, "99.480123"), (0.01, math.nan, "–")],
)  # fmt: skip
def test_prices_have_the_decimals_of_the_tick(tick: float, price: float, text: str) -> None:
    assert price_text(price, Instrument("box:X", tick_size=tick)) == text


def test_times_have_no_more_digits_than_needed() -> None:
    assert time_text(T0) == "2026-09-21 14:13:20 UTC"
    assert time_text(T0 + 250_000_000) == "2026-09-21 14:13:20.25 UTC"


@pytest.mark.parametrize(
    ("mode", "small"),
    [
        ("paper", "This is paper trading on demo: no real order is sent."),
        ("live", "This is live trading on demo: a real order follows."),
        ("alert", "This is an alert: no order is sent by anybody but you."),
    ],
)
def test_a_signal_says_what_becomes_of_it(mode: str, small: str) -> None:
    letter = signal_letter(SIGNAL, msgspec.structs.replace(RUN, mode=mode), idea="Long while it rises.")
    assert letter.subject == f"BUY BTCUSDT at 64,210.00 (sma-cross, {mode})"
    assert letter.lines == (
        "Its rule: Long while it rises.", "sma-cross says buy BTCUSDT at 64,210.00: it wants to hold 1.5 BTC.",
    )  # fmt: skip
    assert letter.small[0] == small


def test_out_of_it_and_short() -> None:
    out = signal_letter(msgspec.structs.replace(SIGNAL, side=Side.SELL, target_quantity=0.0), RUN)
    assert out.lines == ("sma-cross says sell BTCUSDT at 64,210.00: it wants to hold nothing.",)
    short = signal_letter(msgspec.structs.replace(SIGNAL, side=Side.SELL, target_quantity=-0.25), RUN)
    assert short.lines[0].endswith("it wants to hold −0.25 BTC.")


def test_the_folder_of_a_strategy_is_nobodys_business() -> None:
    letter = signal_letter(SIGNAL, run_of("/home/ann/secret/mine.py:Dip", fast=1.0))
    assert "/home" not in letter.text
    assert "mine.py:Dip (fast 1)" in letter.text


def test_fills_intents_and_trouble() -> None:
    assert fill_letter(FILL, RUN).subject == "FILLED: sold 1.5 BTC at 64,215.50 (sma-cross, paper)"
    intent = intent_letter(INTENT, RUN)
    assert intent.expires_ns == T0 + HOUR_NS
    assert "model forecast gives 31 %" in intent.lines[0]
    assert risk_letter(HALT).subject == "HALTED: spot (kill)"
    released = risk_letter(msgspec.structs.replace(HALT, is_halted=False))
    assert released.subject == "RELEASED: spot (kill)"
    assert released.lines[0] == "spot may trade again."
    assert risk_letter(DISCREPANCY).facts[:2] == (("Ours", "1.5"), ("The venue's", "1.0"))
    assert risk_letter(msgspec.structs.replace(BREACH, order_id=0)).facts[1] == ("What", "the account itself")
    for kind in TROUBLE:
        assert "BTCUSDT" in data_letter(msgspec.structs.replace(GAP, kind=kind)).lines[0]
    assert bare_letter("risk", T0, "", "TypeError").is_urgent


def test_what_is_worth_telling() -> None:
    told = [occasion_of(event) for event in (SIGNAL, FILL, INTENT, BREACH, HALT, DISCREPANCY, GAP)]
    assert [one.kind for one in told if one] == ["signal", "fill", "look-ahead", "risk", "risk", "risk", "data"]
    assert len({one.cause for one in told if one}) == len(told)
    assert occasion_of(msgspec.structs.replace(GAP, kind=LedgerKind.BACKFILL)) is None
    assert occasion_of(msgspec.structs.replace(INTENT, price_low=math.nan, price_high=math.nan)) is None


def test_the_digest() -> None:
    letter = digest_letter(DIGEST)
    assert letter.subject == "2026-11-20: 2 signals on 3 instruments"
    assert letter.lines == ("2 signals on 3 instruments on 2026-11-20. 1 rose and 1 fell.",)
    signals, closes = letter.tables
    assert signals.rows[0] == ("BTCUSDT", "BUY", "64,210.50", "sma-cross")
    assert closes.rows[0] == ("BTCUSDT", "64,210.50", "+2.1 %", "+3.1 %", "+11.1 %", "+25.0 %")
    assert closes.rows[2][2] == "–"
    empty = digest_letter(msgspec.structs.replace(DIGEST, signals=(), advice=(), trouble=(), quotes=DIGEST.quotes[:1]))
    assert empty.subject == "2026-11-20: no signal on 1 instrument"
    assert len(empty.tables) == 1
    with pytest.raises(InputError, match="is no date"):
        digest_letter(msgspec.structs.replace(DIGEST, day="2026-11-31\r\nBcc: x"))


def test_a_chart_is_a_picture_of_its_size_and_the_same_each_time() -> None:
    from quantlytic.telling import chart as module

    drawn = png_of(chart())
    assert drawn is not None
    with Image.open(io.BytesIO(drawn)) as picture:
        assert picture.size == (WIDTH_PX, HEIGHT_PX)
        colors = picture.convert("RGB").getcolors(maxcolors=1_000_000)
    assert colors is not None
    assert len(colors) > 50, "something is on it"
    module._drawn.cache_clear()
    with matplotlib.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "#ff0000", "font.family": "serif"}):
        again = png_of(chart())
    assert again is not None
    assert sha256(again).hexdigest() == sha256(drawn).hexdigest(), "whatever else has set Matplotlib up"


def test_what_is_no_price_is_not_drawn() -> None:
    made = chart()
    assert list(made.lines) == ["SMA 5", "SMA 20"]
    assert math.isnan(made.lines["SMA 20"][0])
    assert made.words == "BTCUSDT, the last 60 bars of 1h with SMA 5 and SMA 20; BUY"


@pytest.mark.parametrize("count", [0, 1, 2, 3, 9])
def test_few_bars(count: int) -> None:
    found = chart_of("X", "1h", wave(count))
    assert (found is None) == (count < 2)
    if found is not None:
        assert png_of(found)


def test_a_market_that_stands_still_and_one_that_is_tiny() -> None:
    flat = [msgspec.structs.replace(point, open=1e-8, high=1e-8, low=1e-8, close=1e-8, lines={}) for point in wave(30)]
    found = chart_of("X", "1s", flat, "SELL", False)
    assert found is not None
    assert png_of(found)


def test_text_has_everything() -> None:
    letter = Letter(
        "test",
        T0,
        "s",
        ("first", "second"),
        (("Price", "1"),),
        ("record",),
        ("small",),
        None,
        ("Do it", "https://x.example/y"),
    )
    assert letter.text == "first\nsecond\n\nDo it: https://x.example/y\n\nPrice: 1\n\nITS RECORD\nrecord\n\nsmall\n"
