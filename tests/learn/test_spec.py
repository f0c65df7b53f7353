"""Specs: what is wrong is told with its line and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.learn.training.spec import parse_spec, read_spec
from quantlytic.learn.training.specplace import placed
from quantlytic.model.errors import InputError

GOOD = """name = "trend"
max_age = "30d"
[data]
source = "bars.csv"
[[features]]
name = "rsi"
kind = "rsi"
[label]
kind = "triple_barrier"
horizon = 12
[model]
kind = "lightgbm"
params = {rounds = 50}
[search]
trials = 10
[search.params]
num_leaves = {low = 4, high = 64, log = true}
learning_rate = {choices = [0.01, 0.1]}
"""


def test_a_good_one() -> None:
    spec = parse_spec(GOOD)
    assert (spec.task, spec.metric, spec.max_age_s) == ("up", "log_loss", 30 * 86_400)
    assert spec.label.horizon == 12
    returns = parse_spec(GOOD.replace("triple_barrier", "forward_return"))
    assert (returns.task, returns.metric) == ("return", "mse")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("source =", "sorce =", r"line 4: \[data\] has no 'sorce': did you mean 'source'"),
        ("horizon = 12", "horizons = 12", r"line 10: \[label\] has no 'horizons': did you mean 'horizon'"),
        ("[model]", "[modle]", "did you mean 'model'"),
        ("low = 4", "lo = 4", r"\[search.params\] has no 'lo'"),
        ("horizon = 12", 'horizon = "12"', r"\[label.horizon\] Expected `int`"),
        ('kind = "lightgbm"', 'kind = "lightgmb"', "did you mean 'lightgbm'"),
        ("rounds = 50", "round = 50", "did you mean 'rounds'"),
        ("num_leaves = {", "num_leafs = {", "did you mean 'num_leaves'"),
        ("low = 4, high = 64", "low = 64, high = 4", "low at most high"),
        ("low = 4,", "low = 0,", "low must be above 0"),
        ("low = 4,", "low = 4.5,", "num_leaves is a whole number"),
        ("trials = 10", "trials = 0", "trials is 1 or more"),
        ("trials = 10", 'trials = 10\nmetric = "ic"', "metric is one of log_loss, brier, auc, accuracy"),
        ('"triple_barrier"', '"meta"', "needs `signal`"),
        ('kind = "lightgbm"\nparams = {rounds = 50}', 'kind = "linear"', "cannot forecast a direction"),
        ('name = "trend"', 'name = "../up"', "name is made of"),
        ('source = "bars.csv"', 'source = "lake"', "needs symbols"),
        ("[data]", "[data", "no TOML"),
        ('max_age = "30d"', 'max_age = "long"', "line 2: max_age: 'long' is not a duration"),
        ("trials = 10", "trials = 0", r"^line 15: \[search\] trials is 1 or more, not 0$"),
        ("trials = 10", 'trials = "x"', r"^line 15: \[search.trials\] Expected `int`"),
        ('kind = "lightgbm"', 'kind = "lightgmb"', r"^line 12: \[model\] kind: there is no model 'lightgmb'"),
        ("num_leaves = {", "num_leafs = {", r"^line 17: \[search.params\] num_leafs: model lightgbm has no parameter"),
        ("low = 4,", "low = 0,", r"^line 17: \[search.params\] num_leaves is searched by its logarithm"),
        ("rounds = 50", "rounds = -50", r"^line 13: \[model\] params: model lightgbm: rounds is 1 or more, not -50"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=told) as found:
        parse_spec(GOOD.replace(old, new, 1))
    assert "\n" not in str(found.value)


def test_what_is_refused_later_is_told_with_its_place_too() -> None:
    text = GOOD.replace("horizon = 12", 'horizon = 12  # not "up"\n[weights]\ndecay = 7.5').replace(
        'source = "bars.csv"', 'source = "bars.csv"\nsymbols = [\n  "BTC",\n  "ETHUSD",\n]'
    )
    assert placed("bars.csv has no symbol 'ETHUSD'; it has BTC", text).startswith(
        "line 7: [data] symbols: bars.csv has"
    )
    assert placed("[weights] decay is up to 1, not 7.5", text) == "line 16: [weights] decay is up to 1, not 7.5"
    assert placed("feature 'rsi': RSI has no parameter 'n'", text) == "feature 'rsi': RSI has no parameter 'n'", (
        "two lines"
    )
    assert placed("the lake is empty", text) == "the lake is empty"
    assert placed("there is no 'up'", text) == "there is no 'up'", "only in a comment"
    assert placed("line 3: anything 'BTC'", text) == "line 3: anything 'BTC'"


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no spec"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_spec(tmp_path / "bytes.toml")
