"""What a venue says is in numbers, or it is no answer."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from quantlytic.model.order import OrderStatus
from quantlytic.model.side import Side
from quantlytic.venues.answers import Unheard
from quantlytic.venues.port import Balance, OrderState, VenueFill

ORDER = OrderState(client_order_id="r.1", instrument="box:BTCUSDT", status=OrderStatus.NEW, quantity=1.0, price=100.0)
TRADE = VenueFill(
    trade_id=1, venue_order_id=2, instrument="box:BTCUSDT", event_time=3, side=Side.BUY, quantity=1.0, price=100.0,
    fee=0.1, fee_asset="USDT",
)  # fmt: skip
HELD = Balance("BTC", 1.0, 0.0)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("answer", "name"),
    [(ORDER, "quantity"), (ORDER, "filled_quantity"), (ORDER, "quote_filled"), (TRADE, "quantity"), (TRADE, "price"),
     (TRADE, "fee"), (HELD, "free"), (HELD, "locked")],
)  # fmt: skip
def test_what_is_no_number_is_no_answer(answer: Any, name: str, number: float) -> None:
    with pytest.raises(Unheard, match=str(number)):
        msgspec.structs.replace(answer, **{name: number})


@pytest.mark.parametrize("name", ["quantity", "price"])
def test_a_trade_below_zero_is_none(name: str) -> None:
    with pytest.raises(Unheard, match="is no trade"):
        msgspec.structs.replace(TRADE, **{name: -1.0})


def test_what_venues_do_say_is_taken() -> None:
    msgspec.structs.replace(ORDER, price=math.nan)  # a market order
    msgspec.structs.replace(ORDER, quote_filled=-1.0)  # Binance: not known of an old order
    msgspec.structs.replace(TRADE, fee=-0.1)  # a rebate
    Balance("AAPL", -5.0, 0.0)  # a short position
