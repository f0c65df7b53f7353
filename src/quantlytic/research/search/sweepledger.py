"""Every cell of a sweep is a trial: the more of them, the less the best one means."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

from quantlytic.research.figures.curve import YEAR_NS
from quantlytic.research.honesty.trials import code_of, sketch_of
from quantlytic.research.search.swept import Swept
from quantlytic.store.control.records import Trial
from quantlytic.strategies.catalogue import source_hash


def sweep_id(sweep: Swept) -> str:
    """`sw-` and 12 hex digits, made from the question: strategy, its source, the cells, data, account."""
    parts = [
        sweep.name, type(sweep.strategy).__qualname__, source_hash(type(sweep.strategy)), sweep.cells, sweep.data_hash,
        sweep.cash, sweep.market.to_dict(),
    ]  # fmt: skip
    return "sw-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def trials_of(sweep: Swept, now_ns: int) -> list[Trial]:
    """The cells that ran, as entries of the trial ledger. Sharpe ratios are annualised however short the data is: trials on
    the same data are compared with each other only."""
    array = sweep.bars.array
    start_ns, end_ns = int(array["open_time"].min()), int(array["close_time"][-1])
    years = (end_ns - int(array["close_time"][0])) / YEAR_NS
    scale = math.sqrt((sweep.times - 1) / years) if years > 0 else 0.0
    run_id, code, sketch = sweep_id(sweep), code_of(type(sweep.strategy), sweep.bars), sketch_of(sweep.bars)
    found = []
    for params, one in zip(sweep.cells, sweep.outcomes, strict=True):
        if one.error:
            continue
        per_bar = one.figures["sharpe_per_bar"]
        found.append(
            Trial(
                strategy=sweep.name,
                params={name: float(value) for name, value in params.items()},
                data=sweep.data_hash,
                time_ns=now_ns,
                run_id=run_id,
                bars=len(array),
                sharpe=None if per_bar is None else per_bar * scale,
                kind="sweep",
                instruments=tuple(one.id for one in sweep.bars.instruments),
                start_ns=start_ns,
                end_ns=end_ns,
                code=code,
                sketch=sketch,
            )
        )
    return found


def enter_trials(sweep: Swept, home: Path, now_ns: int) -> int:
    """Enter the cells in the ledger of the data folder `home`, each once per sweep id; returns how many were new. Raises
    StoreError when the ledger cannot be used."""
    from quantlytic.store.control import open_control

    with open_control(home) as control:
        run_id = sweep_id(sweep)
        known = {_key(one) for one in control.trials.list(sweep.data_hash) if one.run_id == run_id}
        fresh = [one for one in trials_of(sweep, now_ns) if _key(one) not in known]
        control.trials.add(fresh)
    return len(fresh)


def _key(trial: Trial) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(trial.params.items()))
