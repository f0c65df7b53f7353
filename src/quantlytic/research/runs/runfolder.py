"""What is kept of a backtest: a folder with its manifest, figures and tables, and an entry in the control store."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from quantlytic.model.cashflow import CashFlowKind
from quantlytic.model.errors import StoreError
from quantlytic.model.run import Run
from quantlytic.research.honesty.trials import code_of, sketch_of
from quantlytic.research.honesty.verdict import Verdict, verdict_of
from quantlytic.research.runs.failure import BacktestFailed
from quantlytic.research.runs.outcome import Outcome
from quantlytic.store.barfile import most_frequent
from quantlytic.store.control.finished import enter_finished
from quantlytic.store.control.records import Trial

MAX_CSV_ROWS = 100_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_SIDES = {1: "buy", -1: "sell"}
_FLOWS = {int(kind): kind.name.lower() for kind in CashFlowKind}


def save_run(result: Outcome, home: Path, now_ns: int) -> tuple[Path, Verdict]:
    """Write the run's folder `home/runs/RUN_ID` and enter run and trial in the control store. Returns the folder, and the
    verdict with this trial counted.

    Each file is whole or not there, `summary.json` comes last. The same run again writes the same files. Raises StoreError.
    """
    folder = _write(result, home, {})
    summary = result.summary()
    _enter(result, trial_of(result, now_ns), home, summary)
    verdict = verdict_of(result, home)
    _put_json(folder / "summary.json", summary | {"verdict": verdict.to_dict()})
    return folder, verdict


def save_failure(failure: BacktestFailed, home: Path) -> Path | None:
    """Keep what a run that failed had done before, with `failure.json`; enter it as "failed". It is no trial.

    None, and nothing is kept, when it failed at its first bar.
    """
    result = failure.result
    if result is None:
        return None
    told = failure.to_dict()
    folder = _write(result, home, {"failure.json": told})
    summary = result.summary() | {"failure": told}
    _put_json(folder / "summary.json", summary)
    _enter(result, None, home, summary)
    return folder


def trial_of(result: Outcome, now_ns: int, kind: str = "backtest") -> Trial:
    """The run as an entry of the trial ledger. Its Sharpe ratio is annualised however short it was: trials on the same
    data are compared with each other only."""
    array, per_bar, per_year = result.bars.array, result.metrics["sharpe_per_bar"], result.curve.per_year
    return Trial(
        strategy=result.name,
        params=_params(result),
        data=result.data_hash,
        time_ns=now_ns,
        run_id=result.run_id,
        bars=len(array),
        sharpe=None if per_bar is None or per_year is None else per_bar * float(np.sqrt(per_year)),
        kind=kind,
        instruments=tuple(one.id for one in result.bars.instruments),
        start_ns=int(array["open_time"].min()),
        end_ns=int(array["close_time"][-1]),
        code=code_of(type(result.strategy), result.bars),
        sketch=sketch_of(result.bars),
    )


def _write(result: Outcome, home: Path, more: Mapping[str, Any]) -> Path:
    folder = home / "runs" / result.run_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, value in {"manifest.json": result.manifest(), **more}.items():
            _put_json(folder / name, value)
        _put(folder / "fills.csv", lambda path: _fills(result).write_csv(path))
        _put(folder / "round_trips.csv", lambda path: _round_trips(result).write_csv(path))
        if len(result.flows):
            _put(folder / "flows.csv", lambda path: _flows(result).write_csv(path))
        equity = _equity(result)
        _put(folder / "equity.parquet", lambda path: equity.write_parquet(path, compression="lz4"))
        _put(folder / "equity.csv", lambda path: _readable(equity).write_csv(path))
    except (OSError, pl.exceptions.PolarsError) as error:  # Polars tells a full disk in its own way
        raise StoreError(f"the run cannot be kept in {folder}: {getattr(error, 'strerror', None) or error}") from None
    return folder


def _put(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put_json(path: Path, value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=2, allow_nan=False) + "\n"
    _put(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


# ---- tables


def _fills(result: Outcome) -> pl.DataFrame:
    fills = result.fills
    return pl.DataFrame(
        {
            "fill_id": fills["fill_id"],
            "order_id": fills["order_id"],
            "instrument": _names(result, fills),
            "time": _times(fills["event_time"]),
            "event_time": fills["event_time"],
            "side": _words(fills["side"], _SIDES),
            "quantity": fills["quantity"],
            "price": fills["price"],
            "fee": fills["fee"],
            "slippage": fills["slippage"],
            "maker": fills["maker"],
        }
    )


def _round_trips(result: Outcome) -> pl.DataFrame:
    trips = result.round_trips
    plain = ("quantity", "entry_price", "exit_price", "fees", "pnl", "mae", "mfe")
    return pl.DataFrame(
        {
            "instrument": _names(result, trips),
            "side": _words(trips["side"], {1: "long", -1: "short"}),
            "entry": _times(trips["entry_time"]),
            "exit": _times(trips["exit_time"]),
            "entry_time": trips["entry_time"],
            "exit_time": trips["exit_time"],
            **{name: trips[name] for name in plain},
        }
    )


def _flows(result: Outcome) -> pl.DataFrame:
    flows = result.flows
    return pl.DataFrame(
        {
            "instrument": _names(result, flows),
            "time": _times(flows["event_time"]),
            "event_time": flows["event_time"],
            "kind": _words(flows["kind"], _FLOWS),
            "amount": flows["amount"],
        }
    )


def _equity(result: Outcome) -> pl.DataFrame:
    return pl.DataFrame({"close_time": result.bars.array["close_time"].copy(), "equity": result.equity})


def _readable(equity: pl.DataFrame) -> pl.DataFrame:
    """At most `MAX_CSV_ROWS` rows, each the last of a stretch as long as the others."""
    size = -(-equity.height // MAX_CSV_ROWS)
    rows = (
        equity
        if size == 1
        else equity[np.minimum(np.arange(size - 1, equity.height + size - 1, size), equity.height - 1)]
    )
    return rows.select(_times(rows["close_time"].to_numpy()).alias("time"), "close_time", "equity")


def _times(times: NDArray[np.int64]) -> pl.Series:
    return pl.Series(times.copy(), dtype=pl.Int64).cast(pl.Datetime("ns")).dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")


def _names(result: Outcome, rows: NDArray[Any]) -> pl.Series:
    return _words(rows["instrument"], dict(enumerate(_cell(one.id) for one in result.bars.instruments)))


def _cell(text: str) -> str:
    """A name from elsewhere as a cell of CSV: a spreadsheet takes what begins like a formula for one."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _words(values: NDArray[Any], words: Mapping[int, str]) -> pl.Series:
    return pl.Series([words[value] for value in values.tolist()], dtype=pl.String)


# ---- the control store


def _enter(result: Outcome, trial: Trial | None, home: Path, summary: dict[str, Any]) -> None:
    """Run and trial; without a trial it is one that failed."""
    array = result.bars.array
    run = Run(
        run_id=result.run_id,
        mode="backtest",
        venue=result.bars.instruments[0].venue,
        strategy=result.name,
        params=_params(result),
        instruments=result.bars.instruments,
        bar_size_ns=most_frequent(array["close_time"] - array["open_time"]),
        cash=result.cash,
        fee_bps=result.market.fees.taker_bps,
        first_bar_offset=0,
        code_hash=result.code_hash,
    )
    enter_finished(
        home,
        run,
        trial,
        start_ns=int(array["open_time"].min()),
        end_ns=int(array["close_time"][-1]),
        digest=result.digest,
        summary=summary,
        status="failed" if trial is None else "finished",
    )


def _params(result: Outcome) -> dict[str, float]:
    return {name: float(value) for name, value in result.strategy.params.items()}
