"""`quantlytic models`: what is promoted fits its line, pins come and go, and what was refused is told as refused."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.app.conftest import Command, answer
from tests.learn.servable import BTC, LINE, POOLED, artifact, endless_artifact, market, root_artifact
from tests.research.paperline import paper_run

from quantlytic.app.presence import Presence
from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.live.loading import Loader
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.registry.registry import Registry
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.services.predictor import Predictor
from quantlytic.store.control import open_control
from quantlytic.store.log import open_log

SETTINGS = '[[forecasts]]\nline = "trend"\nbar = "1m"\n'
PIN = "trend/pooled/pinned"
WHY = ("--reason", "a test")


@pytest.fixture
def registry(quantlytic: Command, tmp_path: Path) -> Registry:
    (tmp_path / "quantlytic.toml").write_text(SETTINGS)
    return Registry(tmp_path / "home" / "lake")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (artifact(2, bar_size="1h"), "was trained on bars of 1h, not of 1m"),
        (artifact(2, code_hash="0" * 64), "other code of its features"),
        (artifact(2, trained=("file:ADAUSDT",)), "was trained on ADAUSDT, none of box:BTCUSDT, box:ETHUSDT"),
        (artifact(2, golden_values=(0.1, 0.2, 0.3, 0.4)), "golden rows"),
        (root_artifact(deciles=((-0.01,) * 11, (0.01,) * 11)), "gave nan"),
        (endless_artifact(golden=0.5, is_empty=True), "a loop with nothing in it"),
        (artifact(2, task="return"), "the line forecasts the chance of a rise, this model a return"),
        (artifact(2, label=LabelSpec(horizon=9)), "--new-label"),
    ],
)
def test_what_the_line_would_refuse_is_refused_at_once(
    quantlytic: Command, registry: Registry, made: Artifact, words: str
) -> None:
    first, model_id = registry.put(artifact(1)), registry.put(made)
    answer(quantlytic("models", "promote", first, POOLED, *WHY, "--json"))
    code, out, told = quantlytic("models", "promote", model_id[:9], POOLED, *WHY)
    assert code in (2, 3)
    assert out == ""
    assert words in told
    assert len(told.strip().splitlines()) == 1
    assert registry.alias(POOLED) == first


def test_another_label_that_is_meant(quantlytic: Command, registry: Registry) -> None:
    first, longer = registry.put(artifact(1)), registry.put(artifact(2, label=LabelSpec(horizon=9)))
    answer(quantlytic("models", "promote", first, POOLED, *WHY, "--json"))
    told = answer(quantlytic("models", "promote", longer, POOLED, *WHY, "--new-label", "--json"))
    assert (told["model_id"], told["new_label"]) == (longer, True)
    returns = registry.put(artifact(3, task="return"))
    assert quantlytic("models", "promote", returns, POOLED, *WHY, "--new-label")[0] == 2


def test_the_label_is_that_of_what_the_line_serves(quantlytic: Command, registry: Registry, tmp_path: Path) -> None:
    first, longer = registry.put(artifact(1)), registry.put(artifact(2, label=LabelSpec(horizon=9)))
    answer(quantlytic("models", "promote", first, POOLED, *WHY, "--json"))
    answer(quantlytic("models", "promote", longer, POOLED, *WHY, "--new-label", "--json"))
    for serves, code in ((first, 0), (longer, 2)):  # the line has refused the longer one, or demoted it; or serves it
        bar = Forecast("trend", BTC, 0, 60 * 10**9, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.5, serves)
        with closing(open_log("sqlite", folder=tmp_path / "home" / "log")) as log:
            log.writer("predictor.trend").commit({"forecasts.trend": [bar]})
        assert quantlytic("models", "promote", registry.put(artifact(3)), POOLED, *WHY)[0] == code


def test_a_model_that_a_strategy_would_misread_which_runs_after_a_swap(
    quantlytic: Command, registry: Registry, tmp_path: Path
) -> None:
    run = msgspec.structs.replace(
        paper_run("ml-signal"), strategy="ml-signal", params={"returns": 1.0}, forecasts="trend", run_id="swapped"
    )
    with open_control(tmp_path / "home") as control:
        control.runs.add(run)
    model_id, presence = registry.put(artifact(1)), Presence(tmp_path / "home")
    presence.claim(["strategist"], "quantlytic up")
    try:
        code, _, told = quantlytic("models", "promote", model_id, POOLED, *WHY)
    finally:
        presence.release()
    assert (code, "would take for returns: leave out -p returns=true (in swapped)" in told) == (2, True), told
    assert quantlytic("models", "promote", model_id, POOLED, *WHY)[0] == 0, "nobody runs it"


@pytest.mark.parametrize(
    ("line", "params", "task", "words"),
    [
        ("trend", "", "return", "would take for probabilities: add returns = true in its params"),
        ("trend", "returns = 1", "up", "would take for returns"),
        ("both", "", "return", "would take for probabilities"),
        ("trend", "returns = 1", "return", ""),
        ("trend", "", "up", ""),
        ("other", "returns = 1", "up", ""),
    ],
)
def test_a_model_that_a_running_strategy_would_misread(
    quantlytic: Command, registry: Registry, tmp_path: Path, line: str, params: str, task: str, words: str
) -> None:
    more = '[[forecasts]]\nline = "other"\nbar = "1m"\n[[forecasts]]\nline = "both"\nbar = "1m"\nmembers = ["trend", "other"]\n'
    reader = f'[[strategies]]\nname = "ml-signal"\nbar = "1m"\nforecasts = "{line}"\nparams = {{{params}}}\n'
    (tmp_path / "quantlytic.toml").write_text(SETTINGS + more + reader)
    model_id = registry.put(artifact(1, task=task))
    code, _, told = quantlytic("models", "promote", model_id, POOLED, *WHY)
    assert (code, words in told) == (2 if words else 0, True), told


def test_a_line_that_is_not_in_the_settings(quantlytic: Command, registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "quantlytic.toml").unlink()
    hourly, wrong = registry.put(artifact(1, bar_size="1h")), registry.put(artifact(2, golden_values=(0.0,) * 4))
    answer(quantlytic("models", "promote", hourly, POOLED, *WHY, "--json"))
    assert "golden rows" in quantlytic("models", "promote", wrong, POOLED, *WHY)[2]


def test_a_pin_is_told_of_and_withdrawn(quantlytic: Command, registry: Registry) -> None:
    first, second, third = (registry.put(artifact(seed)) for seed in (1, 2, 3))
    assert quantlytic("models", "withdraw", PIN, *WHY)[0] == 2
    answer(quantlytic("models", "promote", second, PIN, *WHY, "--json"))
    assert "no champion stands behind" in quantlytic("models", "withdraw", PIN, *WHY)[2]
    told = answer(quantlytic("models", "promote", first, POOLED, *WHY, "--json"))
    assert told["notes"] == [
        f"a pin to {second[:12]} stands before it: `quantlytic models withdraw {PIN} --reason ...`"
    ]
    answer(quantlytic("models", "promote", third, POOLED, *WHY, "--json"))
    assert answer(quantlytic("models", "rollback", POOLED, *WHY, "--json"))["notes"] == told["notes"]
    own = registry.put(artifact(4, trained=("file:BTCUSDT",), line="trend/file:BTCUSDT"))
    assert answer(quantlytic("models", "promote", own, "trend/file:BTCUSDT/champion", *WHY, "--json"))["notes"]
    answer(quantlytic("models", "promote", third, "trend/pooled/challenger", *WHY, "--json"))
    gone = answer(quantlytic("models", "withdraw", "trend/pooled/challenger", *WHY, "--json"))
    assert (gone["model_id"], gone["notes"]) == ("", ["it is asked no more"])
    assert "is no pin" in quantlytic("models", "withdraw", POOLED, *WHY)[2]
    code, out, _ = quantlytic("models", "withdraw", PIN, *WHY)
    assert (code, out.splitlines()) == (
        0,
        [f"{PIN} is no model, before {second[:12]}", f"{first[:12]} ({POOLED}) follows"],
    )
    assert answer(quantlytic("models", "promote", third, POOLED, *WHY, "--json"))["notes"] == []
    listed = {one["model_id"]: one["aliases"] for one in answer(quantlytic("models", "list", "--json"))}
    assert listed[second] == []


def test_a_pin_is_rolled_back_to_none_only_where_a_champion_stands_behind_it(
    quantlytic: Command, registry: Registry
) -> None:
    first, second = (registry.put(artifact(seed)) for seed in (1, 2))
    registry.promote(first, PIN, "a", "me", 1)
    registry.withdraw(PIN, "b", "me", 2)
    registry.promote(second, PIN, "c", "me", 3)
    code, _, told = quantlytic("models", "rollback", PIN, *WHY)
    assert (code, "no champion stands behind" in told, registry.alias(PIN)) == (2, True, second)
    registry.promote(first, POOLED, "a", "me", 4)
    gone = answer(quantlytic("models", "rollback", PIN, *WHY, "--json"))
    assert (gone["model_id"], gone["notes"]) == ("", [f"{first[:12]} ({POOLED}) follows"])
    assert "no earlier model" in quantlytic("models", "rollback", POOLED, *WHY)[2]


def test_an_instrument_that_the_line_does_not_forecast(quantlytic: Command, registry: Registry) -> None:
    made = registry.put(artifact(1, trained=("file:ADAUSDT",), line="trend/file:ADAUSDT"))
    (note,) = answer(quantlytic("models", "promote", made, "trend/file:ADAUSDT/champion", *WHY, "--json"))["notes"]
    assert note.startswith("line trend forecasts box:BTCUSDT, box:ETHUSDT, not ADAUSDT")


def test_what_was_refused_is_listed_as_refused(quantlytic: Command, registry: Registry, tmp_path: Path) -> None:
    good, bad = registry.put(artifact(1)), registry.put(artifact(2, code_hash="0" * 64))
    registry.promote(good, POOLED, "first", "me", 1)
    folder = tmp_path / "home" / "log"
    with closing(open_log("sqlite", folder=folder)) as log:
        loader = Loader(registry, LINE, lambda: open_log("sqlite", folder=folder), compiled=False)
        predictor = Predictor(log, LINE, loader, check_s=0.0)
        market_writer = log.writer("barmaker.box")
        for first in (0, 3):
            market_writer.commit({"bars.box": market(first, 3)})
            while predictor.pump():
                pass
            registry.promote(bad, POOLED, "by other means", "me", 2)
            predictor.look()
        predictor.close()
    rows = {one["model_id"]: one for one in answer(quantlytic("models", "list", "--json"))}
    assert (rows[good]["trouble"], BTC in rows[good]["forecasts"]) == ("", True)
    assert (rows[bad]["trouble"], rows[bad]["forecasts"], rows[bad]["aliases"]) == ("refused", [], [POOLED])
    waiting = registry.put(artifact(3))
    registry.promote(waiting, PIN, "just now", "me", 3)
    late = next(one for one in answer(quantlytic("models", "list", "--json")) if one["model_id"] == waiting)
    assert (late["trouble"], late["why"]) == ("not serving", f"the line's last bars were forecast by {good[:12]}")
    _, out, _ = quantlytic("models", "list")
    assert "champion, refused" in out
    assert f"{bad[:12]} refused: model {bad[:12]} was trained with other code" in " ".join(out.split())


def test_a_damaged_alias_is_told_beside_the_list(quantlytic: Command, registry: Registry, tmp_path: Path) -> None:
    good = registry.put(artifact(1))
    registry.promote(good, POOLED, "first", "me", 1)
    registry.promote(good, PIN, "first", "me", 1)
    (tmp_path / "home" / "lake" / "aliases" / POOLED / "00000001.json").write_text("{")
    code, out, told = quantlytic("models", "list")
    assert code == 3
    assert "pinned" in out
    assert "00000001.json is damaged" in told
    answer(quantlytic("models", "promote", good, POOLED, *WHY, "--json"))
    assert quantlytic("models", "list")[0] == 0


def test_what_nobody_asks_for_is_pruned(quantlytic: Command, registry: Registry, tmp_path: Path) -> None:
    ids = [registry.put(artifact(seed, created_ns=seed)) for seed in range(1, 10)]
    child = registry.put(artifact(20, created_ns=20, parent=ids[0]))
    young = registry.put(artifact(21, created_ns=time.time_ns()))
    other = registry.put(artifact(22, created_ns=1, line="other/pooled"))
    registry.promote(ids[1], POOLED, "first", "me", 1)
    registry.promote(ids[2], POOLED, "second", "me", 2)
    registry.promote(ids[3], "trend/pooled/challenger", "was", "trainer", 3)
    registry.promote(ids[4], "trend/pooled/challenger", "is", "trainer", 4)
    folder = tmp_path / "home" / "log"
    with closing(open_log("sqlite", folder=folder)) as log:
        told = [ModelChange("trend", "", 1, ids[5], ids[6], "command")]
        log.writer("predictor.trend").commit({"forecasts.trend": told})
        log.writer("ensemble.both").commit(
            {"forecasts.both": [ModelChange("both", "", 1, "", f"{ids[7][:12]}+{ids[6][:12]}", "promotion")]}
        )
    gone = [ids[3], ids[8]]
    assert answer(quantlytic("models", "prune", "--keep", "2", "--json")) == {"models": gone, "removed": False}
    assert "2 models would be removed" in quantlytic("models", "prune", "--keep", "2")[1]
    assert len(registry.list()[0]) == 12
    assert answer(quantlytic("models", "prune", "--keep", "2", "--yes", "--json")) == {"models": gone, "removed": True}
    left = {one.model_id for one in registry.list()[0]}
    assert left == {*ids, child, young, other} - set(gone)
    assert not (tmp_path / "home" / "lake" / "models" / ids[8] / "model.onnx").exists()
    assert quantlytic("models", "verify", "--json")[0] == 0
    assert "nothing to remove" in quantlytic("models", "prune", "--keep", "2")[1]
    (tmp_path / "home" / "lake" / "aliases" / POOLED / "00000001.json").write_text("{")
    assert "damaged" in quantlytic("models", "prune", "--keep", "1", "--yes")[2]
    assert {one.model_id for one in registry.list()[0]} == left


def test_what_is_promoted_while_others_are_removed_stays_and_what_it_follows(
    quantlytic: Command, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = registry.put(artifact(1, created_ns=1))
    second = registry.put(artifact(2, created_ns=2, parent=first))
    third, _ = (registry.put(artifact(seed, created_ns=seed)) for seed in (3, 4))
    removed = Registry.remove

    def busy(self: Registry, model_id: str) -> None:
        removed(self, model_id)
        self.promote(second, POOLED, "best after all", "me", 5)

    monkeypatch.setattr(Registry, "remove", busy)
    assert answer(quantlytic("models", "prune", "--keep", "1", "--yes", "--json")) == {
        "models": [third],
        "removed": True,
    }
    assert {first, second} < {one.model_id for one in registry.list()[0]}
    assert registry.get(registry.alias(POOLED) or "").model_id == second
