"""Which kinds of models there are, and their parameters, checked."""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any

from quantlytic.learn.models.boosting import HistGradientBoosting, RandomForest
from quantlytic.learn.models.keras import Keras
from quantlytic.learn.models.lightgbm import LightGbm
from quantlytic.learn.models.linear import Linear, Logistic
from quantlytic.learn.models.mlp import Mlp
from quantlytic.learn.models.model import ModelKind, Params
from quantlytic.learn.models.neighbours import Neighbours
from quantlytic.learn.models.online import RiverLinear, RiverLogistic, RiverTree
from quantlytic.learn.models.own import OwnModel, is_own, own_model
from quantlytic.learn.models.torch import Torch
from quantlytic.model.errors import InputError

_ALL: tuple[ModelKind, ...] = (
    Linear(), Logistic(), LightGbm(), HistGradientBoosting(), RandomForest(), Mlp(), Keras(), Torch(), Neighbours(),
    RiverLogistic(), RiverLinear(), RiverTree(),
)  # fmt: skip
MODELS: dict[str, ModelKind] = {kind.name: kind for kind in _ALL}


def find_model(name: str, folder: Path | None = None) -> ModelKind:
    """The kind of that name, or a class of one's own ("path/to/file.py:ClassName", from `folder` on). InputError with the
    nearest name for an unknown one."""
    if is_own(name):
        return own_model(name, folder or Path())
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, 1)
        hint = (
            f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(sorted(MODELS))}, or file.py:Class"
        )
        raise InputError(f"there is no model {name!r}: {hint}")
    return MODELS[name]


def settled(kind: ModelKind, params: Params) -> dict[str, Any]:
    """The kind's parameters: its defaults, and over them those given. InputError for a name it does not have, a value that is
    not of the default's type, or, of a kind that is built in, a size below 1."""
    found = dict(kind.params)
    for name, value in params.items():
        if name not in found:
            close = difflib.get_close_matches(name, found, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(found) or 'no parameters'}"
            raise InputError(f"model {kind.name} has no parameter {name!r}: {hint}")
        default = found[name]
        fits = isinstance(value, (int, float) if isinstance(default, float) else type(default))
        if default is not None and (not fits or isinstance(value, bool) != isinstance(default, bool)):
            raise InputError(f"model {kind.name}: {name} is {_words(default)}, not {value!r}")
        _check_size(kind, name, default, value)
        found[name] = float(value) if isinstance(default, float) else value
    return found


def _check_size(kind: ModelKind, name: str, default: object, value: Any) -> None:
    if isinstance(kind, OwnModel):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"model {kind.name}: {name} is a finite number, not {value!r}")
        return
    if isinstance(default, int) and default > 0 and value < 1:
        raise InputError(f"model {kind.name}: {name} is 1 or more, not {value!r}")
    if isinstance(default, float) and not 0 <= value < float("inf"):
        raise InputError(f"model {kind.name}: {name} is 0 or more, not {value!r}")


def _words(value: object) -> str:
    return {float: "a number", int: "a whole number", bool: "true or false"}.get(type(value), "text")
