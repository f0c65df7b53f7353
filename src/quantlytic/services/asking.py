"""Ask a running run for another strategy: tried out here first, requested in the log, and what became of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.model.run import Run
from quantlytic.model.strategychange import NOBODY, POSITIONS, StrategyChange, StrategyRequest
from quantlytic.research.runs.beginning import past
from quantlytic.research.runs.succession import (
    as_it_is,
    changes_of,
    code_of_file,
    end_of,
    first_strategy,
    params_text,
    strategy_named,
    successor,
    too_long,
    why_not,
)
from quantlytic.services.inbox import Inbox
from quantlytic.store.log.port import Log
from quantlytic.strategies.catalogue import source_hash

if TYPE_CHECKING:
    from quantlytic.store.lake import Lake

TRIED_BARS = 20_000  # of its past, so many a strategy is tried out on


def request_for(
    run: Run, log: Log, strategy: str, given: Mapping[str, Any], *, position: str, reason: str, by: str,
    sources: Path | None = None, now_ns: int,
) -> StrategyRequest:  # fmt: skip
    """A request, checked as far as that goes without a session. Parameters that are not given are as they are now where the
    strategy stays the same one, else at their defaults. Raises InputError, StrategyError."""
    if run.mode == "backtest":
        raise InputError(f"{run.run_id} is a backtest, which does not run: name a run of the services")
    if position not in POSITIONS or not reason.strip():
        raise InputError(f"say what becomes of the position ({' or '.join(POSITIONS)}), and the reason")
    if strategy == NOBODY:
        raise InputError(f"{NOBODY} is who decides a run whose strategy has raised: to stop a run, end its process")
    now = as_it_is(run, log)
    code = code_of_file(strategy)
    if why := too_long(code):
        raise InputError(f"{strategy}: {why}")
    cls = strategy_named(strategy, code, sources)
    stays = _absolute(now.strategy) == _absolute(strategy)
    before = {name: value for name, value in now.params.items() if name in cls.param_specs} if stays else {}
    wanted: Strategy = cls(**{**cls.of_numbers(before).params, **given})
    params, code_hash = params_text(wanted.params), source_hash(cls)
    is_same = stays and (params, code_hash) == (params_text(now.params), now.code_hash)
    if is_same and end_of(run, log) is None:
        raise InputError(f"{run.run_id} runs {strategy} with exactly these parameters and this code: nothing to change")
    return StrategyRequest(
        run.run_id,
        secrets.token_hex(6),
        now_ns,
        strategy,
        params,
        position,
        " ".join(reason.split()),
        by,
        code_hash,
        code,
    )


def try_out(run: Run, log: Log, lake: Lake | None, request: StrategyRequest, sources: Path | None = None) -> None:
    """Do here what the strategist will do: load, compile, warm up. What does not end, does not end here. Raises InputError,
    StrategyError."""
    new = successor(run, request.strategy, request.params, request.code, sources)
    changes = changes_of(run, log)
    reigning = (
        strategy_named(changes[-1].new, changes[-1].code, sources) if changes else first_strategy(run, log, sources)
    )
    if reason := why_not(run, reigning(), new.strategy):
        raise InputError(reason)
    new.learn(past(run, log, lake, log.bounds(run.bars_stream)[1])[-TRIED_BARS:])


def ask(run: Run, log: Log, request: StrategyRequest) -> int:
    """Put the request into the log. Returns the offset in the run's decisions after which its answer comes."""
    position = log.bounds(run.decisions_stream)[1]
    writer = log.writer(f"swap.{run.run_id}")
    try:
        writer.commit({run.commands_stream: [request]})
    finally:
        writer.close()
    return position


def answer_to(run: Run, log: Log, request: str, position: int, timeout_s: float) -> StrategyChange | None:
    """What became of a request; None when nobody has answered by then: it stays asked for."""
    inbox, ends_s = Inbox(log, run.decisions_stream, position), time.monotonic() + timeout_s
    while True:
        while inbox.peek() is not None:
            _, event = inbox.take()
            if isinstance(event, StrategyChange) and event.request == request:
                return event
        left_s = ends_s - time.monotonic()
        if left_s <= 0:
            return None
        log.wait({inbox.stream: inbox.read_position}, min(left_s, 0.5))


def told(request: StrategyRequest, change: StrategyChange | None) -> dict[str, Any]:
    """What became of it, for a program."""
    if change is None:
        known = msgspec.structs.asdict(request)
        return {"status": "waiting"} | {name: known[name] for name in ("run", "request", "strategy", "position")}
    names = ("run", "request", "event_time", "bar_offset", "old", "new", "position", "reason", "by", "bars", "is_held")
    known = msgspec.structs.asdict(change)
    return {
        "status": "refused" if change.refusal else "done",
        **{name: known[name] for name in names},
        "old_params": msgspec.json.decode(change.old_params),
        "new_params": msgspec.json.decode(change.new_params),
        "refusal": change.refusal,
    }


def _absolute(name: str) -> str:
    """A strategy's own file by its whole path, so that the same file has one name."""
    path, dot, class_name = name.partition(".py")
    return f"{Path(path + dot).expanduser().resolve()}{class_name}" if dot else name
