"""What is known of a strategy's past on an instrument: its newest back-test with the verdict, and the newest recommendation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from quantlytic.model.errors import QuantlyticError
from quantlytic.model.run import Run
from quantlytic.research import text
from quantlytic.research.advice.finding import Finding
from quantlytic.research.advice.recommendtext import sharpe, yearly
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import RunRecord
from quantlytic.strategies.catalogue import find
from quantlytic.telling.words import strategy_name

FRESH_S = 300.0


class Past(NamedTuple):
    """`lines`: in words, never empty. `is_recommended`: the newest recommendation names this strategy for the instrument."""

    lines: tuple[str, ...]
    is_recommended: bool


class _Found(msgspec.Struct):
    findings: list[Finding]


_FOUND = msgspec.json.Decoder(_Found)


class Records:
    """Looks pasts up in the control store and the data folder `home`, and keeps each for some minutes."""

    def __init__(self, control: Control, home: Path, timer_s: Callable[[], float] = time.monotonic) -> None:
        self._control, self._home, self._timer_s = control, home, timer_s
        self._kept: dict[tuple[str, str], tuple[float, Past]] = {}

    def of(self, run: Run, instrument: str) -> Past:
        """The past of the run's strategy, with the run's parameters, on that instrument."""
        key, now_s = (run.run_id, instrument), self._timer_s()
        kept = self._kept.get(key)
        if kept is None or now_s - kept[0] > FRESH_S:
            kept = self._kept[key] = now_s, self._look(run, instrument.partition(":")[2])
        return kept[1]

    def _look(self, run: Run, symbol: str) -> Past:
        name = strategy_name(run.strategy)
        tested = self._newest(run, symbol)
        if tested is None:
            lines = [
                f"No back-test of {name} with these parameters on {symbol} is on record: nothing is known of its past."
            ]
        else:
            lines = [_tested(tested, symbol, run), self._verdict(tested)]
        finding = self._finding(symbol)
        if finding is not None:
            lines.append(_advice(finding, name))
        return Past(tuple(filter(None, lines)), finding is not None and finding.strategy == name)

    def _newest(self, run: Run, symbol: str) -> RunRecord | None:
        """Of several, one that ran on this instrument alone is preferred, then the newest."""
        names = {strategy_name(run.strategy), _class_name(run.strategy)}
        like = [
            one
            for one in self._control.runs.list("backtest")
            if one.status == "finished" and strategy_name(one.strategy) in names
            and one.params == run.params and any(own.symbol == symbol for own in one.instruments)
        ]  # fmt: skip
        alone = [one for one in like if len(one.instruments) == 1]
        return (alone or like)[-1] if like else None

    def _verdict(self, tested: RunRecord) -> str:
        kept = _read(self._home / "runs" / tested.run_id / "summary.json")
        verdict = kept.get("verdict") if isinstance(kept, dict) else None
        sentence = verdict.get("sentence") if isinstance(verdict, dict) else None
        return f"Verdict: {sentence}." if sentence else "There is no verdict on it."

    def _finding(self, symbol: str) -> Finding | None:
        """What the newest recommendation says of the instrument."""
        try:
            shelves = sorted(
                (self._home / "recommendations").glob("*/recommend.json"), key=lambda path: path.stat().st_mtime_ns
            )
        except OSError:
            return None
        for path in reversed(shelves):
            try:
                found = _FOUND.decode(path.read_bytes())
            except (OSError, msgspec.DecodeError):  # being written, or of another version
                continue
            for finding in found.findings:
                if finding.symbol == symbol:
                    return finding
        return None


def _tested(tested: RunRecord, symbol: str, run: Run) -> str:
    summary = tested.summary
    others = len(tested.instruments) - 1
    same = "with these parameters"
    if tested.code_hash and run.code_hash and tested.code_hash != run.code_hash:
        same += ", but with another version of its code"
    where = symbol + (f" and {others} other instrument{'s' if others > 1 else ''}" if others else "")
    gained = summary.get("cagr")
    years = f"{text.percent(gained, sign=True)} a year" if gained is not None else ""
    total = f"{text.percent(summary.get('total_return'), sign=True)} in all"
    span = f"{str(summary.get('start', ''))[:10]} to {str(summary.get('end', ''))[:10]}"
    trips = summary.get("round_trips") or 0
    trips_text = f"{trips:,} round trip{'s' if trips != 1 else ''}"
    return (
        f"Back-tested on {where} {same}, {span}: {years or total}, Sharpe {text.ratio(summary.get('sharpe'))}, "
        f"worst drawdown {text.percent(summary.get('max_drawdown'))}, {trips_text}, after costs."
    )


def _advice(finding: Finding, name: str) -> str:
    own = finding.of(name)
    if finding.strategy == name and own is not None:
        return (
            f"It is the strategy recommended for {finding.symbol}: {yearly(own)} out of sample, Sharpe {sharpe(own)}."
        )
    if finding.strategy is not None:
        return f"For {finding.symbol} another strategy is recommended: {finding.strategy}."
    return f"For {finding.symbol} no strategy is recommended: nothing that was tried is proven to be better than luck."


def _class_name(strategy: str) -> str:
    """What a run from Python calls it."""
    try:
        return find(strategy).__name__
    except QuantlyticError:
        return ""


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
