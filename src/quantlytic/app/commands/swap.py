"""`quantlytic swap`: a running run goes on with another strategy."""

from __future__ import annotations

import getpass
import json
import time
from typing import TYPE_CHECKING, Any

import click

from quantlytic.model.errors import InputError, QuantlyticError

if TYPE_CHECKING:
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.model.run import Run
    from quantlytic.model.strategychange import StrategyRequest


@click.command()
@click.argument("run_id", metavar="RUN|last")
@click.argument("strategy", metavar="STRATEGY")
@click.option(
    "-p", "--param", "params", multiple=True, metavar="NAME=VALUE",
    help="A parameter; may be repeated. Others stay as they are, or have their defaults if the strategy is another.",
)  # fmt: skip
@click.option(
    "--position", type=click.Choice(["keep", "close"]), required=True,
    help="What becomes of what the run holds: the new strategy takes it over, or it is closed at market.",
)  # fmt: skip
@click.option("--reason", required=True, help="Why; kept with the change.")
@click.option("--by", help="Who; the user's name if it is not said.")
@click.option("--wait", "wait_s", type=click.FloatRange(min=0), default=30.0, show_default=True, help="Seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    run_id: str, strategy: str, params: tuple[str, ...], position: str, reason: str, by: str | None, wait_s: float,
    as_json: bool,
) -> None:  # fmt: skip
    """Have a running RUN (or the `last`) go on with STRATEGY: another one, other parameters, or other code.

    STRATEGY is a built-in name or path/to/file.py:ClassName. It is tried out here first. The run's strategist then makes it ready
    with the history on disk, and hands over at the end of a bar: what the old one had open is withdrawn, and the new one decides
    from the next bar on, its orders held until its indicators are ready. The request survives restarts and is answered once.

    Exit code 0: it took effect. 2 or 7: refused, the old one goes on. 1: nobody has answered within --wait, or nobody runs it: it
    stays asked for.
    """
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.commands.backtest import parse_params
    from quantlytic.app.config import load_settings
    from quantlytic.app.confirm import confirm_mode
    from quantlytic.app.presence import Presence
    from quantlytic.app.runstate import may_run
    from quantlytic.services.asking import answer_to, ask, request_for, told, try_out

    settings = load_settings()
    bootstrap = Bootstrap(settings)
    run = bootstrap.runs.find(run_id)
    if run.mode == "live":
        if settings.mode != "live":
            raise InputError(f'{run.run_id} trades an account, and these settings are of mode "{settings.mode}"')
        confirm_mode(settings)
    stores, sources = bootstrap.stores, bootstrap.stores.strategies
    with stores.open_log() as log:
        request = request_for(
            run, log, strategy, parse_params(params), position=position, reason=reason, by=by or getpass.getuser(),
            sources=sources, now_ns=time.time_ns(),
        )  # fmt: skip
        _check_reader(bootstrap, run, request)
        try_out(run, log, stores.lake(), request, sources)
        asked_at = ask(run, log, request)
        is_at_work = settings.log.kind != "sqlite" or may_run(run, log, Presence(settings.home))
        answer = answer_to(run, log, request.request, asked_at, wait_s if is_at_work else 0.0)
    found = told(request, answer)
    click.echo(json.dumps(found) if as_json else _words(found))
    if answer is None:
        why = f"no answer within {wait_s:g} s" if is_at_work else f"nobody runs {run.run_id} now"
        raise QuantlyticError(
            f"{why}: it stays asked for, and takes effect at a bar's end once the run's strategist is at work"
        )
    if answer.refusal:
        raise InputError(f"refused: {answer.refusal}")


def _check_reader(bootstrap: Bootstrap, run: Run, request: StrategyRequest) -> None:
    """InputError where the new strategy would take what the run's line forecasts now for something else."""
    from quantlytic.app.forecasts import check_reader
    from quantlytic.app.wiring.learning import Learning
    from quantlytic.research.runs.succession import params_of

    if run.forecasts:
        learning = Learning(bootstrap.settings, bootstrap.stores, run.venue, [one.id for one in run.instruments])
        check_reader(request.strategy, learning.task(run.forecasts), params_of(request.params), "-p returns=true")


def _words(found: dict[str, Any]) -> str:
    from quantlytic.model.strategychange import NOBODY
    from quantlytic.model.time import iso

    if found["status"] == "waiting":
        return f"{found['run']}: {found['strategy']} is asked for (request {found['request']})"
    old = NOBODY if found["old"] == NOBODY else _named(found["old"], found["old_params"])
    who = f"{found['run']}: {old}"
    if found["status"] == "refused":
        return f"{who} goes on" if found["old"] != NOBODY else f"{found['run']}: still nobody decides it"
    held = "; its orders are held until its indicators are ready" if found["is_held"] else ""
    kept = "what was held is kept" if found["position"] == "keep" else "what was held is closed at market"
    return (
        f"{who} gave way to {_named(found['new'], found['new_params'])} at {iso(found['event_time'])[:19]} (bar offset "
        f"{found['bar_offset']:,}); {kept}; warmed with {found['bars']:,} bars{held}"
    )


def _named(name: str, params: dict[str, float]) -> str:
    return f"{name}({', '.join(f'{key}={value:g}' for key, value in params.items())})"
