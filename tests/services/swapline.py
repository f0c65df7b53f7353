"""Requests for another strategy, and a line that answers them at once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from quantlytic.engine.session import Session
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import StrategyChange, StrategyRequest
from quantlytic.research.runs.parity import events_of
from quantlytic.research.runs.succession import params_text
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.strategist import Strategist
from quantlytic.services.swaps import Means
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import find


def means(folder: Path, lake: Lake | None = None) -> Means:
    """`folder`: of the log."""
    return Means(lambda: open_log("sqlite", folder=folder), lake, folder.parent / "strategies", in_background=False)


def ask(
    log: Log, run: Run, strategy: str, position: str = "keep", number: int = 1, code: str = "", **params: Any
) -> None:
    """Request another strategy."""
    given = params if code else find(strategy)(**params).params
    writer = log.writer(f"swap.{run.run_id}")
    request = StrategyRequest(
        run.run_id, f"q{number}", 1, strategy, params_text(given), position, "to see", "me",
        hashlib.sha256(code.encode()).hexdigest(), code,
    )  # fmt: skip
    writer.commit({run.commands_stream: [request]})
    writer.close()


def pump(log: Log, run: Run, session: Any, means: Means, steps: int = 10**9) -> tuple[PaperExecutor, Strategist]:
    """Executor and strategist, new ones, for so many steps or to the end of the bars."""
    executor, strategist = PaperExecutor(log, run, session()), Strategist(log, run, session(), means)
    while steps > 0 and executor.pump() + strategist.pump():
        steps -= 1
    return executor, strategist


def changes(log: Log, run: Run) -> list[StrategyChange]:
    """All answers, refusals too."""
    return [event for event in decided(log, run) if isinstance(event, StrategyChange)]


def decided(log: Log, run: Run) -> list[Event]:
    return [event for _, event in events_of(log, run.decisions_stream)]


def state_of(strategist: Strategist) -> bytes:
    session: Session = strategist._session
    return session.save()
