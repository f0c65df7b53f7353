"""What doctor says of the lines of models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.learn.made import MINUTE_NS, START_NS
from tests.learn.servable import BTC, ETH, LINE, OTHER, POOLED, artifact, promoted

from quantlytic.app.linecheck import examine_line
from quantlytic.learn.registry.registry import Registry
from quantlytic.model.forecast import Forecast
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

NOW = START_NS + 60 * MINUTE_NS


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    with closing(open_log("sqlite", folder=tmp_path / "log")) as made:
        yield made


def test_a_line_without_champion(tmp_path: Path, log: Log) -> None:
    found = list(examine_line(LINE, Registry(tmp_path / "lake"), log, NOW))
    assert [state for state, _ in found] == ["warn", "ok"]
    assert found[0][1].startswith("trend: no champion, so no forecasts: quantlytic train SPEC")
    assert found[1][1] == "trend: nothing was forecast yet"


def test_a_champion_that_fits_and_when_it_was_heard(tmp_path: Path, log: Log) -> None:
    registry = Registry(tmp_path / "lake")
    made = promoted(registry, artifact(max_age_s=5 * 3600))
    at = NOW - 3 * MINUTE_NS
    bar = Forecast(
        "trend", BTC, at - MINUTE_NS, at, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, math.nan, made, "warming up: 3 of 9 bars"
    )
    log.writer("predictor.trend").commit({"forecasts.trend": [bar]})
    assert list(examine_line(LINE, registry, log, NOW)) == [
        ("ok", f"trend: logistic {made[:12]} forecasts BTCUSDT, ETHUSDT, good for 4h more"),
        ("warn", "trend: the last bar it had a word on ended 3m ago; no forecast: warming up: 3 of 9 bars"),
    ]


@pytest.mark.parametrize(
    ("changed", "state", "words"),
    [
        ({"bar_size": "5m"}, "fail", "was trained on bars of 5m, not of 1m"),
        ({"trained": ("file:SOLUSDT",)}, "fail", "was trained on SOLUSDT, none of"),
        ({"code_hash": "x"}, "fail", "other code of its features"),
        ({"max_age_s": 60}, "warn", "train a newer one"),
    ],
)
def test_a_champion_that_does_not(tmp_path: Path, log: Log, changed: dict[str, object], state: str, words: str) -> None:
    registry = Registry(tmp_path / "lake")
    promoted(registry, artifact(**changed))  # type: ignore[arg-type]
    first = next(examine_line(LINE, registry, log, NOW))
    assert first[0] == state
    assert words in first[1]


def test_a_champion_that_forecasts_what_it_learned_from(tmp_path: Path, log: Log) -> None:
    registry = Registry(tmp_path / "lake")
    made = promoted(registry, artifact())
    bar = Forecast("trend", ETH, START_NS - MINUTE_NS, START_NS, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.5, made)
    log.writer("predictor.trend").commit({"forecasts.trend": [bar]})
    state, said = next(examine_line(LINE, registry, log, NOW))
    assert (state, said.endswith("is memory, not skill")) == ("warn", True)


def test_instruments_without_one_and_a_damaged_model(tmp_path: Path, log: Log) -> None:
    registry = Registry(tmp_path / "lake")
    promoted(registry, artifact(trained=("file:BTCUSDT",), line="trend/file:BTCUSDT"))
    found = list(examine_line(LINE, registry, log, NOW))
    assert [state for state, _ in found] == ["ok", "warn", "ok"]
    assert "no champion for ETHUSDT" in found[1][1]
    made = promoted(registry, artifact(seed=3, features=OTHER), POOLED)
    (tmp_path / "lake" / "models" / made / "manifest.json").write_text("{}")
    found = list(examine_line(LINE, registry, log, NOW))
    assert sorted(state for state, _ in found) == ["fail", "ok", "ok"]
    assert ETH not in str(found)


def test_an_alias_that_cannot_be_read(tmp_path: Path, log: Log) -> None:
    registry = Registry(tmp_path / "lake")
    promoted(registry, artifact(trained=("file:BTCUSDT",), line="trend/file:BTCUSDT"))
    promoted(registry, artifact(seed=3))
    (tmp_path / "lake" / "aliases" / POOLED / "00000001.json").write_text("{")
    found = list(examine_line(LINE, registry, log, NOW))
    assert sorted(state for state, _ in found) == ["fail", "ok", "ok"]
    assert "00000001.json is damaged" in next(said for state, said in found if state == "fail")


def test_another_than_the_one_that_was_named(tmp_path: Path, log: Log) -> None:
    registry = Registry(tmp_path / "lake")
    made = promoted(registry, artifact())
    bar = Forecast("trend", ETH, NOW - MINUTE_NS, NOW, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.5, "f" * 64)
    log.writer("predictor.trend").commit({"forecasts.trend": [bar]})
    found = list(examine_line(LINE, registry, log, NOW))
    assert [state for state, _ in found] == ["ok", "warn", "ok"]
    assert found[1][1].startswith(f"trend: ETHUSDT: forecast by {12 * 'f'}, not by {made[:12]}: it was refused")
    (tmp_path / "lake" / "models" / made / artifact().manifest.file).write_bytes(b"cut")
    assert next(examine_line(LINE, registry, log, NOW))[0] == "fail"
