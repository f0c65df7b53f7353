"""What can be chosen, and what cannot."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tests.web.alerts.conftest import Service

from quantlytic.model.errors import InputError
from quantlytic.store.control.records import KINDS, Subscription
from quantlytic.web.alerts.choices import (
    KIND_TEXTS,
    MAX_NEW_INSTRUMENTS,
    MAX_WAITING_INSTRUMENTS,
    Choices,
    Offer,
    choices_of,
    time_zones,
)


@pytest.fixture
def offer(service: Service) -> Offer:
    return Offer(["binance:BTCUSDT"], ["sma-cross"], service.control.wanted)


def test_every_kind_is_explained() -> None:
    assert tuple(KIND_TEXTS) == KINDS


def test_defaults_can_be_chosen(offer: Offer) -> None:
    assert offer.settle(Choices()) == Choices()
    assert Choices().subscription("x") == Subscription("x", ("*",), ("recommended",), ("signal", "digest"), 50.0)


def test_repetitions_go_and_all_stands_alone(offer: Offer) -> None:
    choices = Choices(
        instruments=["binance:BTCUSDT"] * 2, strategies=["sma-cross", "*"], kinds=["fill", "signal", "fill"]
    )
    settled = offer.settle(choices)
    assert (settled.instruments, settled.strategies, settled.kinds) == (["binance:BTCUSDT"], ["*"], ["fill", "signal"])
    settled = offer.settle(Choices(instruments=["binance:BTCUSDT", "yahoo:AAPL", "*"]))
    assert settled.instruments == ["*", "yahoo:AAPL"]  # what is not tracked is still asked for


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"time_zone": "Mars/Olympus"}, "time_zone is none that is known"),
        ({"time_zone": "../../etc/passwd"}, "time_zone is none that is known"),
        ({"strategies": ["sma-cross", "nope"]}, "there is no strategy 'nope'"),
        ({"strategies": ["\ud800"]}, r"there is no strategy '\\ud800'"),
        ({"instruments": ["BTCUSDT"]}, "'BTCUSDT' is no instrument"),
        ({"instruments": ["binance:BTC\nUSDT"]}, r"'binance:BTC\\nUSDT' is no instrument"),
        ({"instruments": ["binance:<script>"]}, "is no instrument"),
        ({"instruments": ["Binance:BTCUSDT"]}, "is no instrument"),
        ({"instruments": [f"yahoo:A{n}" for n in range(MAX_NEW_INSTRUMENTS + 1)]}, "at most 10 instruments"),
    ],
)
def test_what_cannot_be_chosen(offer: Offer, changes: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        offer.settle(Choices().model_copy(update=changes))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "changes",
    [
        {"instruments": []}, {"strategies": []}, {"kinds": []}, {"kinds": ["nope"]}, {"instruments": ["x" * 101]},
        {"instruments": ["yahoo:A"] * 51}, {"near_bps": -1}, {"near_bps": 1001}, {"near_bps": float("nan")},
        {"near_bps": float("inf")}, {"quiet_start": "24:00"}, {"quiet_start": "7:00"}, {"quiet_end": "07:60"},
        {"quiet_end": "07:00\n"}, {"quiet_end": "٠٧:٠٠"}, {"time_zone": ""}, {"unknown": 1}, {"instruments": "yahoo:A"},
    ],
)  # fmt: skip
def test_what_is_no_choice(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Choices.model_validate(changes)


def test_symbols_of_many_venues_are_well_formed(offer: Offer) -> None:
    names = ["yahoo:^GSPC", "yahoo:BRK-B", "yahoo:EURUSD=X", "kraken:BTC/USD", "bybit:BTC/USDT:USDT", "box:A.B_C"]
    assert offer.settle(Choices(instruments=names)).instruments == names


def test_instruments_that_were_added_can_be_chosen(offer: Offer, service: Service) -> None:
    service.control.wanted.add("yahoo:AAPL", 1)
    service.control.wanted.add("yahoo:NOPE", 2)
    assert offer.instruments == ("binance:BTCUSDT",)
    service.control.wanted.done("yahoo:AAPL", 3)
    service.control.wanted.done("yahoo:NOPE", 3, "there is none")
    assert offer.instruments == ("binance:BTCUSDT", "yahoo:AAPL")
    assert offer.new_instruments(["*", "yahoo:AAPL", "yahoo:X", "yahoo:X"]) == ["yahoo:X"]


def test_the_queue_for_history_has_an_end(offer: Offer, service: Service) -> None:
    for number in range(MAX_WAITING_INSTRUMENTS):
        service.control.wanted.add(f"yahoo:W{number}", number)
    with pytest.raises(InputError, match="too many new instruments"):
        offer.settle(Choices(instruments=["yahoo:LATE"]))
    assert offer.settle(Choices(instruments=["yahoo:W5"])).instruments == ["yahoo:W5"]
    assert offer.settle(Choices()) == Choices()


def test_what_is_kept_reads_as_it_was_chosen(service: Service) -> None:
    given = {
        "instruments": ["yahoo:AAPL"], "strategies": ["macd", "recommended"], "kinds": ["risk"], "near_bps": 12.5,
        "time_zone": "Asia/Kolkata", "quiet_start": "23:59", "quiet_end": "00:01",
    }  # fmt: skip
    who = service.subscribe(**given)
    assert (who.quiet_start_min, who.quiet_end_min) == (1439, 1)
    found = service.control.subscribers.for_event("risk")[0]
    assert choices_of(found).model_dump() == given


def test_time_zones_can_all_be_used() -> None:
    import zoneinfo

    assert time_zones()[0] == "UTC"
    assert {"Europe/Berlin", "America/New_York", "Asia/Kolkata"} <= set(time_zones())
    for name in time_zones():
        zoneinfo.ZoneInfo(name)
