"""Options that several commands share, with one name, default and meaning in all of them."""

from __future__ import annotations

import functools
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from quantlytic.model.errors import InputError

if TYPE_CHECKING:
    from quantlytic.engine.market.market import Market

Command = TypeVar("Command", bound=Callable[..., Any])

_SPAN = (
    click.option("--start", help="Only bars that open at or after this time, UTC: 2026-01-31 or 2026-01-31T12:00:00."),
    click.option("--end", help="Only bars that open before this time."),
)
_CHECKS = (
    click.option("--allow-gaps", is_flag=True, help="Run over data with holes; the report tells them."),
    click.option("--allow-splits", is_flag=True, help="Run over prices that step as at splits; the report tells them."),
    click.option("--calendar", help="The exchange that closes, such as XNYS: what it is closed for is no hole."),
)
_TRADING = (
    click.option("--cash", type=float, default=1_000_000.0, show_default=True, help="Cash at the start."),
    click.option("--fee-bps", type=float, default=10.0, show_default=True, help="Fee of every fill, in basis points."),
    click.option(
        "--slippage-bps", type=float, default=0.0, help="What every market order and stop pays, in basis points."
    ),
    click.option(
        "--market",
        type=click.Path(path_type=Path),
        help="Every assumption about trading, as JSON or TOML (see docs/backtest.md); takes the place of fees and shorts.",
    ),
    click.option("--allow-short", is_flag=True, help="Let strategies sell what they do not hold."),
)


def span_options(command: Command) -> Command:
    """`--start`, `--end`."""
    return _with(_SPAN, command)


def check_options(command: Command) -> Command:
    """`--allow-gaps`, `--allow-splits`, `--calendar`."""
    return _with(_CHECKS, command)


def trading_options(command: Command) -> Command:
    """`--cash`, `--fee-bps`, `--slippage-bps`, `--market`, `--allow-short`; read all but cash by `market_of`."""
    return _with(_TRADING, command)


def market_of(**given: Any) -> Market:
    """What is assumed about trading: the file, or else the options. Raises InputError for both, and for a bad file."""
    from quantlytic.engine.market.fees import Fees
    from quantlytic.engine.market.market import Market
    from quantlytic.engine.market.slippage import FixedSlippage, NoSlippage

    path, bps = given["market"], given["slippage_bps"]
    if path is None:
        slippage = FixedSlippage(bps) if bps else NoSlippage()
        return Market(Fees(taker_bps=given["fee_bps"]), slippage, allow_short=given["allow_short"])
    source = click.get_current_context().get_parameter_source
    for name in ("fee_bps", "slippage_bps", "allow_short"):
        if source(name) is not click.core.ParameterSource.DEFAULT:
            raise InputError(
                f"--market holds every assumption: leave out --{name.replace('_', '-')}, or write it in {path}"
            )
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON or TOML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no market: write its assumptions by name")
    return Market.from_dict(values)


def _with(options: tuple[Callable[[Any], Any], ...], command: Command) -> Command:
    return functools.reduce(lambda done, option: option(done), reversed(options), command)
