"""Features: the table and live give the same bytes, compiled and plain the same numbers, and nothing knows the future."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
from tests.learn.made import MINUTE_NS, START_NS, bars_of, made_bars, without

from quantlytic import indicators
from quantlytic.engine.data.bars import Bars
from quantlytic.indicators import RSI, BollingerBands, Correlation
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.features.kinds import catalogue
from quantlytic.model.bar import Bar
from quantlytic.model.errors import DataError, InputError, StrategyError
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE, Trade
from quantlytic.research.data.holes import find_holes
from quantlytic.store.barfile import read_bars

SOME = [
    FeatureSpec("rsi", "rsi", {"period": 5}),
    FeatureSpec("return_1", "return", hidden=True),
    FeatureSpec("score", "zscore", {"period": 10}, of="return_1"),
    FeatureSpec("percent_b", "bollinger_bands", output="percent_b"),
    FeatureSpec("range", "garman_klass", {"period": 6}),
    FeatureSpec("hour", "hour_sin", {"zone": "Europe/London"}),
    FeatureSpec("near_low", "distance_to_low", {"period": 7}),
    FeatureSpec("busy", "zscore", {"period": 8}, of="trades"),
]
ACROSS = [
    *SOME[:3],
    FeatureSpec("their_score", "zscore", {"period": 10}, of="return_1", instrument="x:B"),
    FeatureSpec("together", "correlation", {"period": 6}, of="return_1", instrument="x:B"),
    FeatureSpec("apart", "spread", instrument="x:C"),
    FeatureSpec("mean_apart", "zscore", {"period": 5}, of="apart"),
    FeatureSpec("stands", "rank", of="score"),
]


def _set(specs: list[FeatureSpec], bars: Bars, **options: object) -> FeatureSet:
    return FeatureSet(specs, bars.instruments, MINUTE_NS, **options)  # type: ignore[arg-type]


def _three(rows: int = 120) -> Bars:
    return Bars.merge([made_bars(rows, f"x:{name}", seed, seed) for seed, name in enumerate("ABC")])


def _lived(features: FeatureSet, bars: Bars) -> np.ndarray:
    live = features.live()
    return np.array([live.update(row).copy() for row in bars.array])


def _flow(bars: Bars, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    trades, quotes = np.zeros(len(bars) * 7, TRADE), np.zeros(len(bars) * 9, QUOTE)
    for events in (trades, quotes):
        first, last = int(bars.array["open_time"].min()), int(bars.array["close_time"].max())
        events["event_time"] = np.sort(rng.integers(first - MINUTE_NS, last, len(events)))
        events["instrument"] = rng.integers(0, len(bars.instruments), len(events))
    trades["price"], trades["quantity"] = 100.0, rng.random(len(trades))
    trades["side"] = rng.choice([-1, 1], len(trades))
    quotes["bid"] = 100.0 + rng.integers(-3, 4, len(quotes)) * 0.01
    quotes["ask"] = quotes["bid"] + 0.02
    quotes["bid_quantity"], quotes["ask_quantity"] = rng.random((2, len(quotes))) + 0.1
    return trades, quotes


@pytest.mark.parametrize(
    ("specs", "gaps"), [(SOME, "refuse"), (ACROSS, "refuse"), (ACROSS, "restart"), (ACROSS, "span")]
)
def test_live_gives_the_same_bytes_in_any_order_of_rows_of_one_time(specs: list[FeatureSpec], gaps: str) -> None:
    bars = _three()
    if gaps != "refuse":
        bars = without(bars, [100, 101, 140, 200, 201, 202, 203])
    features = _set(specs, bars, gaps=gaps)
    table = features.table(bars)
    assert table.names == tuple(one.name for one in specs if not one.hidden)
    assert _lived(features, bars).tobytes() == table.values.tobytes()
    assert table.ready.sum() > 100
    assert np.array_equal(table.ready, np.isfinite(table.values).all(axis=1))
    order = np.lexsort((-bars.array["instrument"], bars.array["close_time"]))
    assert _lived(features, Bars(bars.array[order], bars.instruments)).tobytes() == table.values[order].tobytes()


@pytest.mark.parametrize("specs", [SOME, ACROSS])
def test_plain_gives_the_same_numbers(specs: list[FeatureSpec]) -> None:
    bars = _three(60)
    compiled, plain = _set(specs, bars), _set(specs, bars, compiled=False)
    assert np.array_equal(compiled.table(bars).values, plain.table(bars).values, equal_nan=True)
    assert np.array_equal(_lived(plain, bars), plain.table(bars).values, equal_nan=True)
    assert compiled.code_hash == plain.code_hash


def test_the_numbers_are_those_of_the_definitions() -> None:
    bars = made_bars(80)
    close = bars.array["close"]
    specs = [
        *SOME,
        FeatureSpec("r5", "return", {"bars": 5, "log": False}),
        FeatureSpec("near_high", "distance_to_high"),
    ]
    found = dict(
        zip((one.name for one in specs if not one.hidden), _set(specs, bars).table(bars).values.T, strict=True)
    )
    assert np.array_equal(found["rsi"], RSI.over(close, period=5), equal_nan=True)
    assert np.array_equal(found["percent_b"], BollingerBands.over(close).percent_b, equal_nan=True)
    assert np.allclose(found["r5"][5:], close[5:] / close[:-5] - 1.0)
    highest = [bars.array["high"][i - 19 : i + 1].max() for i in range(19, 80)]
    assert np.allclose(found["near_high"][19:], close[19:] / highest - 1.0)
    seconds = bars.array["close_time"] / 1e9 % 86_400  # London is on UTC in November
    assert np.allclose(found["hour"], np.sin(2 * math.pi * seconds / 86_400))


def test_what_is_taken_from_others_is_what_was_known_before() -> None:
    bars = Bars.merge([made_bars(60, "x:A", 1), made_bars(60, "x:B", 2), made_bars(60, "x:C", 3)])
    specs = [
        FeatureSpec("r", "return"),
        FeatureSpec("theirs", "return", instrument="x:B"),
        FeatureSpec("corr", "correlation", {"period": 10}, of="r", instrument="x:B"),
        FeatureSpec("rank", "rank", of="r"),
    ]
    values = _set(specs, bars).table(bars).values
    own, theirs, correlation, rank = (column.reshape(60, 3) for column in values.T)
    for k in range(3):
        assert np.array_equal(theirs[1:, k], own[:-1, 1], equal_nan=True)
        expected = Correlation.over(own[:, 1], own[:, k], period=10)
        assert np.allclose(correlation[1:, k], expected[:-1], rtol=0.0, atol=1e-12, equal_nan=True)
    below = (own[1:-1, :, None] > own[1:-1, None, :]).sum(axis=2) / 2.0
    assert np.array_equal(rank[2:], below)


def test_the_future_changes_nothing() -> None:
    bars = _three(80)
    trades, quotes = _flow(bars)
    flow = [
        FeatureSpec(name, name)
        for name in ("signed_volume", "trade_imbalance", "order_flow_imbalance", "quoted_spread")
    ]
    features = _set([*ACROSS, *flow], bars)
    whole = features.table(bars, trades=trades, quotes=quotes).values
    rng = np.random.default_rng(1)
    for cut in (90, 150, 200):
        time = bars.array["close_time"][cut]
        changed = Bars(bars.array.copy(), bars.instruments)
        later = changed.array["close_time"] > time
        for name in ("open", "high", "low", "close", "volume"):
            changed.array[name][later] *= rng.uniform(0.5, 2.0)
        late_trades, late_quotes = trades.copy(), quotes.copy()
        late_trades["quantity"][trades["event_time"] >= time] *= 3.0
        late_quotes["bid_quantity"][quotes["event_time"] >= time] *= 3.0
        found = features.table(changed, trades=late_trades, quotes=late_quotes).values
        assert found[~later].tobytes() == whole[~later].tobytes()


def test_flow_live_and_by_definition() -> None:
    bars = made_bars(50)
    trades, quotes = _flow(bars)
    specs = [FeatureSpec("net", "signed_volume"), FeatureSpec("share", "trade_imbalance"),
             FeatureSpec("ofi", "order_flow_imbalance"), FeatureSpec("book", "quote_imbalance"),
             FeatureSpec("wide", "quoted_spread", {"mean": True})]  # fmt: skip
    features = _set(specs, bars)
    table = features.table(bars, trades=trades, quotes=quotes).values
    for i, row in enumerate(bars.array):
        inside = (trades["event_time"] >= row["open_time"]) & (trades["event_time"] < row["close_time"])
        signed = (trades["quantity"] * trades["side"])[inside]
        assert math.isclose(table[i, 0], signed.sum(), abs_tol=1e-12)
        assert math.isclose(table[i, 1], signed.sum() / trades["quantity"][inside].sum() if inside.any() else 0.0)
        before = quotes[quotes["event_time"] < row["close_time"]]
        inside = before["event_time"] >= row["open_time"]
        if inside.any():
            last = before[-1]
            assert math.isclose(
                table[i, 3],
                (last["bid_quantity"] - last["ask_quantity"]) / (last["bid_quantity"] + last["ask_quantity"]),
            )
    live, lived = features.live(), []
    at = {"trade": 0, "quote": 0}
    for row in bars.array:
        until = row["close_time"] + MINUTE_NS // 3  # events of the next bar come before this one is closed
        for word, events, take in (("trade", trades, live.on_trade), ("quote", quotes, live.on_quote)):
            while at[word] < len(events) and events[at[word]]["event_time"] < until:
                take(events[at[word]])
                at[word] += 1
        lived.append(live.update(row).copy())
    assert np.array(lived).tobytes() == table.tobytes()
    with pytest.raises(InputError, match=r"need them: table\(bars, quotes=\.\.\.\)"):
        features.table(bars, trades=trades)


def test_state_goes_on_after_a_restart() -> None:
    bars = _three()
    trades, quotes = _flow(bars)
    features = _set([*ACROSS, FeatureSpec("net", "signed_volume", {"period": 3})], bars)
    table = features.table(bars, trades=trades, quotes=quotes).values
    live, at = features.live(), 0
    for i, row in enumerate(bars.array):
        while at < len(trades) and trades[at]["event_time"] < row["close_time"] + MINUTE_NS // 2:
            live.on_trade(trades[at])
            at += 1
        if i % 17 == 0:
            saved, live = live.save(), features.live()
            live.restore(saved)
        assert live.update(row).tobytes() == table[i].tobytes()
    with pytest.raises(DataError, match="other code, other features"):
        _set(SOME, bars).live().restore(saved)
    with pytest.raises(DataError, match="damaged"):
        features.live().restore(saved[: len(saved) // 2])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("gaps", ["refuse", "restart", "span"])
@pytest.mark.parametrize("rows", [0, 1, 2, 100, 2_500])
def test_a_history_given_at_once_leads_to_the_same(rows: int, gaps: str, compiled: bool) -> None:
    if not compiled and rows > 100:
        return
    parts = [made_bars(rows + 50, f"x:{name}", seed, seed) for seed, name in enumerate("ABC")]
    parts[1] = without(parts[1], [7, 8, 9, 30])
    bars = Bars.merge(parts)
    features = _set(ACROSS, bars, gaps=gaps, compiled=compiled)
    first = bars.array[:rows]
    late = np.concatenate([first, first[rows // 2 : rows // 2 + 3]])  # bars that come again are left out
    live, stepped = features.live_after(late), features.live()
    for row in first:
        stepped.update(row)
    following = bars.array[rows:]
    assert [live.update(row).tobytes() for row in following] == [stepped.update(row).tobytes() for row in following]


def test_a_hole_is_refused_or_begins_anew() -> None:
    bars = made_bars(100)
    holed = without(bars, [50, 51])
    with pytest.raises(DataError, match=r"x:A has 1 hole, the first from .*restart"):
        _set(SOME, bars).table(holed)
    restarted = _set(SOME, bars, gaps="restart").table(holed).values
    after = Bars(bars.array[52:], bars.instruments)
    assert restarted[50:].tobytes() == _set(SOME, bars).table(after).values.tobytes()
    spanned = _set(SOME, bars, gaps="span").table(holed).values
    assert np.isfinite(spanned[50:]).all()


def test_a_feature_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import math\nfrom quantlytic.indicators import SMA\nfrom quantlytic.learn.features.feature import Feature\n\n"
        "class Gap(Feature):\n    def __init__(self, period=3):\n        self.mean = SMA(period)\n"
        "        self.last = math.nan\n\n"
        "    def update(self, bar):\n        gap = bar.open / self.last - 1.0\n        self.last = bar.close\n"
        "        return self.mean.update(gap)\n\n"
        "class Broken(Feature):\n    def update(self, bar):\n        return bar.closing\n\nclass Other:\n    pass\n"
    )
    bars = made_bars(40)
    features = _set([FeatureSpec("gap", "mine.py:Gap", {"period": 2})], bars, folder=tmp_path)
    table = features.table(bars).values
    gaps = bars.array["open"][1:] / bars.array["close"][:-1] - 1.0
    assert np.allclose(table[2:, 0], (gaps[1:] + gaps[:-1]) / 2.0)
    assert _lived(features, bars).tobytes() == table.tobytes()
    before = features.code_hash
    assert _set([FeatureSpec("gap", "mine.py:Gap", {"period": 2})], bars, folder=tmp_path).code_hash == before
    file.write_text(file.read_text().replace("- 1.0", "- 1.5"))
    assert _set([FeatureSpec("gap", "mine.py:Gap", {"period": 2})], bars, folder=tmp_path).code_hash != before
    for name, error, words in (
        ("mine.py:Gapp", InputError, "did you mean 'Gap'"),
        ("mine.py:Other", InputError, "is no feature"),
        ("other.py:Gap", InputError, "there is no file"),
        ("mine.py:Broken", StrategyError, "closing"),
    ):
        with pytest.raises(error, match=words):
            _set([FeatureSpec("f", name)], bars, folder=tmp_path).table(bars)


def test_events_of_the_tape_do_as_well_as_rows() -> None:
    bars = made_bars(30)
    features = _set([FeatureSpec("rsi", "rsi", {"period": 3}), FeatureSpec("net", "signed_volume")], bars)
    rows, events = features.live(), features.live()
    for row in bars.array:
        numbers = {
            name: row[name].item() for name in ("open_time", "close_time", "open", "high", "low", "close", "volume")
        }
        trade = Trade("x:A", numbers["open_time"], numbers["open_time"], 1, 100.0, 0.5, -1)  # type: ignore[arg-type]
        events.on_trade(trade)
        record = np.zeros(1, TRADE)[0]
        for name in ("event_time", "price", "quantity", "side"):
            record[name] = getattr(trade, name)
        rows.on_trade(record)
        assert events.update(Bar("x:A", **numbers)).tobytes() == rows.update(row).tobytes()
    with pytest.raises(InputError, match="not for x:Z"):
        events.update(Bar("x:Z", **numbers))
    with pytest.raises(DataError, match="in order of time, each once"):
        rows.update(bars.array[-1])


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        ([FeatureSpec("a", "rsii")], "no kind of feature 'rsii': did you mean 'rsi'"),
        ([FeatureSpec("a", "rsi", {"perod": 3})], "no parameter 'perod': did you mean 'period'"),
        ([FeatureSpec("a", "sma")], "SMA needs the parameter 'period'"),
        ([FeatureSpec("a", "rsi", {"period": 0})], "feature 'a': RSI: the period"),
        ([FeatureSpec("a", "rsi", of="closs")], "no column 'closs' .* did you mean 'close'"),
        ([FeatureSpec("a", "rsi"), FeatureSpec("a", "sma")], "two features are named 'a'"),
        ([FeatureSpec("close", "rsi")], "cannot be named 'close'"),
        ([FeatureSpec("a", "atr", of="open")], "takes high, low, close of the bar"),
        ([FeatureSpec("a", "bollinger_bands", output="uper")], "no output 'uper': did you mean 'upper'"),
        ([FeatureSpec("a", "beta")], "compares two instruments: name one"),
        ([FeatureSpec("a", "beta", instrument="x:b")], "no instrument 'x:b': did you mean 'x:"),
        ([FeatureSpec("a", "hour_sin", {"zone": "Mars"})], "no time zone 'Mars'"),
        ([FeatureSpec("a", "since_open", {"open": "25:00"})], "not a time of day"),
        ([FeatureSpec("a", "rsi", hidden=True)], "at least one feature that is not hidden"),
        ([FeatureSpec("a", "hour_sin", of="close")], "reads whole bars"),
        (
            [FeatureSpec("a", "ratio", instrument="x:B"), FeatureSpec("b", "rank", of="a")],
            "cannot be looked at from another",
        ),
    ],
)
def test_says_what_is_wrong(specs: list[FeatureSpec], words: str) -> None:
    with pytest.raises(InputError, match=words):
        _set(specs, _three(3))


def test_says_what_is_wrong_with_the_data() -> None:
    bars = made_bars(30)
    with pytest.raises(DataError, match="'slow' is not known in any of 30 rows"):
        _set([FeatureSpec("slow", "sma", {"period": 31})], bars).table(bars)
    away = bars_of(1.1 ** np.arange(30))
    with pytest.raises(DataError, match=r"'half' is infinite in \d+ rows, first in row 5"):
        _set([FeatureSpec("half", "half_life", {"period": 5})], away).table(away)
    with pytest.raises(InputError, match="made for x:A, not for x:B"):
        _set(SOME, bars).table(made_bars(5, "x:B"))


def test_five_instruments_as_they_were(market_data: Path) -> None:
    array, instruments = read_bars(market_data / "binance_spot_1h_staticklines.parquet")
    hour = 3600 * 10**9
    holes = find_holes(Bars(array, instruments))
    assert len(holes), "the point is that there are holes"
    bars = Bars(array, instruments).between(int(holes["start"][0]) - 400 * hour, int(holes["start"][0]) + 200 * hour)
    other = instruments[1].id
    specs = [*SOME, FeatureSpec("with", "correlation", {"period": 24}, of="return_1", instrument=other),
             FeatureSpec("stands", "rank", of="return_1")]  # fmt: skip
    with pytest.raises(DataError, match=r"has 1 hole, the first from 2023-03-24T1"):
        FeatureSet(specs, instruments, hour).table(bars)
    features = FeatureSet(specs, instruments, hour, gaps="restart")
    table = features.table(bars)
    assert _lived(features, bars).tobytes() == table.values.tobytes()
    before, after = bars.array["close_time"] <= holes["start"][0], bars.array["open_time"] >= holes["end"][0]
    assert table.ready[before][-1]
    assert not table.ready[after][0]
    assert table.ready[after].mean() > 0.8


def test_summer_time_and_sessions() -> None:
    bars = made_bars(3)
    bars.array["close_time"] = [START_NS, 1_710_000_000 * 10**9, 1_720_000_000 * 10**9]
    bars.array["open_time"] = bars.array["close_time"] - MINUTE_NS
    zone = {"zone": "America/New_York"}
    specs = [FeatureSpec("since", "since_open", zone), FeatureSpec("until", "until_close", zone)]
    values = FeatureSet(specs, bars.instruments, 0).table(bars).values
    # 2023-11-14 17:14 (winter), 2024-03-09 11:00 (winter), 2024-07-03 05:46:40 (summer) in New York
    assert np.allclose(values[:, 0], [17 * 60 + 14 - 570, 11 * 60 - 570, 5 * 60 + 46 + 40 / 60 - 570])
    assert np.allclose(values[:, 0] + values[:, 1], 390.0)


def test_every_indicator_is_a_kind() -> None:
    public = {
        name.lower()
        for name in indicators.__all__
        if isinstance(member := getattr(indicators, name), type) and issubclass(member, indicators.Indicator)
    }
    assert public - set(catalogue()) == {
        "indicator",
        "macdext",
        "sessionvwap",
    }  # the base; those that take averages, times


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_kind_knows_the_past_alone(name: str) -> None:
    bars = Bars.merge([made_bars(400, "x:A", 1), made_bars(400, "x:B", 2)])
    pair = name in ("beta", "correlation", "cointegration", "kalmanregression", "ratio", "spread", "difference")
    period = inspect.signature(catalogue()[name]).parameters.get("period")
    params = {"period": 7} if period is not None and period.default is period.empty else {}
    of = "volume" if name == "halflife" else ""  # of what wanders, it is infinite
    features = _set([FeatureSpec("f", name, params, of, "x:B" if pair else "")], bars)
    trades, quotes = _flow(bars)
    whole = features.table(bars, trades=trades, quotes=quotes)
    part = Bars(bars.array[:600], bars.instruments)
    assert features.table(part, trades=trades, quotes=quotes).values.tobytes() == whole.values[:600].tobytes()
    if not features.graph.events:
        assert _lived(features, part).tobytes() == whole.values[:600].tobytes()
