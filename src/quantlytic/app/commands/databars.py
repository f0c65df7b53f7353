"""`quantlytic data bars`: a file of trades to a file of bars by activity."""

from __future__ import annotations

import json
from pathlib import Path

import click

from quantlytic.model.errors import InputError

_KINDS = ("tick", "volume", "dollar", "tick_imbalance", "volume_imbalance", "dollar_imbalance")


@click.command("bars")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", type=click.Choice(_KINDS), required=True, help="What ends a bar.")
@click.option(
    "--size",
    type=float,
    required=True,
    help="Trades, base units or quote currency a bar; of imbalances: expected trades.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="A .parquet or .csv file.")
@click.option("--symbol", help="Take this symbol alone; or name the instrument of a file without the column `symbol`.")
@click.option("--quantity", default="quantity", show_default=True, help="The column of quantities.")
@click.option(
    "--bars-span", type=int, default=20, show_default=True, help="Imbalances: bars that expectations look back."
)
@click.option(
    "--limit", type=float, default=10.0, show_default=True, help="Imbalances: at most size * limit trades a bar."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    file: Path,
    kind: str,
    size: float,
    out: Path,
    symbol: str | None,
    quantity: str,
    bars_span: int,
    limit: float,
    as_json: bool,
) -> None:
    """Make bars of a CSV or Parquet FILE of trades, by activity: a bar ends after so many trades, units or so much money,
    or when buying and selling are out of balance.

    FILE has the columns ts, price and quantity, and may have symbol, trade_id and side (without it, imbalances go by the
    tick rule). What has not ended is no bar. OUT is a file that `backtest` takes.
    """
    from quantlytic.engine.data.infobars import BarRule
    from quantlytic.research.data.tradebars import make_bars
    from quantlytic.store.barwriter import write_bars

    if file.resolve() == out.resolve():
        raise InputError(f"{out} is the file of trades itself: name another for the bars")
    rule = BarRule(kind, size, bars_span, limit)
    made = make_bars(file, rule, symbol, quantity)
    write_bars(out, made.bars.array, made.bars.instruments)
    counts = {"file": str(out), "trades": made.trades, "bars": len(made.bars), "left_over": made.left_over}
    if as_json:
        click.echo(json.dumps(counts | {"instruments": [one.symbol for one in made.bars.instruments]}))
    else:
        click.echo(
            f"{out}: {len(made.bars):,} bars of {made.trades:,} trades; {made.left_over:,} in bars that have not ended"
        )
