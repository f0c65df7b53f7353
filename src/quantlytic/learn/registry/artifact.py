"""A trained model as it is kept: one file of numbers, and a manifest that says what it is and where it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.model.errors import DataError

FORMAT = 1


class DataFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was learned from: bars of `instruments` that close in [start_ns, end_ns], `rows` of them; `dropped` had a feature
    or a label that is not known. `sha256` is of the bars' bytes."""

    instruments: tuple[str, ...]
    bar_size: str
    start_ns: int
    end_ns: int
    rows: int
    dropped: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model is.

    `name`: the spec's; `line`: "NAME/INSTRUMENT" or "NAME/pooled", under which aliases are. `kind`: of the catalogue. `task`:
    "up" (the answer is the probability that the label is above 0) or "return" (its expected value). `columns`: the features'
    names in the order of a row; `code_hash`: of what computes them. `horizon`: bars that the label looks ahead. `scores`: out
    of sample, over the folds. `trials`: how many settings were tried. `parent`: the model it was trained to follow, or "".
    `feature_deciles[k]`: 11 values of column k in training, from the least to the largest, for drift. `golden_rows` and
    `golden_values`: rows and the answers to them, asked before the model is used. `max_age_s`: after so long, counted from
    `data.end_ns`, it gives no more forecasts; 0 for never. `created_ns` is not part of the id: the same model is the same
    model.
    """

    format: int = FORMAT
    name: str
    line: str
    kind: str
    task: str
    features: tuple[FeatureSpec, ...]
    columns: tuple[str, ...]
    code_hash: str
    label: LabelSpec
    horizon: int
    spec: dict[str, Any]
    params: dict[str, Any]
    seed: int
    data: DataFacts
    scores: dict[str, float | None]
    trials: int
    parent: str
    versions: dict[str, str]
    feature_deciles: tuple[tuple[float, ...], ...]
    golden_rows: tuple[tuple[float, ...], ...]
    golden_values: tuple[float, ...]
    max_age_s: int
    file: str
    file_sha256: str
    created_ns: int = 0

    @property
    def model_id(self) -> str:
        """SHA-256 of the manifest without its time; the model's file is in it by its own SHA-256."""
        return hashlib.sha256(self.to_json(with_time=False)).hexdigest()

    def to_json(self, *, with_time: bool = True) -> bytes:
        """As it is kept; keys sorted, so that the same manifest is the same bytes."""
        whole = self if with_time else msgspec.structs.replace(self, created_ns=0)
        return msgspec.json.encode(whole, order="sorted")


@dataclass(frozen=True)
class Artifact:
    """A manifest and the bytes of the model's file."""

    manifest: Manifest
    content: bytes

    @property
    def model_id(self) -> str:
        """64 hex digits."""
        return self.manifest.model_id


def read_manifest(content: bytes, where: str) -> Manifest:
    """A manifest from its bytes. DataError, naming `where`, when it is damaged or of another format."""
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where} is damaged ({error}): promote another model") from None
    if found.format != FORMAT:
        raise DataError(f"{where} has format {found.format}, not {FORMAT}: train it again")
    return found
