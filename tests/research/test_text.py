"""Figures as people read them."""

from __future__ import annotations

import pytest

from quantlytic.research import text

DAY = 86_400_000_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.00"), (-1234.5, "−1,234.50"), (694.8471, "694.85"), (1e6, "1,000,000")],
)
def test_money(value: float | None, shown: str) -> None:
    assert text.money(value) == shown


def test_money_with_sign() -> None:
    assert text.money(5, sign=True) == "+5.00"


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "–"),
        (0.125, "12.5"),
        (-0.0312, "−3.12"),
        (-0.99934, "−99.93"),
        (-1.0, "−100.0"),
        (25.4, "2,540"),
        (0.09999, "10.0"),
    ],
)
def test_percent(share: float | None, shown: str) -> None:
    assert text.percent(share, unit=False) == shown
    assert text.percent(0.5) == "50.0\u00a0%"


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0s"),
        (250_000_000, "250ms"),
        (DAY // 96, "15m"),
        (DAY, "1d"),
        (2 * DAY + DAY // 6, "2d 4h"),
        (DAY + 60 * 10**9, "1d"),
        (400 * DAY, "1y 34d"),
    ],
)
def test_duration(size: int, shown: str) -> None:
    assert text.duration(size) == shown


def test_times() -> None:
    assert text.day(0) == "1970-01-01"
    assert text.minute(0) == "1970-01-01"
    assert text.minute(61 * 60 * 10**9) == "1970-01-01 01:01"
    assert text.minute(61 * 10**9) == "1970-01-01 00:01:01"


def test_prices_and_quantities_keep_their_digits() -> None:
    assert text.price(93738.19) == "93,738.19"
    assert text.price(0.31435) == "0.31435"
    assert text.quantity(1234.5678) == "1,234.57"
    assert text.ratio(None) == "–"
    assert text.ratio(-1.234) == "−1.23"
    assert [text.tone(value) for value in (None, 0.0, 1.0, -1.0)] == ["", "", "up", "down"]
