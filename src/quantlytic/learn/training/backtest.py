"""A model's forecasts put into bars, and what a strategy that follows them makes of them after costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.live.staleness import expires_at
from quantlytic.learn.models.model import RETURN
from quantlytic.learn.registry.artifact import Artifact, Manifest
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.samples.inputs import Values, complete, inputs_of
from quantlytic.learn.samples.problem import bar_size_of
from quantlytic.learn.training.train import Trained
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import duration_ns, duration_text, iso
from quantlytic.research.honesty.verdict import Verdict, verdict, verdict_of
from quantlytic.research.runs.run import Result, backtest
from quantlytic.research.runs.runfolder import trial_of
from quantlytic.strategies.ml_signal import MLSignal

COST_BPS = 10.0
"""What each fill costs unless told otherwise."""
CASH = 100_000.0

_WEIGHT = 0.95
_CERTAIN_BPS = 200.0  # of forecasts of returns: only the unit that thresholds are in
_LEAST_MARGIN, _MOST_MARGIN = 0.001, 0.3  # of a threshold from one half
_FEW = 100  # returns of an instrument


# ---- a model over bars


def forecast_bars(bars: Bars, artifact: Artifact, *, in_sample: bool = False, folder: Path | None = None) -> Bars:
    """The bars with the model's forecasts, as it would have given them live: none before the end of the data it learned from
    (unless `in_sample`, and then they know the future), none when it was too old, none while features warm up, none for
    instruments it was not trained on. Those are matched by symbol; what was forecast before stays where it has nothing to say.

    `folder`: where paths to features of one's own begin. Raises InputError when it knows none of the instruments, DataError for
    bars of another size, for features that are computed otherwise than in training, and for a damaged model.
    """
    manifest, model = artifact.manifest, ServedModel(artifact)
    model.golden()
    own, rows = _as_trained(bars, manifest)
    features = _features(manifest, folder)
    inputs = inputs_of(features.table(own).values)
    given = complete(inputs) & _in_force(own, manifest, in_sample)
    values = bars.array["forecast"].copy()
    if given.any():
        values[rows[given]] = model.predict(inputs[given])
    told = bars.with_forecasts(values)
    before = dict(bars.source).get("forecasts", [])
    sentence = _sentence(manifest, own, given, in_sample)
    note = {"model": artifact.model_id, "task": manifest.task, "in_sample": in_sample, "sentence": sentence}
    label = f"{bars.label or 'bars'}, forecasts of {artifact.model_id[:12]}{' (in sample)' if in_sample else ''}"
    return Bars(told.array, bars.instruments, label, {**bars.source, "forecasts": [*before, note]})


def _as_trained(bars: Bars, manifest: Manifest) -> tuple[Bars, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """The bars of the instruments that the model knows, under the ids it knows them by, and their rows."""
    short, size = manifest.model_id[:12], bar_size_of(bars.array) if len(bars) else 0
    if len(bars) and duration_ns(manifest.data.bar_size) != size:
        raise DataError(f"model {short} was trained on bars of {manifest.data.bar_size}, not of {duration_text(size)}")
    trained = {one.partition(":")[2]: Instrument(one) for one in manifest.data.instruments}
    known = [k for k, one in enumerate(bars.instruments) if one.symbol in trained]
    if not known:
        there = ", ".join(one.symbol for one in bars.instruments)
        raise InputError(f"model {short} was trained on {', '.join(trained)}, none of {there}")
    number = np.full(len(bars.instruments), -1)
    number[known] = np.arange(len(known))
    rows = np.flatnonzero(number[bars.array["instrument"]] >= 0)
    array = bars.array[rows]
    array["instrument"] = number[array["instrument"]]
    return Bars(array, tuple(trained[bars.instruments[k].symbol] for k in known), bars.label), rows


def _features(manifest: Manifest, folder: Path | None) -> FeatureSet:
    """As the model is served: where training would have refused a hole, features begin anew after it."""
    trained = tuple(Instrument(one) for one in manifest.data.instruments)
    gaps, size = manifest.spec.get("data", {}).get("gaps", "refuse"), duration_ns(manifest.data.bar_size)
    features = FeatureSet(manifest.features, trained, size, gaps=gaps, folder=folder)
    short = manifest.model_id[:12]
    if features.graph.events:
        words = " and ".join(f"{word}s" for word in sorted(features.graph.events))
        raise DataError(f"model {short} has features of {words}, which bars alone do not hold")
    if features.names != manifest.columns or features.code_hash != manifest.code_hash:
        raise DataError(
            f"model {short} was trained with other code of its features than is here now: train it again, or run the version "
            "of Quantlytic (and of features of your own) that it was trained with"
        )
    if gaps == "refuse":
        return FeatureSet(manifest.features, trained, size, gaps="restart", folder=folder)
    return features


def _in_force(bars: Bars, manifest: Manifest, in_sample: bool) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The bars after which the model is old enough to be there and young enough to be asked."""
    times, until = bars.array["close_time"], expires_at(manifest)
    found = np.ones(len(bars), np.bool_) if in_sample else times > manifest.data.end_ns
    return found if until is None else found & (times <= until)


