"""A model of one's own: a class with `fit(rows, labels)` and `predict(rows)`, as scikit-learn's have them, in a file.

    [model]
    kind = "my_model.py:MyModel"
    params = {depth = 3}

`rows` are f8[n, k] (numbers that float32 can hold), as they are: scaling is the class's own business. Its file is one: what
lies beside it is not taken along to the machines of a cluster. For a direction `predict_proba(rows)` gives the probability, or
`predict(rows)` a number of 0 to 1. A parameter `random_state` or `seed` is given the spec's seed; `fit` is given `sample_weight`
where it takes it. `to_onnx()` gives the file that is served (bytes, or an ONNX model); estimators of scikit-learn need none.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from quantlytic.learn.models.foreign import served_file, sklearn_file
from quantlytic.learn.models.model import RETURN, UP, CannotExport, Params, Thresholds
from quantlytic.learn.samples.inputs import Inputs, Values
from quantlytic.model.errors import InputError, QuantlyticError

_SEEDS = ("random_state", "seed")
_PLAIN = (bool, int, float, str)


def is_own(kind: str) -> bool:
    """Whether a model's kind names a class in a file."""
    return kind.rpartition(":")[0].endswith(".py")


def own_model(kind: str, folder: Path) -> OwnModel:
    """The class that "path/to/file.py:ClassName" names; the path begins in `folder`. InputError when it is not there."""
    path, _, member = kind.rpartition(":")
    try:
        source = (folder / path).read_bytes()
    except OSError:
        raise InputError(
            f"there is no file {folder / path}: a model of your own is written as path/to/file.py:ClassName"
        ) from None
    found = OwnModel(kind, member, source)
    found.check()
    return found


@dataclass(frozen=True)
class OwnModel:
    """The class `member` of the file with that `source`: no more than text, so that any process can learn with it."""

    name: str
    member: str
    source: bytes

    tasks: ClassVar[tuple[str, ...]] = (UP, RETURN)

    @property
    def source_hash(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def params(self) -> dict[str, Any]:
        """What it can be given: numbers, text, true or false, or None where there is no default."""
        found = {}
        for name, one in _parameters(self.make).items():
            default = None if one.default is one.empty else one.default
            if name not in _SEEDS and (default is None or isinstance(default, _PLAIN)):
                found[name] = default
        return found

    @property
    def needed(self) -> list[str]:
        """Parameters without a default."""
        return [name for name, one in _parameters(self.make).items() if one.default is one.empty and name not in _SEEDS]

    @property
    def make(self) -> Callable[..., Any]:
        """The class."""
        found = getattr(_module(self.name, self.source), self.member, None)
        if not callable(found):
            names = [name for name, value in vars(_module(self.name, self.source)).items() if inspect.isclass(value)]
            close = difflib.get_close_matches(self.member, names, 1) or names[:1]
            hint = f": did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{self.name.rpartition(':')[0]} has no class {self.member!r}{hint}")
        return found  # type: ignore[no-any-return]

    def check(self) -> None:
        """Raise InputError for what is no model."""
        made = self.make
        for method in ("fit", "predict"):
            if inspect.isclass(made) and not callable(getattr(made, method, None)):
                raise InputError(f"model {self.name}: it has no method {method}(rows{', labels' * (method == 'fit')})")

    def fit(self, inputs: Inputs, labels: Values, weights: Values, seed: int, params: Params, task: str) -> FittedOwn:
        given = {name: value for name, value in params.items() if value is not None}
        given |= {name: seed for name in _parameters(self.make) if name in _SEEDS}
        wanted = labels if task == RETURN else (labels > 0).astype(np.int64)
        model = self.run("__init__", self.make, **given)
        taken = _parameters(model.fit)
        extra = {"sample_weight": weights} if "sample_weight" in taken else {}
        self.run("fit", model.fit, inputs.astype(np.float64), wanted, **extra)
        return FittedOwn(self, model, inputs, task)

    def run(self, what: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """What the class's own code gives; InputError, with its line, for what it raises."""
        try:
            return call(*args, **options)
        except QuantlyticError:
            raise
        except Exception as error:
            own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.name]
            line = f", line {own[-1]}" if own else ""
            words = " ".join(str(error).split())[:200]
            raise InputError(f"model {self.name}{line}: {what}: {type(error).__name__}: {words}") from error


class FittedOwn:
    """An object of a class of one's own that has learned from `inputs`."""

    file: ClassVar[str] = "model.onnx"

    def __init__(self, kind: OwnModel, model: Any, inputs: Inputs, task: str) -> None:
        self._kind, self._model, self._task, self._columns = kind, model, task, inputs.shape[1]

    def predict(self, inputs: Inputs) -> Values:
        asks_odds = self._task == UP and hasattr(self._model, "predict_proba")
        method = "predict_proba" if asks_odds else "predict"
        values = np.asarray(self._kind.run(method, getattr(self._model, method), inputs.astype(np.float64)), np.float64)
        if values.ndim == 2 and values.shape[1] == (2 if asks_odds else 1):
            values = values[:, -1]
        if values.shape != (len(inputs),):
            raise InputError(f"model {self._kind.name}: {method} gives {values.shape} for {len(inputs)} rows")
        if self._task == UP and ((values < 0) | (values > 1)).any():
            raise InputError(
                f"model {self._kind.name}: {method} gives numbers outside 0 to 1, which are no probabilities"
            )
        return values

    def export(self) -> bytes:
        if hasattr(self._model, "to_onnx"):
            found = self._kind.run("to_onnx", self._model.to_onnx)
            return served_file(found, self._columns, self._task, f"model {self._kind.name}: to_onnx()")
        content = sklearn_file(self._model, self._columns, self._task)
        if content is None:
            raise CannotExport(
                f"model {self._kind.name} has no to_onnx(), and is no estimator of scikit-learn that skl2onnx knows: "
                "it was trained and tested, but cannot be served"
            )
        return content

    def thresholds(self) -> Thresholds:
        return []

    def importance(self) -> Values | None:
        found = getattr(self._model, "feature_importances_", None)
        return None if found is None or np.shape(found) != (self._columns,) else np.asarray(found, np.float64)


def _parameters(call: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        found = inspect.signature(call).parameters
    except (TypeError, ValueError):
        return {}
    return {name: one for name, one in found.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}


@functools.lru_cache(maxsize=8)
def _module(name: str, source: bytes) -> ModuleType:
    """The file, run once a process."""
    module = ModuleType(f"own_model_{hashlib.sha256(source).hexdigest()[:16]}")
    sys.modules[module.__name__] = module  # dataclasses and pickle look there
    try:
        exec(compile(source, name, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        words = " ".join(str(error).split())[:200]
        raise InputError(f"{name.rpartition(':')[0]}: {type(error).__name__}: {words}") from error
    return module
