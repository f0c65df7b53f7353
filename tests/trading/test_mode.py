"""Live trading starts only under the account's name."""

from __future__ import annotations

from typing import Any

import pytest

from quantlytic.model.errors import InputError
from quantlytic.trading.mode import Mode, allow


@pytest.mark.parametrize("mode", [Mode.ALERT, Mode.PAPER])
def test_what_does_not_trade_with_money_needs_no_word(mode: Mode) -> None:
    assert allow(mode, "") is mode


@pytest.mark.parametrize(
    "how", [{"typed": "main"}, {"typed": " main\n"}, {"confirm": "main"}, {"typed": "main", "confirm": "main"}]
)
def test_the_name_lets_live_start(how: dict[str, Any]) -> None:
    assert allow(Mode.LIVE, "main", **how) is Mode.LIVE


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"understands": True},
        {"typed": ""},
        {"typed": "yes", "understands": True},
        {"typed": "Main"},
        {"confirm": "other"},
        {"typed": "main", "confirm": "other"},
        {"typed": "other", "confirm": "main"},
        {"confirm": "true"},
    ],
)
def test_nothing_else_does(how: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="main"):
        allow(Mode.LIVE, "main", **how)


def test_i_understand_is_named_as_not_enough() -> None:
    with pytest.raises(InputError, match="--i-understand is not enough"):
        allow(Mode.LIVE, "main", understands=True)


def test_a_mode_has_to_be_one() -> None:
    assert Mode.of("paper") is Mode.PAPER
    for text in ("", "Live", "LIVE", "real"):
        with pytest.raises(InputError, match="alert, paper, live"):
            Mode.of(text)
    with pytest.raises(InputError, match="needs an account"):
        allow(Mode.LIVE, "", typed="")
