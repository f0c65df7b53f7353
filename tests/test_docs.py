"""What the documentation says is tried out."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import quantlytic as ql
from quantlytic.app.cli import COMMANDS, cli
from quantlytic.app.config import Settings
from quantlytic.model.instrument import Instrument

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])

NOT_RUN = "not run by the tests"
"""What the first line of a python block says, for readers to see, when it needs a network or a cluster."""
BLOCKS_NOT_RUN = {"exchange.md": 1, "sweep.md": 1}
LINES_NOT_RUN = {
    "a server, or minutes": r"quantlytic (up|run|exchange|bench|doctor|parity|recommend|daily|kill|intents)\b",
    "what was recorded": r".*(--lake|--data lake|quantlytic data (list|check|import|export|rebuild))",
    "a run or a model of the reader's": r".*(\b(RUN|MODEL)\b|--model )",
    "data of the reader's": r"quantlytic data quality|quantlytic data bars|.*\bmine\.py\b",
}
"""Why a command's line is only held against the commands and options there are, and which."""


def test_the_readme_strategy_is_the_built_in_one(tmp_path: Path) -> None:
    """The class in the README runs from a file, and does what `sma-cross` does."""
    from quantlytic.strategies.catalogue import find

    block = re.search(r"```python\n(from quantlytic import Strategy.*?)```", README, re.S)
    assert block
    path = tmp_path / "my_strategy.py"
    path.write_text(block[1])
    closes = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(0, 0.01, 2_000)))
    times = np.arange(2_000) * 60_000_000_000
    bars = ql.Bars.of(
        Instrument("file:X"), open_time=times, close_time=times + 60_000_000_000,
        open=closes, high=closes, low=closes, close=closes, volume=np.ones(2_000),
    )  # fmt: skip
    mine = ql.backtest(find(f"{path}:SmaCross")(fast=5, slow=20), bars, cash=1e5)
    builtin = ql.backtest(find("sma-cross")(fast=5, slow=20), bars, cash=1e5)
    assert len(mine.fills) > 10
    assert mine.digest == builtin.digest


def parts_of(text: str) -> Iterator[tuple[int, str, str]]:
    """The page's python blocks and the lines of its other blocks that call quantlytic: (line, "python" or "sh", text)."""
    pattern = r"^```(\w*)\n(.*?)^```$|^    ((?:\.venv/bin/)?quantlytic [^\n]*)$"
    for found in re.finditer(pattern, text, re.S | re.M):
        first = text.count("\n", 0, found.start()) + 1
        language, block, line = found[1], found[2], found[3]
        if language == "python":
            yield first + 1, "python", block
            continue
        for k, one in enumerate((line or block).replace("\\\n", "").splitlines()):
            command = re.search(r"(?:^|[ (/])(quantlytic .*)", one)
            if command and language in ("", "sh", "console", None):
                yield first + k + (line is None), "sh", command[1]


