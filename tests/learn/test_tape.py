"""Features of trades and quotes in training: from what the lake recorded, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.learn.made import MINUTE_NS, made_bars
from tests.learn.test_train import SPEC, trained

from quantlytic.engine.data.bars import Bars
from quantlytic.learn.features.featureset import FeatureSet
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.registry.runtime import ServedModel
from quantlytic.learn.samples.tape import tape_hash, taped_bars
from quantlytic.model.bar import Bar
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.event import Event
from quantlytic.model.quote import Quote
from quantlytic.model.side import Side
from quantlytic.model.trade import Trade
from quantlytic.store.barwriter import write_bars
from quantlytic.store.lake.lake import Lake

ROWS = 240
FLOW = [
    FeatureSpec("net", "signed_volume", {"period": 3}),
    FeatureSpec("share", "trade_imbalance", {"period": 3}),
    FeatureSpec("flow", "order_flow_imbalance", {"period": 3}),
    FeatureSpec("spread", "quoted_spread"),
]
TEXT = SPEC.replace(
    'source = "bars.parquet"\nbar_size = "1h"', 'source = "lake"\nsymbols = ["x:A", "x:B"]\nbar_size = "1m"'
)
TEXT += "".join(
    f'[[features]]\nname = "{one.name}"\nkind = "{one.kind}"\n' + ("params = {period = 3}\n" if one.params else "")
    for one in FLOW
)


def recorded(folder: Path, without: tuple[str, ...] = (), hole: tuple[int, int] = (0, 0), twice: bool = False) -> Bars:
    """A lake of bars with three trades and two quotes each, but those kinds, and those rows' events."""
    lake = Lake(folder / "home" / "lake")
    random = np.random.default_rng(1)
    bars = Bars.merge([made_bars(ROWS, f"x:{name}", seed) for seed, name in enumerate("AB")])
    bars.array["trades"] = 3
    market: list[Event] = []
    closed: list[Event] = []
    for row in bars.array:
        name, minute = bars.instruments[row["instrument"]].id, int(row["open_time"])
        fields = {key: row[key].item() for key in Bar.__struct_fields__ if key not in ("instrument", "forecast")}
        closed.append(Bar(instrument=name, **fields))
        if hole[0] <= (minute - int(bars.array["open_time"][0])) // MINUTE_NS < hole[1]:
            continue
        for k in range(3):
            side = Side.BUY if random.random() < 0.5 else Side.SELL
            time = minute + 1_000_000_000 * (k + 1)
            market.append(Trade(name, time, time, len(market) + 1, 100.0, float(random.random()), side))
        for k in range(2):
            time = minute + 10_000_000_000 * (k + 1)
            bid = 100.0 + round(float(random.random()), 2)
            market.append(
                Quote(name, time, time, len(market), bid, float(random.random()), bid + 0.1, float(random.random()))
            )
    kept = [one for one in market if type(one).__name__.lower() not in without]
    lake.append("bars.x", list(range(len(closed))), closed)
    lake.append("market.x", list(range(len(kept))), kept)
    if twice:
        lake.append("market.x.again", [0], [kept[0]])
    return bars


def test_the_table_is_that_of_the_events_themselves(tmp_path: Path) -> None:
    bars = recorded(tmp_path)
    found, tape = taped_bars(str(tmp_path / "home" / "lake"), bars, {"trade", "quote"}, "refuse")
    assert found is bars
    assert len(tape["trade"]) == 3 * len(bars)
    table = FeatureSet(FLOW, bars.instruments, MINUTE_NS).table(bars, trades=tape["trade"], quotes=tape["quote"])
    assert table.ready.sum() > 0.9 * len(bars)
    mine = tape["trade"][tape["trade"]["instrument"] == 1]
    last = bars.array[bars.array["instrument"] == 1][-1]
    inside = mine["event_time"] >= last["open_time"] - 2 * MINUTE_NS
    assert np.isclose(
        table.values[np.flatnonzero(bars.array["instrument"] == 1)[-1], 0],
        (mine["quantity"] * mine["side"])[inside].sum(),
    )


def test_trained_on_recorded_flow_and_served(tmp_path: Path) -> None:
    recorded(tmp_path)
    (one,) = trained(tmp_path, TEXT)
    assert one.manifest.columns[-4:] == ("net", "share", "flow", "spread")
    from quantlytic.learn.registry.registry import Registry

    ServedModel(Registry(tmp_path / "home" / "lake").get(one.manifest.model_id)).golden()
    (again,) = trained(tmp_path, TEXT)
    assert again.manifest.model_id == one.manifest.model_id


def test_other_trades_are_other_data(tmp_path: Path) -> None:
    bars = recorded(tmp_path)
    _, tape = taped_bars(str(tmp_path / "home" / "lake"), bars, {"trade"}, "refuse")
    before = tape_hash("a" * 64, tape)
    tape["trade"]["quantity"][7] *= 2
    assert tape_hash("a" * 64, tape) != before
    assert tape_hash("a" * 64, {}) == "a" * 64


def test_a_file_has_no_trades(tmp_path: Path) -> None:
    bars = made_bars(ROWS)
    write_bars(tmp_path / "bars.parquet", bars.array, bars.instruments)
    text = TEXT.replace('source = "lake"\nsymbols = ["x:A", "x:B"]', 'source = "bars.parquet"')
    (tmp_path / "home" / "lake").mkdir(parents=True)
    with pytest.raises(InputError, match=r"feature 'net' is made of trades, and bars.parquet holds bars"):
        trained(tmp_path, text)


@pytest.mark.parametrize("missing", ["trade", "quote"])
def test_bars_without_their_tape_are_refused(tmp_path: Path, missing: str) -> None:
    recorded(tmp_path, without=(missing,))
    with pytest.raises(DataError, match=f"no {missing}s, or not all of them, in the lake for 480 of 480 bars"):
        trained(tmp_path, TEXT)
    with pytest.raises(DataError, match="for none of these bars the lake has all quotes and trades"):
        trained(tmp_path, TEXT.replace('bar_size = "1m"', 'bar_size = "1m"\ngaps = "restart"'))


def test_bars_without_their_tape_are_as_holes(tmp_path: Path) -> None:
    recorded(tmp_path, hole=(100, 120))
    with pytest.raises(DataError, match="for 40 of 480 bars"):
        trained(tmp_path, TEXT)
    (one,) = trained(tmp_path, TEXT.replace('bar_size = "1m"', 'bar_size = "1m"\ngaps = "restart"'))
    assert len(one.bars) == 440
    minute = (one.problem.times - one.problem.times[0]) // MINUTE_NS
    assert not np.isin(minute, np.arange(92, 112)).any()  # 14 bars are before the first row of the table


def test_a_trade_that_is_there_twice_is_told(tmp_path: Path) -> None:
    recorded(tmp_path, twice=True)
    with pytest.raises(DataError, match="trade 1 of x:A twice"):
        trained(tmp_path, TEXT)
