"""Rules that look ahead, each in its own way, and honest ones that look as if they might."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

import quantlytic as ql
from quantlytic.engine.data.bars import Bars
from quantlytic.model.bar import blank_bars
from quantlytic.model.instrument import Instrument

HOUR_NS = 3_600_000_000_000
Rule = Callable[[Bars], Any]


def make_bars(count: int = 120, seed: int = 1, instruments: int = 1) -> Bars:
    """Hourly random walks."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in range(instruments):
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
        opened = np.concatenate(([100.0], close[:-1]))
        array = blank_bars(count)
        array["open_time"] = 1_700_000_400_000_000_000 // HOUR_NS * HOUR_NS + np.arange(count) * HOUR_NS
        array["close_time"] = array["open_time"] + HOUR_NS
        array["open"], array["close"] = opened, close
        array["high"] = np.maximum(opened, close) * (1 + rng.random(count) * 0.004)
        array["low"] = np.minimum(opened, close) * (1 - rng.random(count) * 0.004)
        array["volume"] = rng.lognormal(3, 1, count)
        array["trades"] = rng.integers(10, 500, count)
        parts.append(Bars(array, (Instrument(f"test:{'ABC'[index]}"),)))
    return parts[0] if instruments == 1 else Bars.merge(parts)


def series(bars: Bars, name: str = "close") -> pd.Series:
    return pd.Series(bars.array[name].copy(), index=pd.to_datetime(bars.array["close_time"]))


BARS = make_bars()
CLOSES = BARS.array["close"].copy()
FRAME = pd.DataFrame({"close": BARS.array["close"].copy()})


# ---- rules that look ahead ----


def shift_the_wrong_way(bars: Bars) -> Any:
    close = series(bars)
    return (close.shift(-1) > close).astype(int)


def roll(bars: Bars) -> Any:
    return np.sign(np.roll(bars.array["close"], -1) - bars.array["close"])


def centred_window(bars: Bars) -> Any:
    return series(bars).rolling(3, center=True).mean()


def z_score_of_everything(bars: Bars) -> Any:
    close = bars.array["close"]
    return (close - close.mean()) / close.std()


def share_of_the_maximum(bars: Bars) -> Any:
    return bars.array["close"] / bars.array["high"].max() > 0.9


def backward_fill(bars: Bars) -> Any:
    return series(bars).where(np.arange(len(bars)) % 2 == 1).bfill()


def pivot_high(bars: Bars) -> Any:
    high = series(bars, "high")
    return ["sell" if top else "hold" for top in (high > high.shift(1)) & (high > high.shift(-1))]


def two_hour_bar_known_at_its_first_hour(bars: Bars) -> Any:
    close = series(bars)
    block = np.arange(len(bars)) // 2
    return close.groupby(block).transform("last")


def resample_label(bars: Bars) -> Any:
    close = series(bars)
    slow = close.resample("2h", closed="left", label="left", origin="start").last()
    return slow.reindex(close.index, method="ffill")


def target_among_features(bars: Bars) -> Any:
    close = series(bars)
    return np.column_stack([close.pct_change(), close.rolling(5).mean(), close.pct_change().shift(-1)])


def rank_of_everything(bars: Bars) -> Any:
    return np.argsort(np.argsort(bars.array["close"])) / len(bars)


def scaler_fitted_on_everything(bars: Bars) -> Any:
    volume = bars.array["volume"]
    return (volume - volume.min()) / (volume.max() - volume.min())


def central_difference(bars: Bars) -> Any:
    return np.gradient(bars.array["close"])


def smoothed_in_place(bars: Bars) -> Any:
    return np.convolve(bars.array["close"], np.ones(3) / 3, mode="same")


def filtered_there_and_back(bars: Bars) -> Any:
    forth = series(bars).ewm(span=5).mean()
    return forth[::-1].ewm(span=5).mean()[::-1]


def fill_at_the_next_open(bars: Bars) -> Any:
    return series(bars, "open").shift(-1) - series(bars)


def stop_that_knows_the_next_low(bars: Bars) -> Any:
    return (series(bars, "low").shift(-1) > series(bars) * 0.995).astype(int)


def flat_before_a_gap(bars: Bars) -> Any:
    times = bars.array["open_time"]
    return [*np.append(np.diff(times) <= 2 * HOUR_NS, False)[:-1].tolist(), True]


def flat_at_the_last_bar(bars: Bars) -> Any:
    position = (np.arange(len(bars)) % 7 < 4).astype(float)
    position[-3:] = -1.0
    return position


