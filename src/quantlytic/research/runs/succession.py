"""A running strategy gives way to another: what is recorded of it, and how it is done again from that."""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from quantlytic.engine.held import HeldSession
from quantlytic.engine.plain import PythonStrategy
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.engine.successor import Successor
from quantlytic.model.errors import InputError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.run import Run
from quantlytic.model.strategychange import NOBODY, StrategyChange, StrategyRequest
from quantlytic.research.runs.nobody import Nobody
from quantlytic.research.runs.paper import Array, session_of
from quantlytic.strategies.catalogue import find, reads_forecasts

if TYPE_CHECKING:
    from quantlytic.store.log.port import Log

MOST_CODE_KIB = 256
"""As long as a strategy's own file may be to take over: its text is kept in the log, and in each snapshot of the run."""
_PARAMS = msgspec.json.Decoder(dict[str, float])


def strategy_named(name: str, code: str, folder: Path | None = None) -> type[Strategy]:
    """The class of that name; of a strategy's own file as it was, whose text is `code`. Texts are laid down in `folder` (one
    of this process where there is none), by their hash: the same text is the same file. Raises InputError, StrategyError."""
    if name == NOBODY:
        return Nobody
    if not code:
        return find(name)
    path, _, class_name = name.partition(".py")
    kept = (folder or _own_folder()) / hashlib.sha256(code.encode()).hexdigest()[:16] / f"{Path(path).name}.py"
    if not kept.is_file():
        temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(code, encoding="utf-8", newline="")
            os.replace(temporary, kept)
        except OSError as error:
            raise StoreError(f"the code of a strategy cannot be kept in {kept.parent}: {error.strerror}") from None
    return find(f"{kept}{class_name}")


def code_of_file(name: str) -> str:
    """The text of a strategy's own file; "" for a built-in one. Raises InputError for a file that is not there or no text."""
    path, dot, _ = name.partition(".py")
    if not dot:
        return ""
    try:
        return Path(path + dot).expanduser().read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path + dot} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def too_long(code: str) -> str:
    """Why a text is too long to take over with; "" where it is not."""
    size_kib = len(code.encode()) / 1024
    if size_kib <= MOST_CODE_KIB:
        return ""
    return f"the file is {size_kib:,.0f} KiB long, and at most {MOST_CODE_KIB} are kept with a run: shorten it"


def params_text(params: Mapping[str, Any]) -> str:
    """Parameters as they are recorded: a JSON object of numbers, by name."""
    return msgspec.json.encode({name: float(params[name]) for name in sorted(params)}).decode()


def params_of(text: str) -> dict[str, float]:
    """The inverse of `params_text`."""
    return _PARAMS.decode(text)


def accepted(events: Iterable[Event]) -> list[StrategyChange]:
    """The changes that were made, among a run's decisions."""
    return [event for event in events if isinstance(event, StrategyChange) and not event.refusal]


def changes_of(run: Run, log: Log) -> list[StrategyChange]:
    """The changes that were made in a run, as its log tells them."""
    if log.bounds(run.commands_stream)[1] == 0:  # nobody has ever asked for one
        return []
    found, position = list[StrategyChange](), log.bounds(run.decisions_stream)[0]
    while (batch := log.read(run.decisions_stream, position, 50_000)).events:
        found += accepted(batch.events)
        position = batch.next_offset
    return found


def as_it_is(run: Run, log: Log) -> Run:
    """The run with the strategy, parameters and code that are in force now, or were last, where nobody decides any more. Its id
    stays: it is the same run."""
    changes = [one for one in changes_of(run, log) if one.new != NOBODY]
    return changed(run, changes[-1]) if changes else run


def end_of(run: Run, log: Log) -> StrategyChange | None:
    """How a run's strategy has ended; None where one is in force."""
    last = changes_of(run, log)[-1:]
    return last[0] if last and last[0].new == NOBODY else None


def changed(run: Run, last: StrategyChange) -> Run:
    """The run as it is after a change."""
    return msgspec.structs.replace(run, strategy=last.new, params=params_of(last.new_params), code_hash=last.code_hash)


def _with(run: Run, request: StrategyRequest) -> Run:
    """The run as it is once a request is granted."""
    params = params_of(request.params)
    return msgspec.structs.replace(run, strategy=request.strategy, params=params, code_hash=request.code_hash)


