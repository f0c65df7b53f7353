"""Where a spec names what the lake does not have, it is told what it has."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.learn.test_dataend import TEXT, record

from quantlytic.learn.training.sourcebars import bars_of
from quantlytic.learn.training.spec import parse_spec
from quantlytic.model.errors import InputError


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('["x:AB"]', "no bars of 'x:AB' (did you mean x:A?); there are bars of x:A: see"),
        ('["x:A", "x:AB"]', "symbols: the lake has no bars of 'x:AB' (did you mean x:A?); there are bars of x:A: see"),
        ('["other"]', "symbols: the lake has no bars of 'other'; there are bars of x:A: see"),
        ('["x:A"]\nstart = "2099-01-01"', "no 1m bars of x:A in that range"),
    ],
)
def test_a_symbol_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, written: str, said: str) -> None:
    record(tmp_path, 0, 5)
    spec = parse_spec(TEXT.replace('["x:A"]', written))
    with pytest.raises(InputError) as caught:
        bars_of(spec, tmp_path, str(tmp_path / "home" / "lake"))
    assert said in str(caught.value)
    assert ("that range" in str(caught.value)) == ("start" in written)


def test_a_bar_size_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    record(tmp_path, 0, 5)
    spec = parse_spec(TEXT.replace('bar_size = "1m"', 'bar_size = "5s"'))
    with pytest.raises(InputError, match="bar_size: the lake has no 5s bars of x:A, but 1m: see"):
        bars_of(spec, tmp_path, str(tmp_path / "home" / "lake"))
