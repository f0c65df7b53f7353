"""The broker behind `cold.consult`: everything but market orders in a plain market."""

# mypy: disable-error-code="no-any-return"
# Rows are fields of a buffer, not objects: their types are known when compiled.

from __future__ import annotations

from typing import Any

from quantlytic.engine.account.account import ACTION_ROW, BAR_ROW
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.cold import (
    ACT,
    ANSWER,
    CHARGE,
    MATCH_BAR,
    MATCH_BOOK,
    MATCH_QUOTE,
    MATCH_TRADE,
    MEET_TRADE,
    install,
)
from quantlytic.engine.compiler.record import at, layout_of
from quantlytic.engine.matching.barmatch import match_any
from quantlytic.engine.matching.orderbook import LEVEL
from quantlytic.engine.matching.tickmatch import match_book, match_quote, match_trade, meet_trade
from quantlytic.engine.run.desk import DESK
from quantlytic.engine.run.step import QUOTE_ROW, TRADE_ROW

LEVEL_ROW = layout_of(LEVEL)


def attend(what: int, arena: Any, event: Any, extra: Any) -> None:
    """Do `what` for the account at the head of the arena; `extra` is the desk, where ticks are concerned."""
    account = at(arena, 0, BROKER).account
    if what == MATCH_BAR:
        match_any(account, at(event, 0, BAR_ROW))
    elif what == ANSWER:
        account.answer_all()
    elif what == CHARGE:
        account.charge(account.current, account.time)
    elif what == ACT:
        account.carry_out(at(event, 0, ACTION_ROW))
    elif what == MATCH_TRADE:
        match_trade(account, at(extra, 0, DESK), at(event, 0, TRADE_ROW))
    elif what == MEET_TRADE:
        meet_trade(account, at(extra, 0, DESK), at(event, 0, TRADE_ROW))
    elif what == MATCH_QUOTE:
        quote = at(event, 0, QUOTE_ROW)
        match_quote(account, at(extra, 0, DESK), quote.instrument, quote.event_time)
    elif what == MATCH_BOOK:
        desk, level = at(extra, 0, DESK), at(event, 0, LEVEL_ROW)
        match_book(account, desk, desk.book(level.instrument), level.event_time)


install(attend)
