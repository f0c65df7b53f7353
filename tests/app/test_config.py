"""Settings come from a file and the environment; what is wrong with them is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.app.config import load_settings
from quantlytic.model.errors import InputError
from quantlytic.strategies.catalogue import find


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_are_the_embedded_ones() -> None:
    settings = load_settings()
    assert settings.venue.name == "box"
    assert settings.log.kind == "sqlite"
    assert settings.web.host == "127.0.0.1"


def test_the_environment_goes_before_the_file(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "quantlytic.toml").write_text('[strategy]\nbar = "5s"\ncash = 5000.0\n')
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__BAR", "15m")
    settings = load_settings()
    assert (settings.strategy.bar, settings.strategy.cash) == ("15m", 5000.0)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("QUANTLYTIC_STRATEGY__BAR", "5x", "5x"),
        ("QUANTLYTIC_STRATEGY__CASH", "-1", "strategy.cash"),
        ("QUANTLYTIC_WEB__PORT", "99999", "QUANTLYTIC_WEB__PORT"),
        ("QUANTLYTIC_WEB__PROT", "8787", "web.prot"),
        ("QUANTLYTIC_WEP__PORT", "8787", "did you mean QUANTLYTIC_WEB"),
        ("QUANTLYTIC_RUN_FOR", "soon", "run_for"),
        ("QUANTLYTIC_VENUE__SYMBOLS", "BTCUSDT", "are JSON, such as"),
    ],
)
def test_bad_settings_are_named(variable: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError) as error:
        load_settings()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def said(text: str, folder: Path) -> list[str]:
    """What is said of a file of settings: a line a mistake."""
    (folder / "quantlytic.toml").write_text(text)
    with pytest.raises(InputError) as error:
        load_settings()
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('mode = "papier"', "setting 'mode': it must be 'alert', 'paper' or 'live', not 'papier'"),
        (
            'log = { retain = "5x" }',
            "setting 'log.retain': '5x' is not a duration: write a whole number and ms, s, m, h or d",
        ),
        (
            'strategies = [{}, { nam = "x" }]',
            "'strategies.nam' of entry no. 2: there is no such setting; did you mean 'name'?",
        ),
        ("venue = { zzz = 1 }", "setting 'venue.zzz': there is no such setting; there are name, symbols, environment,"),
        ("zzz = 1", "setting 'zzz': there is no such setting; there are home, run_for, venue,"),
        ('venue = { symbols = "X" }', """setting 'venue.symbols': it must be a list such as ["a", "b"], not 'X'"""),
        (
            'forecasts = [{ line = "a" }]',
            "setting 'forecasts.bar' of entry no. 1: it is missing, and there is no default",
        ),
        ("forecasts = 3", "setting 'forecasts': it must be tables, each under [[forecasts]], not 3"),
        (
            'forecasts = [{ line = "a b", bar = "1h" }]',
            "it may have letters, digits, '.', '_' and '-', and begins with one of",
        ),
        ("account = { keep = { BTC = -1 } }", "setting 'account.keep.BTC': it must be at least 0, not -1"),
        ("strategy = { cash = inf }", "setting 'strategy.cash': it must be a finite number"),
        ('home = " "', "setting 'home': it is empty: name a folder"),
        ("strategy = 3", "setting 'strategy': it must be a table of settings; mend it in"),
        ('mode = "' + 99 * "x" + '"', "not '" + 35 * "x" + "...'; mend it in"),
    ],
)
def test_each_mistake_is_one_line_that_says_what_to_write(text: str, what: str, empty_folder: Path) -> None:
    (line,) = said(text, empty_folder)
    assert what in line
    assert line.endswith(f"; mend it in {empty_folder / 'quantlytic.toml'}")
    assert "Value error" not in line
    assert "{" not in line


def test_several_mistakes_are_told_at_once(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTLYTIC_LOG__KIND", "paper")
    lines = said('run_for = -1\n[web]\nport = "x"\n[log]\nretain = "1h"\n', empty_folder)
    assert [line.split(":")[0] for line in lines] == ["setting 'run_for'", "setting 'log.kind'", "setting 'web.port'"]
    assert lines[1].endswith("; mend it in QUANTLYTIC_LOG__KIND")
    lines = said("[venue]\n" + "".join(f"x{k} = 1\n" for k in range(30)), empty_folder)
    assert len(lines) == 11
    assert lines[-1] == "and 21 more mistakes in the settings"


def test_what_was_given_on_the_command_line_is_mended_there() -> None:
    with pytest.raises(InputError, match=r"'venue.symbols': .*; mend it on the command line$"):
        load_settings(venue={"symbols": "BTCUSDT"})


@pytest.mark.parametrize(
    "text",
    [
        "web = { token = 5318008 }", 'web = { tokn = "5318008" }', 'notify = { smtp_pasword = "5318008" }',
        "notify = { channels = { a = { url = 5318008 } } }", 'notify = { channels = { a = { secret = "5318008" } } }',
        'notify = "5318008"', "account = { limits = { api_key = { a = 5318008 } }, zzz = 5318008 }",
    ],
)  # fmt: skip
def test_no_secret_is_told(text: str, empty_folder: Path) -> None:
    assert "5318008" not in "".join(said(text, empty_folder))


def test_a_broken_file_is_named(empty_folder: Path) -> None:
    (empty_folder / "quantlytic.toml").write_text("home = [")
    with pytest.raises(InputError, match=r"quantlytic\.toml"):
        load_settings()


@pytest.mark.parametrize("value", ["inf", "nan", "-inf", "1e999"])
@pytest.mark.parametrize("name", ["STRATEGY__CASH", "STRATEGY__FEE_BPS", "RUN_FOR"])
def test_numbers_are_finite(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """An infinite cash would be entered with the run, and the store could not be read any more."""
    monkeypatch.setenv(f"QUANTLYTIC_{name}", value)
    with pytest.raises(InputError, match=name):
        load_settings()


def test_parameters_are_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTLYTIC_STRATEGY__PARAMS", '{"fast": NaN}')
    with pytest.raises(InputError, match="fast"):
        load_settings()


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTLYTIC_WEB__TOKEN", "very-secret-token")
    monkeypatch.setenv("QUANTLYTIC_NOTIFY__SMTP_PASSWORD", "hunter2")
    text = repr(load_settings())
    assert "very-secret-token" not in text
    assert "hunter2" not in text


def test_switches_of_a_strategy_are_true_or_false(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "quantlytic.toml").write_text(
        '[strategy]\nname = "ema-cross"\nbar = "1m"\nparams = { short = false, fast = 4, weight = 0.5 }\n'
    )
    for short in (False, True):
        if short:
            monkeypatch.setenv("QUANTLYTIC_STRATEGY__PARAMS", '{"short": true, "fast": 4, "weight": 0.5}')
        (given,) = load_settings().running
        assert given.params == {"short": short, "fast": 4, "weight": 0.5}
        assert type(given.params["short"]) is bool
        assert find("ema-cross")(**given.params).params["short"] is short


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('[notify.channels.ops]\nkind = "slack://xoxb-1"', "xoxb"),
        ('[notify]\nsmtp_port = "smtp://u:hunter2@h"', "hunter2"),
        ('[notify]\nsmtp_starttls = "hunter2"', "hunter2"),
        ('[web]\nport = "hunter2"', "hunter2"),
        ('[strategy]\nparams = {api = "hunter2"}', "hunter2"),
        ("[venue]\nbox_port = 0x" + "f" * 6000, "ffff"),
    ],
)
def test_what_may_be_a_secret_or_is_too_long_is_not_shown(text: str, hidden: str, empty_folder: Path) -> None:
    lines = said(text, empty_folder)
    assert not [line for line in lines if hidden in line or len(line) > 300]


def test_a_file_nested_too_deeply_is_one_line(empty_folder: Path) -> None:
    (empty_folder / "quantlytic.toml").write_text("a = " + "[" * 5_000)
    with pytest.raises(InputError, match=r"^quantlytic\.toml cannot be read: it is nested too deeply$"):
        load_settings()