def _is(one: Run, draft: Run) -> bool:
    names = [
        found.strategy.partition(".py")[2] + ".py" if ".py" in found.strategy else found.strategy
        for found in (one, draft)
    ]
    rest = [name for name in Run.__struct_fields__ if name not in ("run_id", "first_bar_offset", "strategy")]
    return names[0] == names[1] and all(getattr(one, name) == getattr(draft, name) for name in rest)


def asked_for(run: Run, log: Log) -> StrategyRequest | None:
    """What the run has been asked to become, and has not answered yet: the last of several counts."""
    position = max(
        log.committed(f"strategist.{run.run_id}").get(run.commands_stream, 0), log.bounds(run.commands_stream)[0]
    )
    found: StrategyRequest | None = None
    while (batch := log.read(run.commands_stream, position)).events:
        found = next((one for one in reversed(batch.events) if isinstance(one, StrategyRequest)), found)
        position = batch.next_offset
    return found


def is_now(run: Run, log: Log, draft: Run) -> bool:
    """Whether a run, with the strategy that is in force now, or that it is asked to go on with, is what a draft asks for: then it
    is the one that goes on. Own files are known by their text and the class, wherever they lie; id and first bar do not count."""
    request, now = asked_for(run, log), as_it_is(run, log)
    return _is(now, draft) or (request is not None and _is(_with(run, request), draft))


def is_mended(run: Run, log: Log, draft: Run) -> bool:
    """Whether a run's strategy has ended, and a draft has all that it had but for the code: the file was mended meanwhile."""
    if end_of(run, log) is None:
        return False
    now = as_it_is(run, log)
    return now.code_hash != draft.code_hash and _is(msgspec.structs.replace(now, code_hash=draft.code_hash), draft)


def first_strategy(run: Run, log: Log, folder: Path | None = None) -> type[Strategy]:
    """The class that the run began with: as it was, if it was kept when another one took over."""
    changes = changes_of(run, log)
    return strategy_named(run.strategy, changes[0].old_code if changes else "", folder)


def why_not(run: Run, old: Strategy, new: Strategy) -> str:
    """Why a strategy cannot take over from the one that runs; "" where it can."""
    name = type(new).__name__
    if isinstance(new, PythonStrategy):
        return f"{name} is a PythonStrategy, whose state cannot be saved: write a Strategy"
    for one in (new, old):
        if not one.handlers() <= {"on_bar", "on_fill"}:
            what = ", ".join(sorted(one.handlers() - {"on_bar", "on_fill"}))
            return f"{type(one).__name__} has {what}, and only strategies on bars take over from each other: start a new run"
    if reads_forecasts(type(new)) and not run.forecasts:
        return f"{name} reads forecasts, which this run is not given: start a new run on a line of forecasts"
    return ""


def successor(run: Run, name: str, params: str, code: str, folder: Path | None, compiled: bool = True) -> Successor:
    """A session for who takes over, as at the beginning. Raises InputError, StrategyError."""
    strategy = strategy_named(name, code, folder).of_numbers(params_of(params))
    return session_of(Successor, run, strategy, compiled)


def restored(run: Run, change: StrategyChange, folder: Path | None, compiled: bool = True) -> Successor:
    """A session for who has taken over, to `restore` what was saved of it."""
    return successor(run, change.new, change.new_params, change.code, folder, compiled)


def mark(old: Session, updates: Array, fills: Array, bar: Any) -> None:
    """The strategist's: take over what was reported up to a bar at which `old` is not asked any more."""
    is_held = isinstance(old, HeldSession) and old.is_held
    if not is_held or len(fills):
        old.apply(updates, fills, bar)
    if is_held:
        old.execute(bar)  # no order is open: it is counted


def succeed(
    run: Run, change: StrategyChange, old: Session, folder: Path | None = None
) -> tuple[Successor, tuple[Array, Array, Array, Array]]:
    """Do what was recorded: `old` has been marked at the change's bar. Returns the session that goes on, and the (signals,
    orders, cancels, amends) that go with the change."""
    new = restored(run, change, folder, old.compiled)
    new.take_over(old, unpacked(change.state))
    return new, new.wind_up(change.position)


def packed(states: bytes) -> str:
    """States as text."""
    return base64.b85encode(zlib.compress(states, 6)).decode()


def unpacked(text: str) -> bytes:
    """The inverse of `packed`."""
    return zlib.decompress(base64.b85decode(text))


@functools.cache
def _own_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="quantlytic-strategies-"))
