"""What was found out about an instrument: every strategy's record out of sample, and the answer that follows."""

from __future__ import annotations

import msgspec

Params = dict[str, int | float | bool]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What some money became out of sample, after costs. Shares, not percent; ratios are annualised; None: undefined.

    `curve`: equity over the cash at the start, at `Finding.curve_times`; empty where it is not kept.
    """

    total_return: float
    cagr: float | None = None
    sharpe: float | None = None
    max_drawdown: float | None = None
    curve: tuple[float, ...] = ()


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One fold: from `start_ns` to `end_ns` it traded `params`, chosen on what was before (None: it sat out), and `gained`."""

    start_ns: int
    end_ns: int
    gained: float
    params: Params | None


class Contender(Record, frozen=True, kw_only=True):
    """A strategy walked forward over an instrument.

    `round_trips`: entries that the strategy itself closed. `cells`: parameter sets tried in each fold. `psr`, `dsr`,
    `dsr_alpha`, `beta`: as in `verdict`; the deflated ones count all trials on the instrument, of all strategies.
    `dsr_strategies` counts the strategies alone: what it would be if their parameters had not been searched. `doubt`: why it
    is not recommended, a key of `recommendtext.DOUBTS`; "" for nothing.
    """

    strategy: str
    round_trips: int
    cells: int
    fills: int
    psr: float | None
    dsr: float | None
    dsr_alpha: float | None
    dsr_strategies: float | None
    beta: float | None
    stretches: tuple[Stretch, ...]
    doubt: str = ""

    @property
    def earned(self) -> int:
        """How many of the stretches made money."""
        return sum(one.gained > 0.0 for one in self.stretches)

    @property
    def params(self) -> Params | None:
        """What the newest stretch traded: what one would trade now."""
        return self.stretches[-1].params if self.stretches else None


class Stressed(msgspec.Struct, frozen=True, kw_only=True):
    """The same decisions in a harder market: what they returned."""

    name: str
    total_return: float


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument's answer: `strategy` is the recommended one's name, or None. `sentence` says why, in plain words.

    `tested`: every strategy, best Sharpe ratio first, those with too few round trips last. `hold`: buying at the first bar
    out of sample and holding. `trials`: different strategies and parameters tried on the data, those on record before
    included. `spa_cash`, `spa_hold`: Hansen's p-values of all strategies against earning nothing, and against holding.
    `picked_loss`: how often the strategy that was best in one half of the time lost money in the other. `stress`: of the
    first of `tested`, or the recommended one; empty where that earned nothing. `failed`: error by strategy.
    Times are ns UTC; out of sample begins at `test_start_ns`.
    """

    instrument: str
    symbol: str
    strategy: str | None
    sentence: str
    trials: int
    tested: tuple[Contender, ...]
    hold: Record
    curve_times: tuple[int, ...]
    spa_cash: float | None
    spa_hold: float | None
    picked_loss: float | None
    stressed: str
    stress: tuple[Stressed, ...]
    failed: dict[str, str]
    bars: int
    missing: int
    start_ns: int
    test_start_ns: int
    end_ns: int
    data_sha256: str

    def of(self, strategy: str) -> Contender | None:
        """A strategy's record; None where it was not tested."""
        return next((one for one in self.tested if one.strategy == strategy), None)

    @property
    def best(self) -> Contender:
        """The recommended strategy's record, or that of the best of those that are not."""
        return next(one for one in self.tested if self.strategy in (None, one.strategy))