def quantile_of_everything(bars: Bars) -> Any:
    return bars.array["close"] > np.quantile(bars.array["close"], 0.6)


def interpolated(bars: Bars) -> Any:
    return series(bars).where(np.arange(len(bars)) % 2 == 1).interpolate(limit_direction="both")


def detrended(bars: Bars) -> Any:
    x = np.arange(len(bars))
    return bars.array["close"] - np.polyval(np.polyfit(x, bars.array["close"], 1), x)


def slice_one_too_long(bars: Bars) -> Any:
    close = bars.array["close"]
    return [close[max(0, i - 5) : i + 2].mean() for i in range(len(close))]


def trades_of_the_next_bar(bars: Bars) -> Any:
    return series(bars, "trades").shift(-1).fillna(0) > 200


def low_pass(bars: Bars) -> Any:
    spectrum = np.fft.rfft(bars.array["close"])
    spectrum[20:] = 0
    return np.fft.irfft(spectrum, len(bars))


def reads_a_global(bars: Bars) -> Any:
    return [np.sign(CLOSES[min(i + 1, len(CLOSES) - 1)] - CLOSES[i]) for i in range(len(bars))]


def reads_a_frame(bars: Bars) -> Any:
    return (FRAME["close"].shift(-1) > FRAME["close"]).iloc[: len(bars)]


def remembers(bars: Bars, history: Any = CLOSES) -> Any:
    return [history[min(i + 1, len(history) - 1)] > history[i] for i in range(len(bars))]


class PeeksThroughItsClass(ql.Strategy):
    """Keeps the whole history as an attribute of the class."""

    FUTURE = CLOSES

    def setup(self) -> None:
        self.at = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.at += 1
        if self.at < len(CLASS.FUTURE) and CLASS.FUTURE[self.at] > bar.close:
            broker.target_weight(0.5)
        else:
            broker.close()


CLASS = PeeksThroughItsClass


class PeeksThroughAGlobal(ql.Strategy):
    """Finds the whole history in its module."""

    def setup(self) -> None:
        self.at = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.at += 1
        if self.at < len(CLOSES) and CLOSES[self.at] > bar.close:
            broker.target_weight(0.5)
        else:
            broker.close()


class PeeksThroughItsState(ql.Strategy):
    """Copies the whole history into its state in setup."""

    def setup(self) -> None:
        self.at = 0
        self.future = np.append(CLOSES, CLOSES[-1])

    def on_bar(self, bar: Any, broker: Any) -> None:
        self.at += 1
        if self.future[self.at] > bar.close:
            broker.target_weight(0.5)
        else:
            broker.close()


def strategy_of_precomputed_signals(bars: Bars) -> Any:
    close = bars.array["close"]
    signals = np.append(np.sign(np.diff(close)), 0.0)

    class Follows(ql.Strategy):
        def setup(self) -> None:
            self.at = 0
            self.signals = signals

        def on_bar(self, bar: Any, broker: Any) -> None:
            if self.signals[self.at] > 0:
                broker.target_weight(0.5)
            else:
                broker.close()
            self.at += 1

    return Follows


SIGNALS = np.append(np.sign(np.diff(CLOSES)), 0.0)


class FollowsSignalsOfElsewhere(ql.Strategy):
    """Reads only this bar's row of a column that was made before, with the future in it."""

    def setup(self) -> None:
        self.at = 0

    def on_bar(self, bar: Any, broker: Any) -> None:
        if SIGNALS[self.at] > 0:
            broker.target_weight(0.5)
        else:
            broker.close()
        self.at += 1


NEXT, ALL = "next", "all"
LEAKY: list[tuple[Any, str, str]] = [  # rule, field it reads too early, how far
    (shift_the_wrong_way, "close", NEXT),
    (roll, "close", NEXT),
    (centred_window, "close", NEXT),
    (backward_fill, "close", NEXT),
    (pivot_high, "high", NEXT),
    (two_hour_bar_known_at_its_first_hour, "close", NEXT),
    (resample_label, "close", NEXT),
    (target_among_features, "close", NEXT),
    (central_difference, "close", NEXT),
    (smoothed_in_place, "close", NEXT),
    (fill_at_the_next_open, "open", NEXT),
    (stop_that_knows_the_next_low, "low", NEXT),
    (flat_before_a_gap, "time", NEXT),
    (interpolated, "close", NEXT),
    (slice_one_too_long, "close", NEXT),
    (trades_of_the_next_bar, "trades", NEXT),
    (strategy_of_precomputed_signals, "close", NEXT),
    (reads_a_global, "CLOSES", NEXT),
    (reads_a_frame, "FRAME", NEXT),
    (remembers, "remembers's default 1", NEXT),
    (PeeksThroughItsClass, "PeeksThroughItsClass.FUTURE", NEXT),
    (PeeksThroughAGlobal, "CLOSES", NEXT),
    (PeeksThroughItsState, "CLOSES", NEXT),
    (FollowsSignalsOfElsewhere, "SIGNALS", NEXT),
    (z_score_of_everything, "close", ALL),
    (share_of_the_maximum, "high", ALL),
    (rank_of_everything, "close", ALL),
    (scaler_fitted_on_everything, "volume", ALL),
    (filtered_there_and_back, "close", ALL),
    (quantile_of_everything, "close", ALL),
    (detrended, "close", ALL),
    (low_pass, "close", ALL),
    (flat_at_the_last_bar, "count", ALL),
]


