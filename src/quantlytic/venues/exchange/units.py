"""Exact decimals: every price, quantity and balance is an integer count of 1e-8 ("e8") or a multiple of it."""

from __future__ import annotations

import re

E8 = 100_000_000

_DECIMAL = re.compile(r"(\d{1,12})(?:\.(\d{0,18}))?|\.(\d{1,18})", re.ASCII)


def e8_text(value: int) -> str:
    """`6000012000000` -> `"60000.12000000"`: eight decimals, as Binance writes them."""
    if value < 0:
        return "-" + e8_text(-value)
    return f"{value // E8}.{value % E8:08d}"


def e8(text: str) -> int | None:
    """A plain decimal to e8 units; None when it is not one, or when it is finer than 1e-8."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or match[3] or "").rstrip("0")
    if len(fraction) > 8:
        return None
    return int(match[1] or "0") * E8 + int(fraction.ljust(8, "0"))
