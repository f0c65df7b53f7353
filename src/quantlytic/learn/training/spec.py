"""What is to be trained: one TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec, WeightSpec
from quantlytic.learn.models.catalogue import find_model, settled
from quantlytic.learn.models.model import RETURN, UP, ModelKind
from quantlytic.learn.models.own import OwnModel
from quantlytic.learn.samples.folds import SplitSpec
from quantlytic.learn.training.scores import METRICS
from quantlytic.learn.training.specplace import placed
from quantlytic.model.errors import InputError
from quantlytic.model.time import duration_ns

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
Value = bool | int | float | str


class SourceSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`source`: a file of bars, from the spec's folder, or "lake". `symbols`: those of the file, or instruments of the lake; all
    of the file's when empty. `pooled`: one model of all of them; else one each. `gaps`: as `FeatureSet` takes it."""

    source: str
    symbols: tuple[str, ...] = ()
    bar_size: str = ""
    start: str = ""
    end: str = ""
    pooled: bool = True
    gaps: str = "refuse"


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`kind`: of the catalogue of models, or a class of one's own, "path/to/file.py:ClassName", from the spec's folder on;
    `params`: what is not to be its default."""

    kind: str
    params: dict[str, Value] = {}


class Axis(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Values of a parameter to try: from `low` to `high` (both included; evenly in the logarithm for `log`), or `choices`."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: tuple[Value, ...] = ()


class SearchSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`trials` settings of the axes `params` are tried; the best mean of `metric` over the folds is taken. `metric` "" is
    "log_loss" for probabilities and "mse" for returns."""

    params: dict[str, Axis]
    trials: int = 20
    metric: str = ""


class TrainSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`signal`: of the label "meta", the feature whose sign is the side that was taken. `max_age`: a duration ("30d") after the
    end of its data, when a model is too old to forecast; "" for never."""

    name: str
    data: SourceSpec
    features: tuple[FeatureSpec, ...]
    model: ModelSpec
    seed: int = 1
    label: LabelSpec = LabelSpec()
    weights: WeightSpec = WeightSpec()
    split: SplitSpec = SplitSpec()
    search: SearchSpec | None = None
    signal: str = ""
    max_age: str = ""

    @property
    def task(self) -> str:
        """What is forecast: `UP` or `RETURN`."""
        return RETURN if self.label.kind == "forward_return" else UP

    @property
    def metric(self) -> str:
        """What settings are compared by."""
        chosen = "" if self.search is None else self.search.metric
        return chosen or ("mse" if self.task == RETURN else "log_loss")

    @property
    def max_age_s(self) -> int:
        """Seconds; 0 for never."""
        return duration_ns(self.max_age) // 1_000_000_000 if self.max_age else 0


_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "": TrainSpec, "data": SourceSpec, "features": FeatureSpec, "label": LabelSpec, "weights": WeightSpec,
    "split": SplitSpec, "model": ModelSpec, "search": SearchSpec, "search.params": Axis,
}  # fmt: skip


def read_spec(path: Path) -> TrainSpec:
    """The spec in a file. InputError, with the line where that can be told, for what it cannot mean."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no spec {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    try:
        return parse_spec(text, path.parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse_spec(text: str, folder: Path | None = None) -> TrainSpec:
    """The spec in a text of TOML. `folder`: where its paths begin."""
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"this is no TOML: {error}") from None
    try:
        spec = msgspec.convert(given, TrainSpec)
    except msgspec.ValidationError as error:
        raise InputError(_told(str(error), text)) from None
    try:
        check_spec(spec, folder)
    except InputError as error:
        raise InputError(placed(str(error), text)) from None
    return spec


def check_spec(spec: TrainSpec, folder: Path | None = None) -> None:
    """Raise InputError for names that are not there and numbers that cannot be, before anything is computed."""
    if not _NAME.fullmatch(spec.name):
        raise InputError(f"name is made of letters, digits, '.', '_' and '-', not {spec.name!r}")
    if not spec.features:
        raise InputError("there are no features: write at least one [[features]]")
    if (spec.label.kind == "meta") != bool(spec.signal):
        raise InputError(
            'label "meta" needs `signal`, the name of the feature whose sign is the side; other labels have none'
        )
    if spec.data.source == "lake" and not (spec.data.symbols and spec.data.bar_size):
        raise InputError('[data] source = "lake" needs symbols (such as "binance:BTCUSDT") and bar_size')
    kind = find_model(spec.model.kind, folder)
    if spec.task not in kind.tasks:
        what = "a return" if spec.task == RETURN else "a direction"
        raise InputError(
            f"model {kind.name} cannot forecast {what}, as label {spec.label.kind!r} asks: take another model"
        )
    settled(kind, spec.model.params)
    if spec.metric not in METRICS[spec.task]:
        raise InputError(f"[search] metric is one of {', '.join(METRICS[spec.task])}, not {spec.metric!r}")
    if spec.search is not None:
        _check_search(spec.search, kind)
    if isinstance(kind, OwnModel):
        given = {*spec.model.params, *(spec.search.params if spec.search else ())}
        for name in kind.needed:
            if name not in given:
                raise InputError(f"model {kind.name} needs the parameter {name!r}: [model] params = {{{name} = ...}}")
    _ = spec.max_age_s


def _check_search(search: SearchSpec, kind: ModelKind) -> None:
    if search.trials < 1:
        raise InputError(f"[search] trials is 1 or more, not {search.trials}")
    for name, axis in search.params.items():
        if axis.choices:
            ends: tuple[Any, ...] = axis.choices
        elif axis.low is None or axis.high is None or not axis.low <= axis.high:
            raise InputError(f"[search.params] {name} needs choices, or low and high with low at most high")
        else:
            ends = (axis.low, axis.high)
            if axis.log and axis.low <= 0:
                raise InputError(f"[search.params] {name} is searched by its logarithm: low must be above 0")
        for value in ends:
            settled(kind, {name: value})


def _told(message: str, text: str) -> str:
    """What msgspec says, with the section, the nearest name and the line."""
    place = re.search(r" - at `\$\.?([^`]*)`", message)
    section = "" if place is None else re.sub(r"\[[^\]]*\]", "", place[1])
    where = f"[{section}] " if section else ""
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if unknown is None:
        return placed(where + message.split(" - at ", maxsplit=1)[0], text)
    name = unknown[1]
    known = msgspec.structs.fields(_SECTIONS.get(section, TrainSpec))
    close = difflib.get_close_matches(name, [one.name for one in known], 1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(one.name for one in known)}"
    lines = [
        number for number, line in enumerate(text.splitlines(), 1) if re.search(rf"(?<!\w){re.escape(name)}\b", line)
    ]
    line = f"line {lines[0]}: " if lines else ""
    return f"{line}{where}has no {name!r}: {hint}" if where else f"{line}there is no {name!r} here: {hint}"
