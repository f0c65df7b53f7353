"""The rules of an account: a slip of the pen is told, never taken for the default."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from quantlytic.model.errors import InputError
from quantlytic.trading.rules import LiveRules


@pytest.mark.parametrize("given", [{"foregin": "halt"}, {"max_data_age": 5}, {"sweep_every_s": True}, {"spot": "no"}])
def test_what_is_no_rule_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=next(iter(given))):
        msgspec.convert(given, LiveRules, strict=False)


@pytest.mark.parametrize("amount", [-0.1, math.nan, math.inf])
def test_what_cannot_be_kept_is_refused(amount: float) -> None:
    with pytest.raises(InputError, match="keep BTC"):
        LiveRules(keep={"BTC": amount})