# ---- honest rules ----


def rolling_mean(bars: Bars) -> Any:
    close = series(bars)
    return (close.rolling(5).mean() > close.rolling(20).mean()).astype(int)


def cumulative_mean(bars: Bars) -> Any:
    sums = np.cumsum(bars.array["close"])
    return np.concatenate((np.full(9, np.nan), (sums[9:] - np.concatenate(([0.0], sums[:-10]))) / 10))


def exponential(bars: Bars) -> Any:
    return series(bars).ewm(span=12).mean() - series(bars).ewm(span=26).mean()


def expanding_z_score(bars: Bars) -> Any:
    close = series(bars)
    return (close - close.expanding().mean()) / close.expanding().std()


def shift_the_right_way(bars: Bars) -> Any:
    return series(bars).pct_change().shift(1).fillna(0)


def two_hour_bar_known_when_it_is_over(bars: Bars) -> Any:
    close = series(bars)
    slow = close.resample("2h", closed="right", label="right").last()
    return slow[slow.index <= close.index[-1]].reindex(close.index, method="ffill")


def merged_backwards(bars: Bars) -> Any:
    fast = pd.DataFrame({"time": bars.array["close_time"], "close": bars.array["close"]})
    slow = fast.iloc[3::4].rename(columns={"close": "slow"})
    return pd.merge_asof(fast, slow, on="time", direction="backward")["slow"]


def running_drawdown(bars: Bars) -> Any:
    close = bars.array["close"]
    return close / np.maximum.accumulate(bars.array["high"]) - 1


def rank_within_a_window(bars: Bars) -> Any:
    return series(bars, "volume").rolling(20).rank(pct=True)


def filtered_window(bars: Bars) -> Any:
    close = bars.array["close"]
    return [
        np.fft.irfft(np.fft.rfft(close[i - 31 : i + 1])[:4], 32)[-1] if i >= 31 else np.nan for i in range(len(close))
    ]


def transformed_convolution(bars: Bars) -> Any:
    from scipy.signal import fftconvolve  # rounds differently with every input

    return fftconvolve(bars.array["close"], np.ones(10) / 10)[: len(bars)]


def confirmed_pivot(bars: Bars) -> Any:
    high = series(bars, "high")
    top = (high.shift(1) > high.shift(2)) & (high.shift(1) > high)
    return ["sell" if one else "hold" for one in top]


def seeded_chance(bars: Bars) -> Any:
    return np.random.default_rng(3).random(len(bars)) < 0.5


def forward_filled_gaps(bars: Bars) -> Any:
    return series(bars).where(np.arange(len(bars)) % 3 == 1).ffill()


def uses_a_table_row_by_row(bars: Bars) -> Any:
    return [CLOSES[i] > 100 for i in range(len(bars))]


def ranks_across_instruments(bars: Bars) -> Any:
    table = pd.DataFrame({"time": bars.array["close_time"], "close": bars.array["close"]})
    return table.groupby("time")["close"].rank()


class Trend(ql.Strategy):
    """Long above the average."""

    def setup(self) -> None:
        self.average = ql.SMA(10)

    def on_bar(self, bar: Any, broker: Any) -> None:
        mean = self.average.update(bar.close)
        if not self.average.ready:
            return
        if bar.close > mean and broker.is_flat:
            broker.target_weight(0.9)
        elif bar.close < mean and broker.is_long:
            broker.close()


HONEST: list[Any] = [
    rolling_mean, cumulative_mean, exponential, expanding_z_score, shift_the_right_way, two_hour_bar_known_when_it_is_over,
    merged_backwards, running_drawdown, rank_within_a_window, filtered_window, transformed_convolution, confirmed_pivot,
    seeded_chance, forward_filled_gaps, uses_a_table_row_by_row, Trend,
]  # fmt: skip
