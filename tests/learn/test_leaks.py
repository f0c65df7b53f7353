"""Twelve planted leaks, each caught by its name; each has a twin that does the same without knowing the future, and is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.learn.made import MINUTE_NS, made_bars

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.samples import leaks
from quantlytic.learn.samples.folds import Fold, SplitSpec, folds_of
from quantlytic.learn.samples.leaks import find_column_leaks, find_fit_leaks, find_fold_leaks, find_leaks
from quantlytic.model.errors import InputError

ROWS = 300


def _frame() -> pl.DataFrame:
    bars, rng = made_bars(ROWS, seed=2).array, np.random.default_rng(7)
    funding = rng.normal(0.0, 1.0, ROWS)
    sparse = np.where(rng.random(ROWS) < 0.3, np.nan, rng.normal(5.0, 1.0, ROWS))
    split = np.ones(ROWS)
    split[[120, 240]] = 2.0
    return pl.DataFrame(
        {name: bars[name] for name in ("open", "high", "low", "close", "volume")}
        | {"ts": bars["open_time"], "funding": funding, "sparse": sparse, "split_ratio": split}
        | {"sector": rng.choice(["a", "b", "c"], ROWS), "label": (rng.random(ROWS) > 0.5) * 1.0}
    ).with_columns(pl.from_epoch("ts", time_unit="ns"), pl.col("sparse").fill_nan(None))


def _hours(frame: pl.DataFrame, label: str) -> Any:
    ten = frame.group_by_dynamic("ts", every="10m", label=label).agg(pl.col("close").last().alias("ten"))
    return frame.join_asof(ten, on="ts", strategy="backward").select("ten")


def _encoded(frame: pl.DataFrame, *, past: bool) -> Any:
    if not past:
        return frame.select(pl.col("label").mean().over("sector"))
    before = pl.col("label").shift(1, fill_value=0.0).cum_sum().over("sector")
    return frame.select(before / pl.int_range(1, pl.len() + 1).over("sector"))


def _adjusted(frame: pl.DataFrame, *, future: bool) -> Any:
    splits = frame["split_ratio"].to_numpy()
    after = np.append(np.cumprod(splits[::-1])[::-1][1:], 1.0)
    return frame["close"].to_numpy() / after if future else frame["close"].to_numpy() * np.cumprod(splits)


ROLLED = pl.col("close").rolling_mean(9)
PLANTED: list[tuple[str, str, Callable[[pl.DataFrame], Any], Callable[[pl.DataFrame], Any]]] = [
    (
        leaks.ONE_BAR,
        "close",
        lambda f: f.select(pl.col("close").shift(-1) / pl.col("close")),
        lambda f: f.select(pl.col("close") / pl.col("close").shift(1)),
    ),
    (
        leaks.CENTRED,
        "close",
        lambda f: f.select(pl.col("close").rolling_mean(9, center=True)),
        lambda f: f.select(ROLLED),
    ),
    (
        leaks.SCALING,
        "close",
        lambda f: f.select((pl.col("close") - pl.col("close").mean()) / pl.col("close").std()),
        lambda f: f.select((pl.col("close") - ROLLED) / pl.col("close").rolling_std(9)),
    ),
    (
        leaks.SCALING,
        "close",
        lambda f: f.select(pl.col("close") / pl.col("close").max()),
        lambda f: f.select(pl.col("close") / pl.col("close").cum_max()),
    ),
    (
        leaks.RANK,
        "close",
        lambda f: f.select(pl.col("close").rank() / pl.len()),
        lambda f: f.select((pl.col("close") > pl.col("close").shift(1)).cast(pl.Float64).rolling_mean(9)),
    ),
    (
        leaks.RANK,
        "volume",
        lambda f: np.searchsorted(np.quantile(f["volume"], [0.2, 0.4, 0.6, 0.8]), f["volume"]),
        lambda f: np.searchsorted([3.0, 5.0, 7.0, 9.0], f["volume"]),
    ),
    (
        leaks.JOIN,
        "funding",
        lambda f: f.select(pl.col("funding").shift(-1)),
        lambda f: f.select("funding"),
    ),
    (
        leaks.BACKFILL,
        "sparse",
        lambda f: f.select(pl.col("sparse").backward_fill()),
        lambda f: f.select(pl.col("sparse").forward_fill()),
    ),
    (leaks.RESAMPLED, "close", lambda f: _hours(f, "left"), lambda f: _hours(f, "right")),
    (leaks.TARGET, "label", lambda f: _encoded(f, past=False), lambda f: _encoded(f, past=True)),
    (leaks.ADJUSTED, "split_ratio", lambda f: _adjusted(f, future=True), lambda f: _adjusted(f, future=False)),
]


@pytest.mark.parametrize(
    ("name", "field", "leaky", "clean"), PLANTED, ids=[f"{one[0]} {k}" for k, one in enumerate(PLANTED)]
)
def test_planted_leaks_have_their_names(
    name: str, field: str, leaky: Callable[[pl.DataFrame], Any], clean: Callable[[pl.DataFrame], Any]
) -> None:
    for seed in range(3):
        found = find_leaks(leaky, _frame(), target="label", joined=["funding"], seed=seed)
        assert [(one.name, one.field) for one in found] == [(name, field)], f"seed {seed}: {found}"
        assert find_leaks(clean, _frame(), target="label", joined=["funding"], seed=seed) == []


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (leaks.LOOK_AHEAD, lambda x: np.append(x[5:], np.full(5, np.nan))),
        (leaks.CENTRED, lambda x: np.convolve(x, np.ones(101) / 101, "same")),
        (leaks.CENTRED, lambda x: pl.Series(x).rolling_max(9, center=True).to_numpy()),
        (leaks.CENTRED, lambda x: np.append(np.nan, np.append(x[2:] - x[:-2], np.nan))),
        (leaks.RESAMPLED, lambda x: x[np.minimum(np.arange(len(x)) // 100 * 100 + 99, len(x) - 1)]),
        (leaks.RESAMPLED, lambda x: np.maximum.reduceat(x, np.arange(0, len(x), 2)).repeat(2)[: len(x)]),
        (leaks.ONE_BAR, lambda x: np.append(np.nan, np.convolve(x, np.ones(5) / 5, "full")[2 : len(x) + 1])),
        (leaks.RANK, lambda x: np.argsort(np.argsort(np.diff(x, prepend=x[0]))).astype(float)),
        (leaks.SCALING, lambda x: (x - x.min()) / np.ptp(x)),
    ],
)
def test_other_shapes_of_leaks(name: str, rule: Callable[[np.ndarray], np.ndarray]) -> None:
    x = np.random.default_rng(11).normal(size=400)
    for seed in range(3):
        assert [one.name for one in find_leaks(lambda frame: rule(frame["x"]), {"x": x}, seed=seed)] == [name]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.integers(1, 20), st.integers(0, 5))
def test_what_looks_back_is_silent(seed: int, kind: int, window: int, shift: int) -> None:
    x = np.random.default_rng(seed).normal(size=120)

    def rule(frame: dict[str, np.ndarray]) -> Any:
        past = pl.DataFrame(frame).select(pl.col("x").shift(shift))
        column = pl.col("x")
        rolled = (
            column.rolling_mean(window),
            column.rolling_max(window),
            column.ewm_mean(span=window),
            column.cum_max(),
        )[kind]
        return past.select(rolled)

    assert find_leaks(rule, {"x": x}, seed=seed) == []


def test_labels_that_overlap_a_test() -> None:
    starts = np.arange(200) * MINUTE_NS
    ends = starts + 10 * MINUTE_NS
    parts = np.array_split(np.arange(200), 5)
    careless = [Fold(np.setdiff1d(np.arange(200), test), test) for test in parts]
    assert [one.name for one in find_fold_leaks(careless, starts, ends)] == [leaks.OVERLAP]
    for kind in ("walk_forward", "purged_kfold", "cpcv"):
        assert find_fold_leaks(folds_of(starts, ends, SplitSpec(kind, 5, 3)), starts, ends) == []


def test_a_shuffle() -> None:
    starts = np.arange(200) * MINUTE_NS
    order = np.random.default_rng(0).permutation(200)
    shuffled = [Fold(np.sort(order[50:]), np.sort(order[:50]))]
    assert [one.name for one in find_fold_leaks(shuffled, starts, starts)] == [leaks.SHUFFLE]
    assert find_fold_leaks([Fold(np.arange(150), np.arange(150, 200))], starts, starts) == []


def test_what_is_fitted_on_all_rows() -> None:
    rng = np.random.default_rng(3)
    x, y, train = rng.normal(size=(200, 30)), rng.normal(size=200), np.arange(120)

    def select(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.sort(np.argsort(-np.abs(x[rows].T @ y[rows]))[:5])

    def scale(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return (x - x[rows].mean(axis=0)) / x[rows].std(axis=0)

    def encode(x: np.ndarray, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
        up = x[:, 0] > 0.0
        means = [y[rows][up[rows] == flag].mean() for flag in (False, True)]
        return np.where(up, means[1], means[0])

    for fit, name in ((select, leaks.SELECTION), (scale, leaks.SCALING), (encode, leaks.TARGET)):
        leaky = find_fit_leaks(lambda x, y, _, fit=fit: fit(x, y, np.arange(200)), x, y, train)
        assert name in [one.name for one in leaky]
        assert find_fit_leaks(fit, x, y, train) == []


def test_a_set_of_features_is_clean() -> None:
    bars = Bars.merge([made_bars(100, "x:A", 1), made_bars(100, "x:B", 2)])
    specs = [
        FeatureSpec("r", "return"),
        FeatureSpec("z", "zscore", {"period": 5}, of="r"),
        FeatureSpec("rank", "rank", of="r"),
    ]
    assert FeatureSet(specs, bars.instruments, MINUTE_NS).leaks(bars) == []
    found = find_leaks(lambda bars: np.append(bars.array["close"][1:], np.nan), made_bars(100))
    assert [(one.name, one.field) for one in found] == [(leaks.ONE_BAR, "close")]
    assert "the next row" in found[0].why


def test_knowing_how_many_rows_there_are() -> None:
    found = find_leaks(
        lambda frame: np.arange(len(frame["x"])) / len(frame["x"]), {"x": np.random.default_rng(0).random(80)}
    )
    assert [(one.name, one.field) for one in found] == [(leaks.SCALING, leaks.COUNT)]


def test_finished_columns() -> None:
    bars = made_bars(200)
    close = bars.array["close"]
    step = np.append(np.nan, np.diff(np.log(close)))
    clean = {"r": step, "ma": np.convolve(close, np.ones(5) / 5, "full")[:200], "close": close}
    assert find_column_leaks(pl.DataFrame(clean), bars) == []
    leaky = {
        "next": np.append(close[1:], np.nan),
        "forward": np.append(step[1:], np.nan),
        "scaled": (close - close.mean()) / close.std(),
        "ranked": np.argsort(np.argsort(close)) / 200.0,
    }
    names = {one.field: one.name for one in find_column_leaks(leaky, bars)}
    assert names == {"next": leaks.ONE_BAR, "forward": leaks.ONE_BAR, "scaled": leaks.SCALING, "ranked": leaks.RANK}


def test_says_what_is_wrong() -> None:
    data = {"x": np.arange(50.0)}
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="other numbers on the same data"):
        find_leaks(lambda frame: frame["x"] + rng.random(50), data)
    with pytest.raises(InputError, match="returned 49 rows for 50"):
        find_leaks(lambda frame: frame["x"][1:], data)
    with pytest.raises(InputError, match="no column 'y'"):
        find_leaks(lambda frame: frame["x"], data, target="y")
    with pytest.raises(InputError, match="at least 40"):
        find_leaks(lambda frame: frame["x"], {"x": np.arange(5.0)})
    with pytest.raises(InputError, match="not in a int"):
        find_leaks(lambda frame: frame, 5)