def _sentence(manifest: Manifest, bars: Bars, given: np.ndarray[Any, np.dtype[np.bool_]], in_sample: bool) -> str:
    seen = int((bars.array["close_time"] <= manifest.data.end_ns).sum())
    learned = f"It learned from data up to {iso(manifest.data.end_ns)[:16]}"
    if not in_sample:
        rest = (
            f"{learned}: the {seen:,} bars until then have no forecast." if seen else f"{learned}, before these bars."
        )
    elif seen:
        rest = (
            f"{learned}, so that {seen:,} of the bars are ones it may have seen: what is shown for them is no evidence."
        )
    else:
        rest = f"{learned}, before these bars."
    until = expires_at(manifest)
    late = 0 if until is None else int((bars.array["close_time"] > until).sum())
    if until is not None and late:
        rest += f" It was good until {iso(until)[:16]} (max_age): the {late:,} bars after that have none either."
    return (
        f"Forecasts are those of model {manifest.model_id[:12]} ({manifest.kind}, {manifest.line}), for {int(given.sum()):,} of "
        f"{len(bars):,} bars. {rest}"
    )


# ---- a model that was just trained


@dataclass(frozen=True)
class TrainedBacktest:
    """`result`: `ml-signal` over the forecasts out of sample, after costs; `verdict`: real or luck, `trials` of the ledger
    counted; `sentences`: how it was done."""

    result: Result
    verdict: Verdict
    sentences: tuple[str, ...]

    @property
    def summary(self) -> dict[str, Any]:
        """Ready for JSON: verdict, parameters and the figures that matter most."""
        figures = self.result.metrics
        names = ("total_return", "sharpe", "max_drawdown", "round_trips", "fees_paid", "exposure", "turnover")
        return {
            "verdict": self.verdict.to_dict(),
            "params": self.result.strategy.params,
            "fee_bps": self.result.market.fees.taker_bps,
            **{name: figures.get(name) for name in names},
        }


def trained_backtest(
    trained: Trained,
    cost_bps: float = COST_BPS,
    *,
    home: Path | None = None,
    now_ns: int = 0,
    short: bool = False,
    compiled: bool = True,
) -> TrainedBacktest | None:
    """What following the model's forecasts out of sample would have earned, after `cost_bps` a fill; None where no bar has one.

    A position is taken where the forecast is worth more than a way in and out costs, and left where it is worth nothing, after
    the label's horizon at the earliest: nothing is chosen by what came out. With `home`, the trial is entered in the ledger of
    that data folder (at `now_ns`), and the verdict counts all that were made on data like this, the settings tried included;
    else those settings alone.
    """
    told = _told_bars(trained)
    if told is None:
        return None
    params = _params(trained, cost_bps, short)
    market = Market(Fees(maker_bps=cost_bps, taker_bps=cost_bps), allow_short=short)
    result = backtest(
        MLSignal(**params), told, CASH, market=market, compiled=compiled, allow_gaps=True, allow_splits=True,
        name="ml-signal",
    )  # fmt: skip
    if home is None:
        judged = verdict(result, trials=len(trained.trials) + 1)
    else:
        _enter(trained, result, home, now_ns)
        judged = verdict_of(result, home)
    return TrainedBacktest(result, judged, tuple(_sentences(trained, params, cost_bps)))


