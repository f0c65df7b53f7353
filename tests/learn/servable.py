"""Models that can be served without having been trained, and bars to serve them on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from tests.learn.made import MINUTE_NS, START_NS

from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.serving import Line
from quantlytic.learn.models.graph import Graph
from quantlytic.learn.models.linear import FittedLine
from quantlytic.learn.models.model import UP, Scaler
from quantlytic.learn.registry.artifact import Artifact, DataFacts, Manifest
from quantlytic.learn.registry.registry import Registry
from quantlytic.learn.samples.inputs import inputs_of
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.event import Event
from quantlytic.model.instrument import Instrument

BTC, ETH = "box:BTCUSDT", "box:ETHUSDT"
TRAINED = ("file:BTCUSDT", "file:ETHUSDT")
LINE = Line("trend", "box", (BTC, ETH), MINUTE_NS)
POOLED = "trend/pooled/champion"
PLAIN = (FeatureSpec("return_1", "return"), FeatureSpec("return_3", "return", {"bars": 3}))
OTHER = (*PLAIN, FeatureSpec("rsi", "rsi", {"period": 5}), FeatureSpec("against", "ratio", instrument="file:ETHUSDT"))


def artifact(
    seed: int = 1,
    *,
    features: Sequence[FeatureSpec] = PLAIN,
    trained: Sequence[str] = TRAINED,
    line: str = "trend/pooled",
    bar_size: str = "1m",
    gaps: str = "restart",
    content: bytes | None = None,
    **changed: Any,
) -> Artifact:
    """A logistic model with coefficients drawn from the seed, over features that can be computed; `content`: another file than
    its own; `changed`: fields of the manifest that are to be others."""
    random = np.random.default_rng(seed)
    size = 60 * 1_000_000_000
    made = FeatureSet(features, [Instrument(one) for one in trained], size, gaps=gaps, compiled=False)
    columns = len(made.names)
    rows = inputs_of(random.standard_normal((200, columns)) * 1e-3)
    model = FittedLine(Scaler(rows), random.standard_normal(columns), 0.1, True)
    content = model.export() if content is None else content
    manifest = Manifest(
        name=line.partition("/")[0], line=line, kind="logistic", task=UP, features=tuple(features), columns=made.names,
        code_hash=made.code_hash, label=LabelSpec(), horizon=1, spec={"data": {"gaps": gaps}}, params={"c": 1.0},
        seed=seed, data=DataFacts(tuple(trained), bar_size, START_NS - MINUTE_NS, START_NS, 200, 0, "0" * 64),
        scores={"auc": 0.5}, trials=1, parent="", versions={},
        feature_deciles=tuple(tuple(np.quantile(column, np.linspace(0, 1, 11)).tolist()) for column in rows.T),
        golden_rows=tuple(tuple(row) for row in rows[:4].tolist()),
        golden_values=tuple(model.predict(rows[:4]).tolist()),
        max_age_s=0, file=model.file, file_sha256=hashlib.sha256(content).hexdigest(), created_ns=1,
    )  # fmt: skip
    return Artifact(msgspec.structs.replace(manifest, **changed), content)


def root_artifact(seed: int = 2, *, deciles: Sequence[Sequence[float]] = ((0.01,) * 11, (0.01,) * 11)) -> Artifact:
    """A model whose answer is the root of its first column: no number where that is below 0. Its golden rows are above."""
    graph = Graph()
    scaled = graph.add("Mul", graph.double(), graph.constant(np.array([float(seed)])))
    first = graph.add("Gather", scaled, graph.constant(np.array([0])), axis=1)
    content = graph.finish(graph.add("Sqrt", first), 2)
    golden = ((0.01, 0.01), (0.02, 0.02))
    values = tuple(float(np.sqrt(float(np.float32(row[0])) * seed)) for row in golden)
    return artifact(
        seed, content=content, golden_rows=golden, golden_values=values, feature_deciles=tuple(map(tuple, deciles))
    )


def endless_artifact(seed: int = 3, *, above: float = 0.0, golden: float = -0.5, is_empty: bool = False) -> Artifact:
    """A model that never answers a row whose first column is above a number: it loops. Else its answer is that column.

    `golden`: how far above it its golden rows are; `is_empty`: nothing is done in the loop.
    """
    from onnx import TensorProto, helper

    graph = Graph()
    first = graph.add("Gather", graph.double(), graph.constant(np.array([0])), axis=1)
    largest = graph.add("ReduceMax", first, keepdims=0)
    is_above = graph.add("Squeeze", graph.add("Greater", largest, graph.constant(np.array([above]))))
    given = [
        helper.make_tensor_value_info("turn", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("value_in", TensorProto.DOUBLE, [None, 1]),
    ]
    made = [
        helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("value_out", TensorProto.DOUBLE, [None, 1]),
    ]
    steps = [helper.make_node("Identity", ["go_on"], ["goes_on"]), helper.make_node("Neg", ["value_in"], ["value_out"])]
    body = helper.make_graph([] if is_empty else steps, "turns", given, given[1:] if is_empty else made)
    content = graph.finish(graph.add("Loop", "", is_above, first, body=body), 2)
    rows = ((above + golden, 0.0), (above + golden / 2, 0.0))
    values = tuple(row[0] for row in rows)
    deciles = ((above + golden,) * 11,) * 2
    return artifact(seed, content=content, golden_rows=rows, golden_values=values, feature_deciles=deciles)


def promoted(registry: Registry, made: Artifact, alias: str = "", *, by: str = "me") -> str:
    """Its id, once it is in the registry and what the alias means."""
    model_id = registry.put(made)
    registry.promote(model_id, alias or f"{made.manifest.line}/champion", "better", by, 1)
    return model_id


def market(first: int, count: int, seed: int = 5, instruments: Sequence[str] = (BTC, ETH)) -> list[Event]:
    """Minutes [first, first + count) of a market that is always the same: a bar of each instrument, and the end of the minute."""
    events: list[Event] = []
    walks = {one: _walk(seed + k) for k, one in enumerate(instruments)}
    for minute in range(first, first + count):
        opened = START_NS + minute * MINUTE_NS
        for one in instruments:
            before, close = walks[one][minute], walks[one][minute + 1]
            high, low = max(before, close) * 1.0001, min(before, close) * 0.9999
            events.append(Bar(one, opened, opened + MINUTE_NS, before, high, low, close, 2.0, 2.0 * close, 7))
        events.append(BarsClosed(MINUTE_NS, opened + MINUTE_NS))
    return events


def _walk(seed: int) -> list[float]:
    steps = np.random.default_rng(seed).normal(0.0, 1e-3, 20_000)
    found: list[float] = (100.0 * np.exp(np.cumsum(steps))).tolist()
    return found