def words_of(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def check_words(words: list[str]) -> None:
    """Raise a ClickException unless the command, its options and its arguments are there."""
    command: click.Command = cli
    context = click.Context(cli, info_name="quantlytic")
    while isinstance(command, click.Group):
        name, following, words = command.resolve_command(context, words)
        assert following is not None
        command, context = following, click.Context(following, context, name)
    command.parse_args(context, words)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of: files of bars of BTCUSDT, and a strategy in a file of one's own."""
    from quantlytic.store.barwriter import write_bars

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTLYTIC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    demo = ql.demo_bars(12_000)
    for ending in ("parquet", "csv"):
        write_bars(tmp_path / f"bars.{ending}", demo.array, [Instrument("file:BTCUSDT", "BTCUSDT", "USDT")])
    guide = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "strategy.md").read_text(), re.S)
    (tmp_path / "trend.py").write_text(next(block for block in guide if "class Trend(" in block))
    (tmp_path / "my_strategy.py").write_text(
        re.findall(r"```python\n(from quantlytic import Strategy.*?)```", README, re.S)[0]
    )
    spec = next(block for block in re.findall(r"```toml\n(.*?)```", README, re.S) if 'name = "seconds"' in block)
    assert 'source = "lake"\nsymbols = ["box:BTCUSDT", "box:ETHUSDT"]\nbar_size = "1s"\n' in spec
    (tmp_path / "seconds.toml").write_text(
        re.sub(r'source = "lake"\nsymbols.*\n.*\n', 'source = "bars.parquet"\n', spec)
    )
    (tmp_path / "tape.gz").touch()
    return tmp_path


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    from quantlytic.app.cli import main

    monkeypatch.setattr("sys.argv", ["quantlytic", *words_of(line)])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_examples_run(path: Path, desk: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Every python block in the order of the page, in one namespace; every command line, too, between them."""
    name = f"page_{path.stem}"
    names: dict[str, Any] = {"__name__": name}
    monkeypatch.setitem(sys.modules, name, type(sys)(name))
    if path.name == "equities.md":
        names["folder"] = request.getfixturevalue("market_data")
    skipped = 0
    for line, kind, text in parts_of(path.read_text()):
        where = f"{path.name}:{line}"
        if kind == "sh":
            try:
                check_words(words_of(text))
            except click.ClickException as error:
                pytest.fail(f"{where}: {text}: {error.format_message()}")
            if not any(re.match(pattern, text) for pattern in LINES_NOT_RUN.values()):
                assert run_line(text, monkeypatch) == 0, f"{where}: {text}"
        elif NOT_RUN in text.splitlines()[0]:
            compile(text, where, "exec")
            skipped += 1
        else:
            file = desk / f"{name}_{line}.py"
            file.write_text("\n" * (line - 1) + text)
            try:
                exec(compile(file.read_text(), str(file), "exec"), names)
            except Exception as error:
                raise AssertionError(f"{where}: {error}") from error
    assert skipped == BLOCKS_NOT_RUN.get(path.name, 0)


def test_a_line_that_is_wrong_is_told() -> None:
    for line in (
        "quantlytic backtst x",
        "quantlytic walkforward sma-cross b.csv",
        "quantlytic backtest a --no-such",
        "quantlytic data x",
    ):
        with pytest.raises(click.ClickException):
            check_words(words_of(line))


def test_public_names_are_there_and_say_what_they_are() -> None:
    """Each has a docstring of its own, is listed by `dir`, and is known to type checkers."""
    source = Path(ql.__file__).read_text()
    for name in ql.__all__:
        value = getattr(ql, name)
        assert len((value.__doc__ or "").strip()) > 15, f"ql.{name} has no docstring"
        assert name in dir(ql)
        assert re.search(rf"^    from {re.escape(ql._HOMES[name])} import {name} as {name}$", source, re.M), name
    assert source.count(" import ") - source.count("\nimport ") == 2 + len(ql.__all__)  # and nothing else is promised
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = ql.nonsense


def test_the_readme_lists_every_command_and_page() -> None:
    commands = README[README.index("## Commands") :]
    for name in COMMANDS:
        assert f"`quantlytic {name}`" in commands, name
    data = cli.get_command(click.Context(cli), "data")
    assert isinstance(data, click.Group)
    for name in data.commands:
        assert f"`{name}`" in commands, name
    for path in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{path.name})" in README, path.name


def test_names_that_pages_use_are_public() -> None:
    for path in DOCS:
        for name in re.findall(r"\bql\.(\w+)", path.read_text()):
            assert name in ql.__all__, f"{path.name} speaks of ql.{name}"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_commands_and_targets_in_the_docs_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    for target in re.findall(
        r"\bmake ([a-z][a-z-]+)", "\n".join(re.findall(r"```.*?```|`[^`]+`|^    .*$", text, re.S | re.M))
    ):
        assert target in targets, f"{path.name} speaks of make {target}"
    for command in re.findall(r"`(?:\.venv/bin/)?quantlytic ([a-z]+)", text):
        assert command in COMMANDS, f"{path.name} speaks of quantlytic {command}"


@pytest.mark.parametrize("path", DOCS, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        section = field.annotation
        for inner in getattr(section, "model_fields", {}):
            variable = f"QUANTLYTIC_{name}__{inner}".upper()
            assert variable in text, f"docs/settings.md does not speak of {variable}"


def test_the_rooms_of_the_architecture_exist() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for room in re.findall(r"^\| `(\w+)/` \|", text[: text.index("## The streams")], re.M):
        assert (ROOT / "src" / "quantlytic" / room).is_dir(), room


@pytest.mark.parametrize("name", ["Trend", "Breakout"])
def test_the_strategies_of_the_guide_run(name: str, tmp_path: Path) -> None:
    from quantlytic.strategies.catalogue import find

    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "strategy.md").read_text(), re.S)
    path = tmp_path / "guide.py"
    path.write_text(next(block for block in blocks if f"class {name}(" in block))
    bars = ql.demo_bars(3_000)
    result = ql.backtest(find(f"{path}:{name}"), bars, cash=1e6, allow_gaps=True)
    assert len(result.fills) > 10


def test_the_guide_lists_the_broker_and_the_handlers() -> None:
    from quantlytic.engine.account.broker import Broker
    from quantlytic.engine.strategy import HANDLERS

    text = (ROOT / "docs" / "strategy.md").read_text()
    for name in [*HANDLERS, *(name for name in dir(Broker) if not name.startswith("_"))]:
        assert re.search(rf"[`(.]{name}\b", text), f"docs/strategy.md does not speak of {name}"


_TABLES = [("Inside the engine", "engine"), ("Inside learning", "learn"), ("Research", "research")]


@pytest.mark.parametrize(("title", "room"), _TABLES)
def test_the_files_of_the_architecture_exist(title: str, room: str) -> None:
    """And no folder is left out."""
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    part = text[text.index(f"## {title}\n") :]
    rows = [row.split("|") for row in re.findall(r"^\|.*\|$", part[: part.index("\n## ", 1)], re.M)[2:]]
    place = ROOT / "src" / "quantlytic" / room
    folders = {found[0] for row in rows if (found := re.findall(r"`(\w+)/`", row[1]))}
    assert folders | {"templates"} == {path.name for path in place.iterdir() if path.is_dir()} - {"__pycache__"} | {
        "templates"
    }
    for row in rows:
        folder = place.joinpath(*re.findall(r"`(\w+)/`", row[1]))
        for name in re.findall(r"`(\w+)`", row[2]):
            assert (folder / f"{name}.py").is_file(), f"{folder.name}/{name} is gone"
