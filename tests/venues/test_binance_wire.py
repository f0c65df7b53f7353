"""What Binance's own rules must hold before they are believed."""

from __future__ import annotations

import json

import pytest

from quantlytic.model.errors import VenueError
from quantlytic.venues.binance import wire


def reply(tick_size: str) -> bytes:
    rules = [{"filterType": "PRICE_FILTER", "tickSize": tick_size}]
    return json.dumps({"symbols": [{"symbol": "AB", "baseAsset": "A", "quoteAsset": "B", "filters": rules}]}).encode()


def test_rules_are_read() -> None:
    (found,) = wire.instruments("binance", reply("0.01"))
    assert (found.id, found.tick_size) == ("binance:AB", 0.01)


@pytest.mark.parametrize("tick_size", ["NaN", "Infinity", "-0.01", "1e999", "much"])
def test_rules_that_are_no_sizes_are_refused(tick_size: str) -> None:
    with pytest.raises(VenueError, match="exchangeInfo reply cannot be read"):
        wire.instruments("binance", reply(tick_size))
