"""The export gate: a file that does not answer as the model that was tested is not let out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from quantlytic.learn.models.model import Fitted, Thresholds
from quantlytic.learn.registry.runtime import TOLERANCE, Answer, load
from quantlytic.learn.samples.inputs import Inputs
from quantlytic.model.errors import DataError, MismatchError

ROWS = 100_000
_CHANGED = 256  # rows asked alone as well


class GateReport(NamedTuple):
    """`rows` were asked, `on_thresholds` of them on or beside a number that the model compares with; `worst`: the largest
    difference between the model's answer and its file's."""

    rows: int
    on_thresholds: int
    worst: float


def check_export(fitted: Fitted, content: bytes, seen: Inputs, seed: int, rows: int = ROWS) -> GateReport:
    """Ask the model and its file the same rows: drawn from those `seen` (f4[n, k]), moved a little, and on the thresholds.

    Raises MismatchError when the file cannot be run, or an answer is more than 1e-6 apart, not finite, or not the same for a
    row asked alone.
    """
    try:
        answer = load(content, fitted.file, seen.shape[1])
    except DataError as error:
        raise MismatchError(f"{str(error).removesuffix(': train it again')}: it is not kept") from None
    asked, on_thresholds = rows_to_ask(fitted.thresholds(), seen, seed, rows)
    native, served = fitted.predict(asked), answer(asked)
    if not np.isfinite(served).all():
        raise MismatchError("the exported model gives answers that are no numbers: it is not kept")
    worst = float(np.abs(native - served).max())
    if not worst <= TOLERANCE:
        row = int(np.abs(native - served).argmax())
        raise MismatchError(
            f"the exported model answers otherwise than the trained one: {served[row]:.9g} and not {native[row]:.9g}, and "
            f"{int((np.abs(native - served) > TOLERANCE).sum()):,} of {len(asked):,} rows are more than {TOLERANCE:g} apart: "
            "it is not kept"
        )
    _check_alone(answer, asked, served)
    return GateReport(len(asked), on_thresholds, worst)


def rows_to_ask(thresholds: Thresholds, seen: Inputs, seed: int, rows: int) -> tuple[Inputs, int]:
    """(at least `rows` rows, how many of them are on a threshold). For each threshold three rows: one with the float32
    nearest to it, and one on each side of that."""
    random = np.random.default_rng(seed)
    here = 3 * len(thresholds)
    drawn = seen[random.integers(0, len(seen), max(rows, here + rows // 2))]
    deviation = seen.astype(np.float64).std(axis=0)
    moved = random.random(len(drawn)) < 0.5
    noise = random.standard_normal((int(moved.sum()), seen.shape[1])) * deviation
    drawn[moved] = (drawn[moved] + noise).astype(np.float32)
    if here:
        columns = np.array([column for column, _ in thresholds])
        nearest = np.array([value for _, value in thresholds]).astype(np.float32)
        infinite = np.float32(np.inf)
        for k, values in enumerate((nearest, np.nextafter(nearest, -infinite), np.nextafter(nearest, infinite))):
            drawn[np.arange(len(thresholds)) * 3 + k, columns] = values
    return drawn, here


def _check_alone(answer: Answer, asked: Inputs, served: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    for row in range(min(_CHANGED, len(asked))):
        if (alone := answer(asked[row : row + 1])[0]) != served[row]:
            raise MismatchError(
                f"the exported model answers a row alone otherwise than among others ({abs(alone - served[row]):.2g} apart): a "
                "forecast would hang on what else is asked. Something in its file computes several rows at once; give it a "
                "to_onnx() of plain operators, or take another model. It is not kept"
            )
