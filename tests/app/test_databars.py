"""`quantlytic data bars`: a file of trades to a file of bars that a backtest takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.app.conftest import Command, answer
from tests.engine.market import same_rows

from quantlytic import load_bars
from quantlytic.engine.data.infobars import BarRule
from quantlytic.research.data.holes import find_holes
from quantlytic.research.data.tradebars import make_bars


def test_bars_of_real_trades(quantlytic: Command, market_data: Path, tmp_path: Path) -> None:
    trades = pl.read_parquet(market_data / "trades_es_2013-09_mlfinpy.parquet").head(20_000)
    trades.write_parquet(tmp_path / "es.parquet")
    words = ("--kind", "volume", "--size", "1000", "--quantity", "size", "--json")
    done = answer(quantlytic("data", "bars", "es.parquet", *words, "--out", "bars.parquet"))
    back = load_bars(tmp_path / "bars.parquet")
    made = make_bars(tmp_path / "es.parquet", BarRule("volume", 1000), quantity="size")
    assert (done["bars"], done["trades"], done["left_over"]) == (len(back), 20_000, made.left_over)
    assert same_rows(back.array, made.bars.array)
    assert back.array["trades"].sum() + made.left_over == 20_000
    assert (back.array["volume"] >= 1000).all()
    assert len(find_holes(back)) == 0  # bars by activity have no holes
    code, out, _ = quantlytic("data", "bars", "es.parquet", *words[:-1], "-o", "bars.csv")
    assert (code, out.split(":")[0]) == (0, "bars.csv")
    assert same_rows(load_bars(tmp_path / "bars.csv").array, made.bars.array)


def test_several_symbols_and_sides(quantlytic: Command, tmp_path: Path) -> None:
    ts = np.arange(1_700_000_000_000_000_000, 1_700_000_000_000_000_040, dtype=np.int64)
    rows = {"ts": ts, "price": 10.0, "quantity": 1.0, "symbol": ["A", "B"] * 20, "side": ["buy", "sell"] * 20}
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    done = answer(quantlytic("data", "bars", "t.csv", "--kind", "tick", "--size", "6", "-o", "b.parquet", "--json"))
    assert (done["bars"], done["left_over"], done["instruments"]) == (6, 4, ["A", "B"])
    words = ("--kind", "tick_imbalance", "--size", "4", "--symbol", "B", "-o", "b.parquet", "--json")
    assert answer(quantlytic("data", "bars", "t.csv", *words))["instruments"] == ["B"]


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (("t.csv", "--kind", "volume", "--size", "0", "-o", "b.csv"), 2, "size above 0"),
        (("t.csv", "--kind", "volume", "--size", "1e9", "-o", "b.csv"), 3, "do not end one volume bar"),
        (("t.csv", "--kind", "tick", "--size", "2", "-o", "t.csv"), 2, "is the file of trades itself"),
        (("t.csv", "--kind", "tick", "--size", "2", "-o", "b.txt"), 2, "ending must be .csv or .parquet"),
        (("t.csv", "--kind", "tick", "--size", "2", "-o", "no/b.csv"), 4, "cannot be written"),
        (("t.csv", "--kind", "tick", "--size", "2", "--quantity", "amount", "-o", "b.csv"), 3, "no column 'amount'"),
        (("none.csv", "--kind", "tick", "--size", "2", "-o", "b.csv"), 2, "does not exist"),
        (("t.csv", "--kind", "moon", "--size", "2", "-o", "b.csv"), 2, "moon"),
    ],
)
def test_bad_requests_are_one_line(
    quantlytic: Command, tmp_path: Path, words: tuple[str, ...], code: int, what: str
) -> None:
    (tmp_path / "t.csv").write_text("ts,price,quantity\n1700000000000000000,10,1\n1700000000000000001,11,1\n")
    found, out, err = quantlytic("data", "bars", *words)
    assert (found, out) == (code, "")
    assert what in err
    assert err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv"]
