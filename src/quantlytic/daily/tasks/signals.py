"""Runs the strategies over the day's bar: what would they do now?"""

from __future__ import annotations

import json
from typing import Any

from quantlytic.daily.calendar import DAY_NS
from quantlytic.daily.day import Day, Summary
from quantlytic.daily.shelf import bars_of, rows_before
from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.session import Session
from quantlytic.model.errors import QuantlyticError
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.strategies import catalogue

RECOMMENDED = "recommended"
_KEY = ("run", "event_time", "signal_id")
_ADVICE = ("event_time", "offset", "strategy", "params")


def run(day: Day) -> Summary:
    """Each strategy on each instrument that has a bar of the day, over all its history, adjusted for splits and dividends.

    The signals of the day alone are kept, in the lake's table `signals`, under the run `daily-STRATEGY`. A strategy that fails
    on an instrument is told of; the others go on.
    """
    names = [one.instrument for one in day.works if one.is_due]
    bars = {
        name: own for name, own in bars_of(day, names, "dividends").items() if own.array["open_time"][-1] == day.label
    }
    advised = _advised(day, names) if RECOMMENDED in day.settings.strategies else {}
    events: list[Signal] = []
    trouble = []
    runs = 0
    for done, (name, own) in enumerate(sorted(bars.items())):
        day.progress(name, done, len(bars))
        for strategy, params in _chosen(day, advised.get(name)):
            try:
                events += _signals(day, own, strategy, params)
                runs += 1
            except QuantlyticError as error:
                trouble.append(f"{name}: {strategy} failed: {error}")
    known = set(rows_before(day, "signals", names, _KEY).select("instrument", *_KEY).iter_rows()) if names else set()
    events = [one for one in events if (one.instrument, *(getattr(one, name) for name in _KEY)) not in known]
    day.lake.append(day.source, range(len(events)), events)
    return {"instruments": len(bars), "runs": runs, "signals": len(events), "trouble": trouble}


def _chosen(day: Day, advice: tuple[str, dict[str, Any]] | None) -> list[tuple[str, dict[str, Any]]]:
    """Strategies and their parameters; what is recommended comes with its own, and once."""
    found = {name: dict[str, Any]() for name in day.settings.strategies if name != RECOMMENDED}
    if advice is not None and advice[0]:
        found[advice[0]] = advice[1]
    return list(found.items())


def _advised(day: Day, names: list[str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """The newest advice from before the day, by instrument: what is found out today is acted on tomorrow."""
    rows = rows_before(day, "advice", names, _ADVICE).sort("event_time", "offset").unique("instrument", keep="last")
    return {
        name: (strategy, json.loads(params) or {})
        for name, strategy, params in rows.select("instrument", "strategy", "params").iter_rows()
    }


def _signals(day: Day, own: Bars, strategy: str, params: dict[str, Any]) -> list[Signal]:
    kind = catalogue.find(strategy)
    session = Session(
        kind(**params),
        own.instruments,
        day.settings.cash,
        Fees(taker_bps=day.settings.fee_bps),
        compiled=day.settings.compiled,
    )
    session.run(own)
    today = session.signals[session.signals["event_time"] == day.label + DAY_NS]
    name = own.instruments[0].id
    return [
        Signal(
            f"daily-{strategy}", int(row["signal_id"]), name, int(row["event_time"]), Side(int(row["side"])),
            float(row["target_quantity"]), float(row["price"]), -1,
        )
        for row in today
    ]  # fmt: skip
