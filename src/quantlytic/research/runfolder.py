"""What is kept of a backtest: a folder with its manifest, summary, fills and equity, and an entry in the control store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from quantlytic.model.errors import StoreError
from quantlytic.model.run import Run
from quantlytic.model.time import iso
from quantlytic.research.run import Result
from quantlytic.store.barfile import most_frequent
from quantlytic.store.control.finished import enter_finished
from quantlytic.store.control.records import Trial


def save_run(result: Result, home: Path, now_ns: int) -> Path:
    """Write the run's folder `home/runs/RUN_ID` and enter it in the control store; returns the folder.

    Each file is whole or not there, `summary.json` comes last. The same run again writes the same files. Raises StoreError.
    """
    folder = home / "runs" / result.run_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _put(folder / "manifest.json", lambda path: path.write_text(_json(result.manifest())))
        _put(folder / "fills.csv", lambda path: _fills(result).write_csv(path))
        _put(folder / "equity.parquet", lambda path: _equity(result).write_parquet(path, compression="lz4"))
        _put(folder / "summary.json", lambda path: path.write_text(_json(result.summary())))
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars tells a full disk in its own way
        raise StoreError(f"the run cannot be kept in {folder}: {getattr(error, 'strerror', None) or error}") from None
    _enter(result, home, now_ns)
    return folder


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _fills(result: Result) -> pl.DataFrame:
    fills, names = result.fills, [one.id for one in result.bars.instruments]
    return pl.DataFrame(
        {
            "fill_id": fills["fill_id"],
            "order_id": fills["order_id"],
            "instrument": [names[index] for index in fills["instrument"].tolist()],
            "time": [iso(time_ns) for time_ns in fills["event_time"].tolist()],
            "event_time": fills["event_time"],
            "side": ["buy" if side > 0 else "sell" for side in fills["side"].tolist()],
            "quantity": fills["quantity"],
            "price": fills["price"],
            "fee": fills["fee"],
        },
        schema_overrides={"instrument": pl.String, "time": pl.String, "side": pl.String},
    )


def _equity(result: Result) -> pl.DataFrame:
    return pl.DataFrame({"close_time": result.bars.array["close_time"].copy(), "equity": result.equity})


def _enter(result: Result, home: Path, now_ns: int) -> None:
    summary, array = result.summary(), result.bars.array
    params = {name: float(value) for name, value in result.strategy.params.items()}
    run = Run(
        run_id=result.run_id,
        mode="backtest",
        venue=result.bars.instruments[0].venue,
        strategy=result.name,
        params=params,
        instruments=result.bars.instruments,
        bar_size_ns=most_frequent(array["close_time"] - array["open_time"]),
        cash=result.cash,
        fee_bps=result.fees.taker_bps,
        first_bar_offset=0,
        code_hash=result.code_hash,
    )
    trial = Trial(
        strategy=result.name,
        params=params,
        data=result.data_hash,
        time_ns=now_ns,
        run_id=result.run_id,
        bars=len(array),
        sharpe=summary["sharpe"],
    )
    start_ns, end_ns = int(array["open_time"].min()), int(array["close_time"][-1])
    enter_finished(home, run, trial, start_ns=start_ns, end_ns=end_ns, digest=result.digest, summary=summary)
