"""`--model`: strategies over history with a model's forecasts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from tests.app.conftest import Command, answer
from tests.learn.test_train import SPEC
from tests.research.paperline import paper_run

import quantlytic as ql
from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import load_settings
from quantlytic.app.wiring.learning import Learning
from quantlytic.app.wiring.stores import Stores
from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import InputError
from quantlytic.store.barwriter import write_bars

BARS = ql.demo_bars(1000, seed=3, instruments=2)
MODEL = ["--model", "trend", "--debug", "--json"]
RUN = ["backtest", "ml-signal", "--data", "all.parquet", "-p", "up=0.51", "-p", "weight=0.45"]


@pytest.fixture
def champion(quantlytic: Command, tmp_path: Path) -> str:
    """A model of the first 600 hours, promoted; bars of all hours lie beside."""
    write_bars(tmp_path / "bars.parquet", BARS.array[:1200], BARS.instruments)
    write_bars(tmp_path / "all.parquet", BARS.array, BARS.instruments)
    (tmp_path / "trend.toml").write_text(SPEC)
    found = answer(quantlytic("train", "trend.toml", "--json"))
    model_id: str = found["model_id"]
    answer(quantlytic("models", "promote", model_id, "trend/pooled/champion", "--reason", "first", "--json"))
    return model_id


def test_a_model_is_traded_and_the_run_is_done_again(quantlytic: Command, champion: str) -> None:
    found = answer(quantlytic(*RUN, *MODEL))
    (note,) = found["forecasts"]
    assert note["model"] == champion
    assert "the 1,200 bars until then have no forecast" in note["sentence"]
    assert found["fills"] > 0
    for name in (champion[:10], "trend/pooled/champion"):
        same = answer(quantlytic(*RUN, "--model", name, "--debug", "--json"))
        assert (same["run_id"], same["digest"]) == (found["run_id"], found["digest"])
    again = answer(quantlytic("backtest", "--from-manifest", "last", "--debug", "--json"))
    assert (again["run_id"], again["digest"]) == (found["run_id"], found["digest"])


def test_bars_it_learned_from_are_asked_for_by_name(quantlytic: Command, champion: str) -> None:
    code, _, errors = quantlytic("backtest", "ml-signal", "--data", "bars.parquet", *MODEL)
    assert code == 2
    assert "no bar has a forecast. Forecasts are those of model" in errors
    found = answer(quantlytic("backtest", "ml-signal", "--data", "bars.parquet", *MODEL, "--in-sample"))
    assert "what is shown for them is no evidence" in found["forecasts"][0]["sentence"]
    code, out, _ = quantlytic(
        "backtest", "ml-signal", "--data", "bars.parquet", "--model", "trend", "--debug", "--in-sample"
    )
    assert code == 0
    assert "is no evidence" in " ".join(out.split())


def test_sweep_and_walk_forward(quantlytic: Command, champion: str) -> None:
    given = ["ml-signal", "all.parquet", "--model", champion[:8], "--jobs", "1", "--json"]
    swept = answer(quantlytic("sweep", *given, "-p", "up=0.505,0.51,0.52", "-p", "weight=0.45"))
    assert swept["cells"] == 3
    assert swept["forecasts"][0]["sentence"] in (Path(swept["folder"]) / "heatmap.html").read_text()
    walked = answer(
        quantlytic("walkforward", *given, "--train", "25d", "--test", "5d", "-p", "up=0.505,0.51", "-p", "weight=0.45")
    )
    assert walked["fills"] > 0
    assert walked["forecasts"] == swept["forecasts"]


def test_a_sweep_in_which_nobody_trades_says_why(quantlytic: Command, champion: str) -> None:
    """Thresholds that no forecast reaches."""
    given = ["ml-signal", "all.parquet", "--model", champion[:8], "--jobs", "1", "-p", "up=0.75,0.8"]
    found = answer(quantlytic("sweep", *given, "--json"))
    assert found["best"] is None
    said = found["why_none"]
    assert said.startswith("no cell has a sharpe: none has traded. The forecasts lie between 0.")
    low, high = (float(said.split(word)[1].split()[0].rstrip(":")) for word in (" between ", " and "))
    assert 0 < low < 0.5 < high < 0.75
    code, out, _ = quantlytic("sweep", *given)
    assert (code, "choose thresholds among them" in " ".join(out.split())) == (0, True)


def test_a_column_of_the_file_will_do(quantlytic: Command, tmp_path: Path) -> None:
    told = Bars(BARS.array[BARS.array["instrument"] == 0], BARS.instruments[:1])
    told = told.with_forecasts([0.7 if k % 40 < 20 else 0.3 for k in range(len(told))])
    write_bars(tmp_path / "told.csv", told.array, told.instruments)
    found = answer(quantlytic("backtest", "ml-signal", "--data", "told.csv", "--debug", "--json"))
    assert found["round_trips"] == 25
    assert "forecasts" not in found


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backtest", "ml-signal", "--data", "all.parquet"], "ml-signal follows forecasts, and these bars have none"),
        (
            ["sweep", "meta-label", "all.parquet", "-p", "least=0.5,0.6"],
            "meta-label follows forecasts, and these bars have none",
        ),
        ([*RUN, "--in-sample"], "--in-sample is about a model"),
        ([*RUN, "--model", "nothing"], "there is no model 'nothing'"),
        ([*RUN, "--model", "trend/pooled/pinned"], "trend/pooled/pinned means no model yet"),
        (
            [*RUN, "--model", "trend", "-p", "returns=true"],
            "the model forecasts probabilities, which ml-signal would take",
        ),
    ],
)
def test_what_is_refused(quantlytic: Command, champion: str, words: list[str], message: str) -> None:
    code, _, errors = quantlytic(*words)
    assert code == 2
    assert message in errors
    assert errors.count("\n") == 1


def test_returns_are_not_probabilities(quantlytic: Command, tmp_path: Path) -> None:
    write_bars(tmp_path / "bars.parquet", BARS.array[:1200], BARS.instruments)
    write_bars(tmp_path / "all.parquet", BARS.array, BARS.instruments)
    spec = SPEC.replace("[label]\n", '[label]\nkind = "forward_return"\n').replace('"logistic"', '"linear"')
    (tmp_path / "move.toml").write_text(spec)
    model = answer(quantlytic("train", "move.toml", "--json"))["model_id"]
    code, _, errors = quantlytic(*RUN, "--model", model)
    assert code == 2
    assert "the model forecasts returns, which ml-signal would take for probabilities: add -p returns=true" in errors
    code, _, errors = quantlytic("backtest", "meta-label", "--data", "all.parquet", "--model", model)
    assert "it needs a model of probabilities" in errors
    assert answer(quantlytic(*RUN, "--model", model, "-p", "returns=true", "--debug", "--json"))["run_id"]
    answer(quantlytic("models", "promote", model, "trend/pooled/champion", "--reason", "first", "--json"))
    forecasts = '[[forecasts]]\nline = "trend"\nbar = "1h"\n[[strategies]]\nname = "ml-signal"\nforecasts = "trend"\nbar = "1h"\n'
    (tmp_path / "quantlytic.toml").write_text(forecasts)
    with pytest.raises(InputError, match="which ml-signal would take for probabilities"):
        lines().check_readers()
    code, out, _ = quantlytic("doctor")
    assert (code, "FAIL  settings   the model forecasts returns" in out) == (1, True), out
    (tmp_path / "quantlytic.toml").write_text(f"{forecasts}params = {{ returns = true }}\n")
    lines().check_readers()


def test_a_swap_to_who_would_misread_the_line_is_refused(quantlytic: Command, champion: str, tmp_path: Path) -> None:
    run = msgspec.structs.replace(
        paper_run("ml-signal"), forecasts="trend", instruments=BARS.instruments, bar_size_ns=3600 * 10**9,
        venue=BARS.instruments[0].id.partition(":")[0],
    )  # fmt: skip
    (tmp_path / "quantlytic.toml").write_text('[[forecasts]]\nline = "trend"\nbar = "1h"\n')
    Bootstrap(load_settings()).stores.control().runs.add(run)
    words = ("swap", "last", "ml-signal", "--position", "keep", "--reason", "bold", "--wait", "0", "-p")
    code, _, err = quantlytic(*words, "returns=true")
    said = "the model forecasts probabilities, which ml-signal would take for returns: leave out -p returns=true"
    assert (code, err) == (2, f"quantlytic: {said}\n")
    with Bootstrap(load_settings()).stores.open_log() as log:
        assert log.bounds(run.commands_stream) == (0, 0), "it was never asked for"
    code, _, err = quantlytic(*words, "up=0.6")
    assert (code, "it stays asked for" in err) == (1, True), err


def lines() -> Learning:
    """Those of the settings here."""
    settings = load_settings()
    return Learning(settings, Stores(settings), "box", ["box:BTCUSDT"])
