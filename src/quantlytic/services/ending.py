"""A strategy has raised: what is recorded of that, and said."""

from __future__ import annotations

from typing import Any

from quantlytic.engine.held import HeldSession
from quantlytic.engine.session import Session
from quantlytic.engine.successor import Successor
from quantlytic.model.errors import QuantlyticError, StrategyError
from quantlytic.model.run import Run
from quantlytic.model.strategychange import GUARD, NOBODY, StrategyChange
from quantlytic.research.runs.paper import Array, session_of
from quantlytic.research.runs.succession import packed, successor
from quantlytic.services.swaps import Reigning
from quantlytic.services.turns import Turn

MOST_NUMBERS = 12  # of a strategy's own state, in the words


def ending(
    run: Run, session: Session, reigning: Reigning, error: StrategyError, turn: Turn, reports: tuple[Array, Array]
) -> StrategyChange:
    """What is recorded of a strategy that raised at a turn: `NOBODY` takes over, what is held is kept, with the orders that
    guard it. `session` is as before the turn, `reports` are the (updates, fills) that came with it. `state` is "" where the run
    cannot go on without one."""
    state = "" if session.looks_at_time else packed(_nobody(run, session).learnt())
    at = "" if turn.bar is None else f" ({turn.bar.instrument}, bar offset {turn.offset:,})"
    reason = f"{_with_line(run, session, error, turn.event, reports)}{at}; {_state(session, turn)}"
    return StrategyChange(
        run.run_id, f"raised-{turn.offset}", turn.time, turn.offset, reigning.name, reigning.params, NOBODY, "{}", GUARD,
        " ".join(reason.split()), "quantlytic", old_code=reigning.code, state=state,
    )  # fmt: skip


def said(change: StrategyChange, is_over: bool) -> str:
    """One line for whoever looks after the run. `is_over`: nobody can take over."""
    goes_on = f"the run goes on without a strategy until `quantlytic swap {change.run} ...`"
    what = "the run has ended: start a new one" if is_over else goes_on
    return f"{change.run}: {change.old} has raised; {what}: {change.reason}"


def _nobody(run: Run, session: Session) -> Successor:
    return successor(run, NOBODY, "{}", "", None, session.compiled)


def _with_line(run: Run, session: Session, error: StrategyError, event: Any, reports: tuple[Array, Array]) -> str:
    """The error with the line it was raised at, which compiled code does not know: raised again in plain Python."""
    if not session.compiled or not isinstance(session, HeldSession):
        return str(error)
    try:
        plain = session_of(type(session), run, session.strategy, compiled=False)
        plain.restore(session.save())
        plain.apply(*reports, event)
        plain.decide(event)
    except StrategyError as again:
        return str(again)
    except QuantlyticError:
        pass
    return str(error)


def _state(session: Session, turn: Turn) -> str:
    """What it held, and its own numbers, before the turn."""
    held = ", ".join(f"{quantity:g} {name}" for name, quantity in session.positions.items() if quantity) or "nothing"
    orders = f", {session.open_orders} open orders" if session.open_orders else ""
    name = session.instruments[0].id if turn.bar is None else turn.bar.instrument
    numbers = [
        f"{key}={value:g}" for key, value in session.state_of(name).items() if isinstance(value, bool | int | float)
    ]
    own = f"; its own numbers: {', '.join(numbers[:MOST_NUMBERS])}" if numbers else ""
    return f"it held {held}, cash {session.cash:,.10g}{orders}{own}"
