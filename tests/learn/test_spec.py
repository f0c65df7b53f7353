"""Specs: what is wrong is told with its line and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.learn.training.spec import parse_spec, read_spec
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
        ('max_age = "30d"', 'max_age = "long"', "long"),
    ],
)
def test_what_is_wrong_is_told(old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=told) as found:
        parse_spec(GOOD.replace(old, new, 1))
    assert "\n" not in str(found.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no spec"):
        read_spec(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_spec(tmp_path / "bytes.toml")
