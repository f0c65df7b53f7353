"""A small model that nothing had to be trained for."""

from __future__ import annotations

import hashlib

import numpy as np

from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.models.linear import FittedLine
from quantlytic.learn.models.model import UP, Scaler
from quantlytic.learn.registry.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.samples.inputs import inputs_of


def small_artifact(seed: int = 1, columns: int = 3, line: str = "trend/pooled") -> Artifact:
    """A logistic model with coefficients drawn from the seed."""
    random = np.random.default_rng(seed)
    rows = inputs_of(random.standard_normal((50, columns)))
    model = FittedLine(Scaler(rows), random.standard_normal(columns), 0.1, True)
    content = model.export()
    names = tuple(f"x{k}" for k in range(columns))
    manifest = Manifest(
        name=line.partition("/")[0], line=line, kind="logistic", task=UP,
        features=tuple(FeatureSpec(name, "return", {"bars": k + 1}) for k, name in enumerate(names)),
        columns=names, code_hash="0" * 64, label=LabelSpec(), horizon=1, spec={}, params={"c": 1.0}, seed=seed,
        data=DataFacts(("demo:ALPHA",), "1h", 0, 1, 50, 0, "0" * 64),
        scores={"auc": 0.5}, trials=1, parent="", versions={},
        feature_deciles=tuple(tuple(np.quantile(column, np.linspace(0, 1, 11)).tolist()) for column in rows.T),
        golden_rows=tuple(tuple(row) for row in rows[:4].tolist()),
        golden_values=tuple(model.predict(rows[:4]).tolist()),
        max_age_s=0, file=model.file, file_sha256=hashlib.sha256(content).hexdigest(), created_ns=1,
    )  # fmt: skip
    return Artifact(manifest, content)
