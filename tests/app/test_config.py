"""Settings come from a file and the environment; what is wrong with them is said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantlytic.app.config import load_settings
from quantlytic.model.errors import InputError


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
