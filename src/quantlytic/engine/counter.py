"""The broker behind `cold.consult`: everything but market orders in a plain market."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.account import ACTION_ROW, BAR_ROW
from quantlytic.engine.barmatch import match_any
from quantlytic.engine.broker import BROKER
from quantlytic.engine.cold import ACT, ANSWER, CHARGE, MATCH_BAR, install
from quantlytic.engine.record import at


def attend(what: int, arena: Any, event: Any, extra: Any) -> None:  # noqa: ARG001 - one signature for all
    """Do `what` for the account at the head of the arena."""
    account = at(arena, 0, BROKER).account
    if what == MATCH_BAR:
        match_any(account, at(event, 0, BAR_ROW))
    elif what == ANSWER:
        account.answer_all()
    elif what == CHARGE:
        account.charge(account.current, account.time)
    elif what == ACT:
        account.carry_out(at(event, 0, ACTION_ROW))


install(attend)
