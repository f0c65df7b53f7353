"""Lines of models in the settings: what cannot be is told before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.conftest import Command

LINE = '[[forecasts]]\nline = "hours"\nbar = "1h"\n'
ML = '[[strategies]]\nname = "ml-signal"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{LINE}{ML}bar = "1h"\nforecasts = "days"\n', "wants the forecasts of 'days'; lines in [[forecasts]]: hours"),
        (f'{LINE}{ML}bar = "1s"\nforecasts = "hours"\n', "on bars of 1s, its forecasts 'hours' on 1h"),
        (LINE + LINE, "two entries of `forecasts` have the same line"),
        (LINE + "trainer = { new_bars = 9 }\n", "`trainer` needs `spec`"),
        (LINE + 'members = ["other"]\n', "has the member 'other', which is no line of models"),
        (
            LINE + "gate = { outcomes = 3 }\n",
            "setting 'forecasts.gate.outcomes' of entry no. 1: it must be at least 20, not 3",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(text: str, said: str, quantlytic: Command, tmp_path: Path) -> None:
    (tmp_path / "quantlytic.toml").write_text(text)
    code, _, err = quantlytic("up")
    assert code == 2
    assert said in err
    assert err.count("\n") == 1
    assert "Value error" not in err
    assert "{" not in err


def test_a_spec_of_another_line_is_refused_before_a_run_is_entered(quantlytic: Command, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "quantlytic.toml").write_text(f'{LINE}spec = "logistic.toml"\n[venue]\nname = "binance"\n')
    (tmp_path / "logistic.toml").write_text((root / "examples" / "specs" / "logistic.toml").read_text())
    code, _, err = quantlytic("run", "predictor")
    assert code == 2
    assert (
        err == "quantlytic: logistic.toml is the spec of line 'hour-logistic', not of 'hours': mend `forecasts.line`\n"
    )
    assert quantlytic("runs")[1].startswith("no runs in")
