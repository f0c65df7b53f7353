"""The page about a model that was trained: one HTML file that needs nothing else."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from quantlytic.learn.models.model import UP
from quantlytic.learn.pages.tradedpart import traded_part
from quantlytic.learn.samples.regimes import regimes_of
from quantlytic.learn.training.backtest import TrainedBacktest
from quantlytic.learn.training.importance import importance_of
from quantlytic.learn.training.scores import METRICS, Bin, calibration, scores_of
from quantlytic.learn.training.train import Trained
from quantlytic.learn.training.tune import one_thread
from quantlytic.model.time import iso
from quantlytic.research.pages.htmlpage import asset, write_page
from quantlytic.research.pages.report import report_html

_BACKTEST = "backtest.html"
_SHOWN = 10
_LEFT, _BOTTOM, _WIDE, _TALL = 44.0, 240.0, 240.0, 230.0  # of the calibration's picture


def write_train_page(
    trained: Trained, path: Path, traded: TrainedBacktest | None = None, *, counted: bool = False
) -> Path:
    """Write the page to `path`, whole or not at all, and the back-test's own beside it as `backtest.html`. `counted`: its
    verdict counts the trial ledger's trials. Raises InputError when they cannot be written there."""
    if traded is not None:
        write_page(report_html(traded.result, traded.verdict if counted else None), path.with_name(_BACKTEST), "report")
    return write_page(train_html(trained, traded, counted=counted, report=_BACKTEST), path, "report")


def train_html(
    trained: Trained, traded: TrainedBacktest | None = None, *, counted: bool = False, report: str = ""
) -> str:
    """The page as text; the same model gives the same bytes."""
    manifest, problem = trained.manifest, trained.problem
    labels = problem.labels[trained.tested]
    data = manifest.data
    metric = _metric(trained)
    page: dict[str, Any] = {
        "title": f"{manifest.line}: {manifest.kind}",
        "css": asset("report.css"),
        "model_id": manifest.model_id[:12],
        "period": f"{_minute(data.start_ns)} – {_minute(data.end_ns)}",
        "instruments": ", ".join(one.rpartition(":")[2] for one in data.instruments),
        "bar_size": data.bar_size,
        "params": [
            *((name, _figure(value)) for name, value in manifest.params.items()),
            ("label", manifest.label.kind),
            ("horizon", manifest.horizon),
        ],
        "sentence": _sentence(trained),
        "traded": None if traded is None else traded_part(traded, counted, report),
        "progressive": _progressive(trained),
        "rows": f"{data.rows:,}",
        "dropped": f"{data.dropped:,}",
        "trials": f"{len(trained.trials)} settings were tried." if trained.trials else "No settings were searched.",
        "scores": [(_label(name), _figure(value)) for name, value in manifest.scores.items()],
        "share": "up" if manifest.task == UP else "above 0",
        "parts": _parts(trained),
        "metric": _label(metric),
        "importance": _importance(trained, metric),
        "gate": _gate(trained),
        "bins": [],
    }
    if manifest.task == UP:
        bins = calibration(trained.forecast, labels)
        page |= _calibration(bins) | {"confusion": _confusion(trained.forecast, labels)}
    return _template().render(page | _tried(trained, metric))


def _sentence(trained: Trained) -> str:
    """What the scores come to, against the forecast that knows nothing."""
    scores, manifest = trained.manifest.scores, trained.manifest
    labels = trained.problem.labels[trained.tested]
    if manifest.task == UP:
        base = float((labels > 0).mean())
        known = -(base * np.log(base) + (1 - base) * np.log1p(-base)) if 0 < base < 1 else 0.0
        loss = scores["log_loss"] or 0.0
        better = "better" if loss < known else "worse"
        return f"Log loss {loss:.4f}: {better} than always saying {base:.3f}, how often it went up ({known:.4f})."
    r_squared = scores["r_squared"]
    if r_squared is None:
        return "Nothing moved in what it was tested on."
    return f"R² {r_squared:.4f}: {'better' if r_squared > 0 else 'worse'} than always forecasting 0."


def _progressive(trained: Trained) -> str:
    """What an online learner would have scored had it gone on learning."""
    if trained.progressive is None:
        return ""
    words = ", ".join(f"{_label(name)} {_figure(value)}" for name, value in trained.progressive.items())
    return (
        f"Had it gone on learning, each label as it came to be known, the same rows would have scored: {words}. What is served "
        "does not learn: train it again, or let the trainer do so."
    )