def _told_bars(trained: Trained) -> Bars | None:
    """The bars from the first forecast on to the last one; a side's forecast where the label is that of a side."""
    values = _of_a_rise(trained)
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return None
    bars = trained.bars.with_forecasts(values)
    times = bars.array["close_time"]
    return bars.between(int(times[known[0]]), int(times[known[-1]]) + 1)


def _of_a_rise(trained: Trained) -> Values:
    """`by_bar`, or, of meta-labels, what it says of a rise: the signal's side at the probability that it pays, else a half."""
    signal = trained.manifest.spec.get("signal", "")
    if not signal:
        return trained.by_bar
    problem, column = trained.problem, trained.manifest.columns.index(signal)
    side = np.zeros(len(trained.bars))
    side[problem.rows] = np.sign(problem.inputs[:, column])
    side[problem.silent] = np.sign(problem.silent_inputs[:, column])
    return np.where(np.isnan(trained.by_bar), np.nan, 0.5 + side * np.maximum(trained.by_bar - 0.5, 0.0))


def _params(trained: Trained, cost_bps: float, short: bool) -> dict[str, int | float | bool]:
    """Of `ml-signal`: in where (2 p - 1) times a usual move over the horizon, or the return, is above two fills' costs."""
    horizon, returns = max(trained.manifest.horizon, 1), trained.manifest.task == RETURN
    unit_bps = _CERTAIN_BPS if returns else _move_bps(trained) * math.sqrt(horizon)
    margin = min(max(cost_bps / unit_bps, _LEAST_MARGIN), _MOST_MARGIN) if unit_bps > 0.0 else _MOST_MARGIN
    return {
        "up": 0.5 + margin, "down": 0.5 - margin, "band": min(margin, 0.2), "hold": min(horizon, 200), "returns": returns,
        "certain_bps": _CERTAIN_BPS, "weight": max(_WEIGHT / len(trained.bars.instruments), 0.05), "short": short,
    }  # fmt: skip


def _move_bps(trained: Trained) -> float:
    """Standard deviation of a bar's log return, in bps, before the first forecast (over all bars where too few come before)."""
    array = trained.bars.array
    first = int(np.argmax(~np.isnan(trained.by_bar)))
    part = array[:first] if first > _FEW * len(trained.bars.instruments) else array
    moves = [np.diff(np.log(part["close"][part["instrument"] == k])) for k in range(len(trained.bars.instruments))]
    every = np.concatenate(moves)
    return float(every.std()) * 10_000.0 if len(every) else 0.0


def _sentences(trained: Trained, params: dict[str, int | float | bool], cost_bps: float) -> list[str]:
    manifest = trained.manifest
    margin = float(params["up"]) - 0.5
    if manifest.task == RETURN:
        what = f"a return of {2.0 * margin * _CERTAIN_BPS:.3g} bps or more"
    else:
        what = f"a probability of {params['up']:.3f} or more"
    sides = "long, or short where it is as sure of a fall" if params["short"] else "long"
    found = [
        f"ml-signal: {sides} at {what}, the forecast that is worth two fills of {cost_bps:g} bps; out once it is worth nothing, "
        f"after {params['hold']} bars at the earliest."
    ]
    split = manifest.spec.get("split", {}).get("kind", "walk_forward")
    if split == "walk_forward":
        found.append("Each forecast is by a model that learned from earlier bars alone.")
    else:
        found.append(
            f"Folds are {split}: forecasts are by models that had not seen these bars, but had seen later ones; walk_forward is "
            "nearer to what would have been earned."
        )
    if len(trained.trials) > 1:
        found.append(
            f"The settings are the best of {len(trained.trials)} on these same folds, which flatters them: the verdict counts "
            "the trials."
        )
    return found


def _enter(trained: Trained, result: Result, home: Path, now_ns: int) -> None:
    """In the trial ledger, once."""
    from quantlytic.store.control import open_control

    trial = msgspec.structs.replace(trial_of(result, now_ns), strategy=f"train:{trained.manifest.line}")
    with open_control(home) as control:
        if trial.tried not in {one.tried for one in control.trials.list(trial.data)}:
            control.trials.add([trial])
