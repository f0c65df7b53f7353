"""The strategies on forecasts, each rule by a case made for it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from tests.telling.test_reason import reasons

import quantlytic as ql
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError
from quantlytic.research.advice.recommendrules import rules_of
from quantlytic.strategies.catalogue import find, reads_forecasts
from quantlytic.strategies.meta_label import MetaLabel
from quantlytic.strategies.ml_ensemble import MLEnsemble
from quantlytic.strategies.ml_signal import MLSignal

NAMES = ("ml-signal", "ml-ensemble", "meta-label")
HOUR_NS = 3_600_000_000_000


def bars_of(forecasts: Any, closes: Any = None) -> ql.Bars:
    """Hours at 100, or at the closes given."""
    closes = np.full(len(forecasts), 100.0) if closes is None else np.asarray(closes, np.float64)
    opens = np.append(closes[:1], closes[:-1])
    times = np.arange(len(closes), dtype=np.int64) * HOUR_NS
    bars = ql.Bars.of(
        ql.Instrument("x:A"), open_time=times, close_time=times + HOUR_NS, open=opens, high=np.maximum(opens, closes),
        low=np.minimum(opens, closes), close=closes, volume=np.ones(len(closes)),
    )  # fmt: skip
    return bars.with_forecasts(forecasts)


def held(strategy: Strategy, forecasts: Any, closes: Any = None) -> list[float]:
    """The share of equity, in hundredths, that is held once what was decided after each bar is filled, the last one left out."""
    bars = bars_of(forecasts, closes)
    short = bool(strategy.params.get("short", False))
    session = Session(strategy, bars.instruments, 1e6, compiled=False, allow_short=short)
    session.run(bars)
    fills, at = session.fills, np.zeros(len(bars))
    for row in range(len(bars)):
        mine = fills[fills["event_time"] <= bars.array["close_time"][row]]
        at[row] = (mine["side"] * mine["quantity"]).sum() * bars.array["close"][row] / session.equity[row]
    return [round(100 * float(one)) for one in at[:-1]]


def sides(strategy: Strategy, forecasts: Any, closes: Any = None) -> list[int]:
    return [int(np.sign(one)) for one in held(strategy, forecasts, closes)]


@pytest.mark.parametrize("name", NAMES)
def test_without_forecasts_nothing_is_held(name: str) -> None:
    kind = find(name)
    assert reads_forecasts(kind)
    session = Session(kind(), ql.demo_bars(1).instruments, 1e6, compiled=False)
    session.run(ql.demo_bars(500))
    assert len(session.orders) == 0
    found, left_out = rules_of(None, allow_short=False)
    assert name not in {rule.name for rule in found}
    assert left_out[name].startswith("it follows a model's forecasts")
    with pytest.raises(InputError, match="it follows a model's forecasts"):
        rules_of([name], allow_short=False)


def test_others_read_none() -> None:
    assert not reads_forecasts(find("sma-cross"))
    assert not reads_forecasts(find("pairs"))


# ---- ml-signal


def test_in_above_up_and_out_below_the_band() -> None:
    told = [0.5, 0.56, 0.52, 0.5, 0.49, 0.56, 0.44, 0.5, 0.5]
    assert sides(MLSignal(), told) == [0, 1, 1, 1, 0, 1, 0, 0]
    assert sides(MLSignal(band=0.0), told) == [0, 1, 0, 0, 0, 1, 0, 0]


def test_short_the_other_way_round() -> None:
    told = [0.44, 0.48, 0.5, 0.51, 0.56, 0.44, 0.5]
    assert sides(MLSignal(short=True), told) == [-1, -1, -1, 0, 1, -1]
    assert sides(MLSignal(), told) == [0, 0, 0, 0, 1, 0]


def test_a_position_is_held_for_a_while() -> None:
    told = [0.6, 0.2, 0.2, 0.2, 0.2, 0.2]
    assert sides(MLSignal(hold=3), told) == [1, 1, 1, 0, 0]
    assert sides(MLSignal(hold=3, short=True), told) == [1, 1, 1, -1, -1]


def test_silence_changes_nothing_until_it_lasts() -> None:
    told = [0.6, *[math.nan] * 2, 0.52, *[math.nan] * 5]
    assert sides(MLSignal(patience=3), told) == [1, 1, 1, 1, 1, 1, 0, 0]
    assert sides(MLSignal(patience=3, hold=100), told) == [1, 1, 1, 1, 1, 1, 0, 0]
    assert sides(MLSignal(patience=1), told) == [1, 0, 0, 0, 0, 0, 0, 0]


def test_returns_are_measured_against_what_counts_as_certain() -> None:
    """With 100 bps as certain 10 bps are 0.55 and -10 bps 0.45."""
    told = [0.0, 0.0011, 0.0004, -0.0001, 0.0011, -0.0011, 0.0]
    assert sides(MLSignal(returns=True), told) == [0, 1, 1, 0, 1, 0]
    assert sides(MLSignal(returns=True, certain_bps=1000.0), told) == [0] * 6


def test_linear_sizes_follow_the_probability() -> None:
    told = [0.6, 0.61, 0.7, 0.9, 0.62, 0.3]
    shares = held(MLSignal(sizing=1, sure=0.7, weight=0.8, step=0.05), told)
    assert shares == [40, 40, 80, 80, 48]


def test_kelly_is_edge_over_variance_and_capped() -> None:
    rng = np.random.default_rng(1)
    print("seed 1")
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, 400)))
    told = np.full(400, 0.52)
    shares = held(MLSignal(sizing=2, up=0.51, kelly=0.1, period=200, step=0.02), told, closes)
    assert set(shares[:199]) == {0}
    assert 34 < np.mean(shares[210:]) < 46  # 0.1 (2 * 0.52 - 1) / 0.01 = 0.4
    assert max(held(MLSignal(sizing=2, up=0.51, kelly=1.0, period=200), told, closes)) <= 97


# ---- ml-ensemble


RISE, FALL = [100.0 + k for k in range(20)], [100.0 - k for k in range(20)]


@pytest.mark.parametrize(
    ("mode", "closes", "forecast", "side"),
    [
        (0, RISE, 0.6, 1), (0, RISE, 0.4, 0), (0, RISE, 0.5, 0), (0, FALL, 0.6, 0), (0, FALL, 0.4, -1),
        (1, RISE, 0.6, 1), (1, RISE, 0.5, 1), (1, RISE, 0.4, 0), (1, FALL, 0.5, -1), (1, FALL, 0.6, 0),
        (2, RISE, 0.4, 0), (2, RISE, 0.5, 1), (2, FALL, 0.4, -1), (2, FALL, 0.6, 0),
    ],
)  # fmt: skip
def test_who_must_agree(mode: int, closes: list[float], forecast: float, side: int) -> None:
    told = [forecast] * 20
    long_short = MLEnsemble(mode=mode, average=5, momentum=5, short=True)
    assert sides(long_short, told, closes)[-1] == side
    assert sides(MLEnsemble(mode=mode, average=5, momentum=5), told, closes)[-1] == max(side, 0)


def test_an_opinion_is_kept_within_the_band_and_lost_in_silence() -> None:
    told = [0.5] * 6 + [0.6, 0.51, 0.51, 0.49, 0.49, 0.6, *[math.nan] * 4]
    assert sides(MLEnsemble(average=5, momentum=5), told, RISE[:16])[5:] == [0, 1, 1, 1, 0, 0, 1, 1, 1, 0][:10]


# ---- meta-label


def crossing() -> tuple[MetaLabel, list[float]]:
    """A fast average that is above the slow one from the first bar at which both are known, and below in the end."""
    return MetaLabel(fast=2, slow=51, patience=2), [
        *(100.0 + k for k in range(60)),
        *(159.0 - 4.0 * k for k in range(40)),
    ]


def test_the_model_may_veto_the_rule() -> None:
    strategy, closes = crossing()
    assert 1 in sides(strategy, [0.6] * 100, closes)
    assert set(sides(strategy, [0.52] * 100, closes)) == {0}
    told = [0.6] * 55 + [0.51] * 3 + [0.49] * 42
    found = sides(strategy, told, closes)
    assert found[54:57] == [1, 1, 1]
    assert set(found[59:]) == {0}


def test_the_rule_picks_the_side() -> None:
    _, closes = crossing()
    told = [0.9] * 100
    both = sides(MetaLabel(fast=2, slow=51, short=True), told, closes)
    assert both[55] == 1
    assert both[-1] == -1
    assert sides(MetaLabel(fast=2, slow=51), told, closes)[-1] == 0


def test_the_size_of_the_bet() -> None:
    """Lopez de Prado's: 2 N(z) - 1, z = (p - 1/2) / sqrt(p (1 - p)): 0.38 at 0.69146 is z = 0.4145."""
    strategy = MetaLabel()
    for probability in (0.5, 0.6, 0.69146, 0.9):
        z = (probability - 0.5) / math.sqrt(probability * (1 - probability))
        assert MetaLabel.bet(strategy, probability) == pytest.approx(math.erf(z / math.sqrt(2)))
    assert (MetaLabel.bet(strategy, 1.0), MetaLabel.bet(strategy, 0.0)) == (1.0, -1.0)
    _, closes = crossing()
    shares = held(MetaLabel(fast=2, slow=51, sized=True, scale=1.0, weight=0.9), [0.7] * 60, closes[:60])
    assert shares[-1] == pytest.approx(90 * math.erf(0.2 / math.sqrt(0.21) / math.sqrt(2)), abs=6)


def test_silence_closes_it() -> None:
    strategy, closes = crossing()
    told = [0.6] * 55 + [math.nan] * 45
    found = sides(strategy, told, closes)
    assert found[54:57] == [1, 1, 0]


def test_a_report_says_that_there_were_none() -> None:
    said = [ql.backtest(MLSignal(), bars, compiled=False).assumptions for bars in (bars_of([0.5] * 9), ql.demo_bars(9))]
    assert ["It follows forecasts, and these bars have none." in one for one in said] == [False, True]


def test_mails_say_which_forecast_it_was() -> None:
    bars = ql.demo_bars(1200)
    told = bars.with_forecasts([0.5 + 0.2 * math.sin(k / 30) for k in range(len(bars))])
    assert reasons(MLSignal, told, 2) == [
        "BUY: Forecast (0.55) reached 0.55 at 99.52.",
        "SELL: Forecast (0.49) fell below 0.50 at 93.27.",
    ]
    (first,) = reasons(MetaLabel, told, 1)
    assert first == "BUY: The forecast (0.55) reached 0.55, and SMA 20 (87.87) is above SMA 100 (87.26) at 87.29."