def _parts(trained: Trained) -> list[dict[str, Any]]:
    """A line a fold, a regime, and an instrument where there are several."""
    problem, bars = trained.problem, trained.bars
    times = bars.array["close_time"][problem.rows]
    found = []
    for number, fold in enumerate(problem.folds):
        one = _part(f"fold {number + 1}", times[fold.test], problem.labels[fold.test], None, "")
        found.append(one | {"scores": [_figure(value) for value in trained.by_fold[number].values()]})
    rows, labels = problem.rows[trained.tested], problem.labels[trained.tested]
    masks = regimes_of(bars, rows)
    if len(bars.instruments) > 1:
        index = bars.array["instrument"][rows]
        masks |= {one.id.rpartition(":")[2]: index == k for k, one in enumerate(bars.instruments)}
    for name, mask in masks.items():
        if mask.any():
            forecast = trained.forecast[mask]
            found.append(_part(name, times[trained.tested][mask], labels[mask], forecast, trained.manifest.task))
    return found


def _part(
    name: str, times: NDArray[np.int64], labels: NDArray[np.float64], forecast: NDArray[np.float64] | None, task: str
) -> dict[str, Any]:
    scores = {} if forecast is None else scores_of(forecast, labels, task)
    return {
        "name": name,
        "start": iso(int(times[0]))[:10],
        "end": iso(int(times[-1]))[:10],
        "rows": f"{len(labels):,}",
        "share": f"{float((labels > 0).mean()):.1%}",
        "scores": [_figure(value) for value in scores.values()],
    }


def _importance(trained: Trained, metric: str) -> list[dict[str, Any]]:
    """In the last fold, by a model of its training rows."""
    manifest, problem = trained.manifest, trained.problem
    fold = problem.folds[-1]
    with one_thread():
        fitted = trained.kind.fit(
            problem.inputs[fold.train], problem.labels[fold.train], problem.weights[fold.train], manifest.seed,
            manifest.params, manifest.task,
        )  # fmt: skip
        found = importance_of(
            fitted, problem.inputs[fold.test], problem.labels[fold.test], problem.columns, manifest.task, metric,
            manifest.seed,
        )  # fmt: skip
    most = max((one.worse for one in found), default=0.0)
    return [
        {
            "column": one.column, "worse": f"{one.worse:+.2g}", "deviation": f"{one.deviation:.1g}",
            "own": "–" if one.own is None else f"{one.own:.1%}",
            "width": 0 if most <= 0 else round(100 * max(one.worse, 0.0) / most),
        }
        for one in found
    ]  # fmt: skip


def _calibration(bins: list[Bin]) -> dict[str, Any]:
    values = [value for one in bins for value in (one.forecast, one.happened)]
    low, high = np.floor(min(values) * 20) / 20, np.ceil(max(values) * 20) / 20
    span = float(high - low) or 1.0
    return {
        "bins": [
            (
                round(_LEFT + _WIDE * (one.forecast - float(low)) / span, 1),
                round(_BOTTOM - _TALL * (one.happened - float(low)) / span, 1),
            )
            for one in bins
        ],
        "low": f"{low:.0%}",
        "high": f"{high:.0%}",
        "calibration_words": "; ".join(f"said {one.forecast:.1%}, happened {one.happened:.1%}" for one in bins),
    }


def _confusion(forecast: NDArray[np.float64], labels: NDArray[np.float64]) -> list[tuple[str, str, str]]:
    said = forecast > 0.5
    return [
        (name, f"{int((mask & (labels <= 0)).sum()):,}", f"{int((mask & (labels > 0)).sum()):,}")
        for name, mask in (("said down", ~said), ("said up", said))
    ]


def _tried(trained: Trained, metric: str) -> dict[str, Any]:
    sign = -1.0 if METRICS[trained.manifest.task][metric][1] else 1.0
    whole = sorted((one for one in trained.trials if not one.pruned), key=lambda one: (sign * one.score, one.number))
    searched = sorted(whole[0].params) if whole else []
    return {
        "searched": searched,
        "tried_count": len(trained.trials),
        "pruned": len(trained.trials) - len(whole),
        "tried": [
            {
                "number": one.number,
                "settings": [_figure(one.params[name]) for name in searched],
                "score": _figure(one.score),
            }
            for one in whole[:_SHOWN]
        ],
    }


def _gate(trained: Trained) -> str:
    gate, manifest = trained.gate, trained.manifest
    if gate is None:
        return f"There is none: {trained.not_kept}."
    on = f", {gate.on_thresholds:,} of them on or beside a threshold of its trees" if gate.on_thresholds else ""
    return (
        f"{manifest.file}, SHA-256 {manifest.file_sha256[:12]}…, was asked {gate.rows:,} rows{on}, and gave the trained "
        f"model's answers, {gate.worst:.1g} apart at most (1e-06 is allowed). Features go in as float32."
    )


def _metric(trained: Trained) -> str:
    chosen = trained.manifest.spec.get("search", {}).get("metric", "")
    return chosen or next(iter(METRICS[trained.manifest.task]))


def _label(name: str) -> str:
    return name.replace("_", " ")


def _minute(time_ns: int) -> str:
    return iso(time_ns)[:16].replace("T", " ")


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "–" if value is None else str(value)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    text = (resources.files("quantlytic.learn.pages") / "train.html").read_text(encoding="utf-8")
    return environment.from_string(text)
