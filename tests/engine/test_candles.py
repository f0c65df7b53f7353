"""Candle patterns against TA-Lib: real bars, and rough ones on a coarse grid, where many lengths lie exactly on a threshold."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib
from numpy.typing import NDArray

from quantlytic.engine.compiler.record import layout_of
from quantlytic.indicators import CANDLE_PATTERNS, CandlePatterns, Engulfing, Hammer, ModifiedHikkake, MorningStar
from quantlytic.model.errors import InputError

Prices = list[NDArray[np.float64]]
PENETRATING = [name for name, pattern in CANDLE_PATTERNS.items() if hasattr(pattern(), "penetration")]


def rough(n: int, seed: int) -> Prices:
    """Bars with runs of one color, gaps, missing shadows and equal prices: every pattern occurs, and every tie."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    bars, close, side = [], 2000, 1
    for _ in range(n):
        side = -side if rng.random() < 0.35 else side
        mode = rng.integers(0, 4)
        gap = rng.integers(-2, 3) if mode < 2 else rng.integers(-12, 13) if mode == 2 else side * rng.integers(1, 9)
        opened = close + gap
        close = opened + side * rng.choice([0, 1, 2, 3, 6, 9, 14, 20], p=[0.12, 0.08, 0.15, 0.15, 0.15, 0.15, 0.1, 0.1])
        up, down = rng.choice([0, 0, 0, 1, 2, 5, 25], 2)
        bars.append((opened, max(opened, close) + up, min(opened, close) - down, close))
        close = close if 1000 < close < 3000 else 2000
    return [np.ascontiguousarray(column) * 0.01 for column in np.array(bars, float).T]


def real(folder: Path, symbol: str) -> Prices:
    file = "equity_daily_lean" if symbol == "AAPL" else "binance_spot_1h_staticklines"
    frame = pl.read_parquet(folder / f"{file}.parquet").filter(pl.col("symbol") == symbol)
    return [frame[name].to_numpy().astype(float) for name in ("open", "high", "low", "close")]


def rows_of(prices: Prices) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in prices), strict=True))


def run_plain(patterns: CandlePatterns, rows: list[tuple[float, ...]]) -> dict[str, NDArray[np.float64]]:
    found = np.zeros((len(rows), len(patterns.outputs)))
    for i, row in enumerate(rows):
        patterns.update(*row)
        found[i] = [getattr(patterns, name) for name in patterns.outputs]
    return dict(zip(CANDLE_PATTERNS, found.T, strict=True))


def check_all(found: dict[str, NDArray[np.float64]], prices: Prices) -> None:
    for name, ours in found.items():
        np.testing.assert_array_equal(ours, getattr(talib, name)(*prices), err_msg=name)


def test_there_are_all_of_talibs() -> None:
    assert list(CANDLE_PATTERNS) == talib.get_function_groups()["Pattern Recognition"]


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "AAPL"])
def test_equal_to_talib(market_data: Path, symbol: str) -> None:
    prices = [column[-1_500:].copy() for column in real(market_data, symbol)]
    check_all(run_plain(CandlePatterns(), rows_of(prices)), prices)


@pytest.mark.slow
@pytest.mark.timeout(900)  # compiling 61 patterns
def test_equal_to_talib_on_every_bar_compiled(market_data: Path) -> None:
    for prices in [*(real(market_data, symbol) for symbol in ("BTCUSDT", "DOGEUSDT", "AAPL")), rough(200_000, seed=1)]:
        found = dict(zip(CANDLE_PATTERNS, CandlePatterns.over(*prices), strict=True))
        check_all(found, prices)
    assert all(found[name].any() for name in CANDLE_PATTERNS), "the rough bars hold every pattern"


def test_equal_to_talib_where_lengths_tie() -> None:
    prices = rough(2_500, seed=2)
    patterns = CandlePatterns()
    layout = layout_of(patterns)
    found = run_plain(patterns, rows_of(prices))
    check_all(found, prices)
    assert sum(column.any() for column in found.values()) > 45
    assert layout_of(patterns) is layout, "results stay what they were: floats"


def test_one_pattern_alone_is_the_same_as_all_at_once() -> None:
    prices = rough(400, seed=3)
    together = run_plain(CandlePatterns(), rows_of(prices))
    for name, pattern in CANDLE_PATTERNS.items():
        alone = pattern()
        ours = []
        for i, row in enumerate(rows_of(prices)):
            ours.append(alone.update(*row))
            assert alone.ready is (i >= pattern.bars_before)
        np.testing.assert_array_equal(ours, together[name], err_msg=name)


@pytest.mark.parametrize("name", PENETRATING)
def test_penetration(name: str) -> None:
    prices = rough(1_500, seed=4)
    for penetration in (0.0, 0.1, 0.8):
        pattern = CANDLE_PATTERNS[name](penetration=penetration)  # type: ignore[call-arg]
        ours = [pattern.update(*row) for row in rows_of(prices)]
        np.testing.assert_array_equal(ours, getattr(talib, name)(*prices, penetration))
    with pytest.raises(InputError, match="penetration is a share"):
        CANDLE_PATTERNS[name](penetration=math.nan)  # type: ignore[call-arg]


def test_a_missing_price_begins_anew() -> None:
    rows = rows_of(rough(300, seed=5))
    patterns, fresh = CandlePatterns(), CandlePatterns()
    run_plain(patterns, rows[:100])
    assert patterns.ready
    missing = run_plain(patterns, [(1.0, math.nan, 1.0, 1.0)])
    assert not patterns.ready
    assert not any(column.any() for column in missing.values())
    ours, theirs = run_plain(patterns, rows[100:]), run_plain(fresh, rows[100:])
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


@pytest.mark.parametrize("pattern", [Hammer, Engulfing, ModifiedHikkake, MorningStar])
def test_compiled_is_the_same(pattern: Any) -> None:
    prices = rough(3_000, seed=6)
    plain = pattern()
    compiled = pattern.over(*prices)
    np.testing.assert_array_equal(compiled, [plain.update(*row) for row in rows_of(prices)])
    assert compiled.any()
