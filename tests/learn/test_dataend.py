"""Training from the lake while more comes in: a search that was stopped goes on over the data it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.learn.made import made_bars
from tests.learn.test_train import SEARCH, SPEC

from quantlytic.app.commands import train as command
from quantlytic.learn.training import tune as tuning
from quantlytic.learn.training.dataend import DataEnd
from quantlytic.learn.training.spec import parse_spec
from quantlytic.model.bar import Bar
from quantlytic.model.errors import DataError, InputError, StoreError
from quantlytic.store.lake.lake import Lake

DATA = 'source = "lake"\nsymbols = ["x:A"]\nbar_size = "1m"'
TEXT = SPEC.replace('source = "bars.parquet"\nbar_size = "1h"', DATA) + SEARCH
DAY_NS = 86_400 * 10**9


def record(folder: Path, first: int, rows: int) -> None:
    """Bars of one instrument into the lake."""
    made = made_bars(first + rows, "x:A", 1).array[first:]
    fields = [name for name in Bar.__struct_fields__ if name not in ("instrument", "forecast")]
    bars = [Bar(instrument="x:A", **{name: row[name].item() for name in fields}) for row in made]
    Lake(folder / "home" / "lake").append("bars.x", list(range(first, first + rows)), bars)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    record(tmp_path, 0, 200)
    (tmp_path / "spec.toml").write_text(TEXT)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    return tmp_path


def run(folder: Path, *options: str, code: int = 0) -> tuple[dict[str, object], str]:
    """What the command answers, and what it says beside it."""
    done = CliRunner().invoke(command.command, [str(folder / "spec.toml"), "--json", *options], catch_exceptions=False)
    assert done.exit_code == code
    return json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_what_was_stopped_goes_on_over_the_same_data(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, tried = tuning.evaluate, []

    def stopping(job: tuning.Job) -> tuning.Tried:
        if len(tried) == 3:
            raise KeyboardInterrupt
        tried.append(job.number)
        return right(job)

    with monkeypatch.context() as patch:
        patch.setattr(tuning, "evaluate", stopping)
        _, said = run(folder, code=130)
    assert said == "stopped; 3 of 6 trials of trend/pooled are kept, the same command goes on\n"
    record(folder, 200, 100)

    def counting(job: tuning.Job) -> tuning.Tried:
        tried.append(job.number)
        return right(job)

    monkeypatch.setattr(tuning, "evaluate", counting)
    found, said = run(folder)
    assert tried == [0, 1, 2, 3, 4, 5]
    assert "goes on with a search of the bars up to 20" in said
    assert found["rows"] == 200 - 14 - 3
    again, said = run(folder)
    assert again["rows"] == 300 - 14 - 3, "it is over: the next one takes all there is"
    assert said == ""


def test_fresh_takes_all_there_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:

        def stopping(_job: tuning.Job) -> tuning.Tried:
            raise KeyboardInterrupt

        patch.setattr(tuning, "evaluate", stopping)
        _, said = run(folder, code=130)
    assert said == "stopped before the search; trials that were finished before are kept, the same command goes on\n"
    record(folder, 200, 50)
    found, said = run(folder, "--fresh")
    assert found["rows"] == 250 - 14 - 3
    assert said == ""


def test_an_end_that_cannot_help_is_not_kept(folder: Path) -> None:
    (folder / "spec.toml").write_text(TEXT.replace("horizon = 3", "horizon = 500"))
    for _ in range(2):
        with pytest.raises(DataError, match="no label is known"):
            run(folder)
    assert not list((folder / "home" / "tuning").glob("*.end.json")), "more data may mend it"


def test_it_holds_for_two_days_and_for_searches_of_a_lake_alone(tmp_path: Path) -> None:
    spec = parse_spec(TEXT)
    end = DataEnd(spec, tmp_path)
    end.keep(77, 1000)
    assert end.read(1000 + 2 * DAY_NS - 1) == 77
    assert end.read(1000 + 2 * DAY_NS) is None
    assert DataEnd(parse_spec(TEXT.replace("trials = 6", "trials = 9")), tmp_path).read(1000) == 77
    assert DataEnd(parse_spec(TEXT.replace("period = 14", "period = 15")), tmp_path).read(1000) is None
    (file,) = (tmp_path / "tuning").glob("*.end.json")
    file.write_bytes(b"cut o")
    assert end.read(1000) is None
    end.forget()
    end.forget()
    for other in (SPEC + SEARCH, TEXT.replace(SEARCH, ""), TEXT.replace(DATA, DATA + '\nend = "2027-01-01"')):
        end = DataEnd(parse_spec(other), tmp_path)
        end.keep(77, 1000)
        assert end.read(1000) is None
    (tmp_path / "tuning").rmdir()
    (tmp_path / "tuning").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        DataEnd(spec, tmp_path).keep(77, 1000)


def test_a_symbol_that_is_not_in_the_lake_is_told_with_its_place(folder: Path) -> None:
    (folder / "spec.toml").write_text(TEXT.replace('["x:A"]', '["x:A", "x:AA"]'))
    with pytest.raises(
        InputError,
        match=r"line 5: \[data\] symbols: the lake has no bars of 'x:AA' .did you mean x:A.*there are bars of x:A",
    ) as found:
        run(folder)
    assert str(found.value).startswith(str(folder / "spec.toml"))
