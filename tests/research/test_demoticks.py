"""Invented quotes and trades: whole, the same for everybody, and of one market."""

from __future__ import annotations

import numpy as np
import pytest

import quantlytic as ql
from quantlytic.model.errors import InputError


def test_trades_are_at_the_quotes_in_force() -> None:
    quotes, trades = ql.demo_quotes(2001, 4).array, ql.demo_trades(2000, 4).array
    assert (np.diff(quotes["event_time"]) > 0).all()
    assert (np.diff(trades["event_time"]) >= 0).all()
    assert (quotes["bid"] < quotes["ask"]).all()
    assert (trades["quantity"] > 0).all()
    before = quotes[np.searchsorted(quotes["event_time"], trades["event_time"], "right") - 1]
    beyond = np.where(trades["side"] > 0, trades["price"] - before["ask"], before["bid"] - trades["price"])
    assert set(np.round(beyond / 0.01).astype(int).tolist()) <= {0, 1, 2}
    assert 0.02 < (beyond > 0.005).mean() < 0.2


def test_shorter_series_begin_longer_ones() -> None:
    for make in (ql.demo_quotes, ql.demo_trades):
        short, long = make(100, 2).array, make(900, 2).array
        for field in short.dtype.names:
            assert short[field].tobytes() == long[field][:100].tobytes()
        assert make(100, 3).array["event_time"].tolist() != short["event_time"].tolist()


@pytest.mark.parametrize(("n", "seed"), [(0, 1), (5, -1), (True, 1), (2.5, 1)])
def test_what_cannot_be_is_refused(n: int, seed: int) -> None:
    with pytest.raises(InputError, match="is a whole number"):
        ql.demo_quotes(n, seed)
