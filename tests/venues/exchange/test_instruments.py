"""Filters and exact decimals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantlytic.model.errors import InputError
from quantlytic.venues.exchange.instruments import SEED_PRICES, listing_for, split_symbol
from quantlytic.venues.exchange.rejects import Reject
from quantlytic.venues.exchange.units import e8, e8_text


@given(st.integers(0, 10**18))
def test_text_and_units_are_the_same_thing(value: int) -> None:
    assert e8(e8_text(value)) == value


@pytest.mark.parametrize("text", ["", "-1", "1e5", "NaN", "0.123456789", ".", "1 ", "٣", "1,5", "+1", "9" * 13])
def test_what_is_no_amount(text: str) -> None:
    assert e8(text) is None


def test_short_forms() -> None:
    assert [e8("1"), e8("1."), e8(".5"), e8("0.10000000000")] == [10**8, 10**8, 5 * 10**7, 10**7]


@pytest.mark.parametrize(
    ("price", "quantity", "filter_name"),
    [
        ("60000.001", "1", "PRICE_FILTER"),
        ("0", "1", "PRICE_FILTER"),
        ("2000000", "1", "PRICE_FILTER"),
        ("60000", "0.000001", "LOT_SIZE"),
        ("60000", "0", "LOT_SIZE"),
        ("60000", "10001", "LOT_SIZE"),
        ("60000", "0.00008", "NOTIONAL"),
    ],
)
def test_filters_say_their_name(price: str, quantity: str, filter_name: str) -> None:
    listing = listing_for("BTCUSDT")
    with pytest.raises(Reject, match=f"Filter failure: {filter_name}") as refusal:
        listing.check_notional(listing.ticks(price), listing.lots(quantity))
    assert refusal.value.code == -1013


def test_price_band() -> None:
    listing = listing_for("BTCUSDT")
    listing.check_band(200, 1000)
    listing.check_band(5000, 1000)
    for ticks in (199, 5001):
        with pytest.raises(Reject, match="PERCENT_PRICE_BY_SIDE"):
            listing.check_band(ticks, 1000)


def test_every_listing_has_exact_notionals_and_says_its_steps() -> None:
    for symbol in SEED_PRICES:
        listing = listing_for(symbol)
        assert listing.tick_e8 * listing.lot_e8 == listing.notional_e8 * 10**8
        filters = {entry["filterType"]: entry for entry in listing.info()["filters"]}
        assert e8(filters["PRICE_FILTER"]["tickSize"]) == listing.tick_e8
        assert e8(filters["LOT_SIZE"]["stepSize"]) == listing.lot_e8


def test_unknown_symbols_are_named() -> None:
    with pytest.raises(InputError, match=r"NOPEUSDT.*BTCUSDT"):
        listing_for("NOPEUSDT")
    with pytest.raises(InputError, match="XYZ"):
        split_symbol("XYZ")
    assert split_symbol("ETHBTC") == ("ETH", "BTC")
