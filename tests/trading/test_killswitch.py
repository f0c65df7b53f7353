"""The kill switch against a venue that is slow, forgetful and stubborn."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trading.fake_venue import FakeVenue

from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import OrderStatus
from quantlytic.model.side import Side
from quantlytic.trading.killreport import KillReport
from quantlytic.trading.killswitch import KillTarget, KillTimings, kill
from quantlytic.trading.latch import Latch

BTC = Instrument("box:BTCUSDT", "BTC", "USDT", 0.01, 0.001, 5.0)
ETH = Instrument("box:ETHUSDT", "ETH", "USDT", 0.01, 0.001, 5.0)
QUICK = KillTimings(deadline=5.0, quiet=0.05, poll=0.01, call=1.0)


def target(venue: Any, folder: Path, keep: dict[str, float] | None = None) -> KillTarget:
    async def instruments() -> Sequence[Instrument]:
        return [BTC, ETH]

    return KillTarget("main", Latch(folder, "main"), lambda: venue, instruments, keep or {})


def pull(venue: Any, folder: Path, keep: dict[str, float] | None = None, **how: Any) -> KillReport:
    options: dict[str, Any] = {"by": "test", "timings": QUICK} | how
    return asyncio.run(kill(target(venue, folder, keep), **options))


def test_the_latch_shuts_before_anything_is_asked_and_all_is_cancelled(tmp_path: Path) -> None:
    venue = FakeVenue({"USDT": 1000.0, "BTC": 1.0})
    for number in range(7):
        venue.rest(f"order-{number}")
    latch = Latch(tmp_path, "main")
    shut = []
    venue.on_request = lambda _: shut.append(latch.read() is not None)
    report = pull(venue, tmp_path)
    assert report.problems == []
    assert all(shut)
    assert report.is_verified
    assert report.is_flat is None
    assert {order.status for order in report.cancelled} == {"CANCELED"}
    assert len(report.cancelled) == 7
    assert report.held == {"BTC": 1.0, "USDT": 1000.0}
    assert not any(what.startswith("submit") for what in venue.asked)
    halt = latch.read()
    assert halt is not None
    assert (halt.cause, halt.by) == ("kill", "test")
    again = pull(venue, tmp_path)
    assert again.is_verified
    assert again.cancelled == []


def test_flatten_sells_what_is_above_what_is_kept_and_names_the_dust(tmp_path: Path) -> None:
    venue = FakeVenue({"USDT": 1000.0, "BTC": 1.23456, "ETH": 0.04, "DOGE": 5.0})
    venue.rest("mine", Side.SELL, 1.0)
    report = pull(venue, tmp_path, {"BTC": 0.2}, flatten=True)
    assert report.is_verified
    assert report.is_flat
    assert venue.totals["BTC"] == pytest.approx(0.20056)
    assert venue.totals["DOGE"] == 5.0  # not of the account's instruments
    assert [(sale.side, sale.quantity, sale.status) for sale in report.flattened if sale.filled_quantity] == [
        ("SELL", 1.034, "FILLED")
    ]
    assert set(report.held) == {"BTC", "ETH"}
    assert len(report.dust) == 2
    assert "ETH" in "".join(report.dust)
    text = "\n".join(report.lines())
    assert text.splitlines()[-1].startswith("VERIFIED in ")
    assert "too small to sell: 0.04 ETH" in text


def test_with_prices_the_venue_is_not_asked_to_take_dust(tmp_path: Path) -> None:
    venue = FakeVenue({"ETH": 0.04})
    report = pull(venue, tmp_path, flatten=True, prices={"box:ETHUSDT": 100.0})
    assert report.is_flat
    assert report.flattened == []
    assert report.dust == ["0.04 ETH: less than the venue takes an order for"]


def test_what_the_venue_refuses_to_trade_is_not_called_dust(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0})
    venue.max_quantity = 0.0
    report = pull(venue, tmp_path, flatten=True)
    assert report.is_quiet
    assert report.is_flat is False
    assert not report.is_verified
    assert report.dust == []
    assert any("MARKET_LOT_SIZE" in text for text in report.problems)
    assert "NOT FLAT" in "\n".join(report.lines())


def test_too_large_an_order_is_halved_until_the_venue_takes_it(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 10.0})
    venue.max_quantity = 3.0
    report = pull(venue, tmp_path, flatten=True)
    assert report.is_verified
    assert venue.totals["BTC"] == 0.0


def test_a_short_is_bought_back_and_no_further(tmp_path: Path) -> None:
    venue = FakeVenue({"USDT": 1000.0, "BTC": -0.5})
    report = pull(venue, tmp_path, {"BTC": 0.2}, flatten=True)
    assert report.is_verified
    assert venue.totals["BTC"] == 0.0
    assert [(sale.side, sale.quantity) for sale in report.flattened] == [("BUY", 0.5)]


@pytest.mark.parametrize("seed", range(4))
def test_a_venue_that_fails_half_the_time_is_asked_until_it_is_flat(tmp_path: Path, seed: int) -> None:
    venue = FakeVenue({"USDT": 1000.0, "BTC": 2.0, "ETH": 3.0}, fail=0.4, lose=0.3, delay_s=0.005, seed=seed)
    for number in range(5):
        venue.rest(f"order-{number}", Side.SELL, 0.1)
    report = pull(venue, tmp_path, {"BTC": 0.5}, flatten=True, timings=KillTimings(deadline=20.0, quiet=0.1, poll=0.01))
    assert report.is_verified, report
    assert report.unheard > 0
    assert venue.totals["BTC"] == pytest.approx(0.5)
    assert venue.totals["ETH"] == pytest.approx(0.0)
    assert {order.status for order in report.cancelled} == {"CANCELED"}


def test_an_order_that_arrives_after_the_kill_is_cancelled_too(tmp_path: Path) -> None:
    venue = FakeVenue({"USDT": 1000.0})
    listings = 0

    def arrive(what: str) -> None:
        nonlocal listings
        listings += what == "open_orders"
        if listings == 3:
            venue.rest("late")

    venue.on_request = arrive
    report = pull(venue, tmp_path)
    assert report.is_verified
    assert [order.client_order_id for order in report.cancelled] == ["late"]


def test_a_late_fill_is_sold_as_well(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0})
    listings = 0

    def arrive(what: str) -> None:
        nonlocal listings
        listings += what == "open_orders"
        if what == "open_orders" and listings == 4:
            venue.totals["BTC"] += 0.7

    venue.on_request = arrive
    report = pull(venue, tmp_path, flatten=True)
    assert report.is_verified
    assert venue.totals["BTC"] == 0.0
    assert len(report.flattened) == 2


def test_a_sale_whose_answer_is_lost_is_not_made_twice(tmp_path: Path) -> None:
    """The order arrives only after the venue had been asked about it: had it been sent again, what is kept would be sold."""
    venue = FakeVenue({"BTC": 1.0})
    venue.void_after_s = 0.2
    taken: list[tuple[Any, str]] = []
    honest = venue.submit

    async def submit(order: Any, client_order_id: str) -> Any:
        taken.append((order, client_order_id))
        if len(taken) == 1:
            asyncio.get_running_loop().call_later(0.1, lambda: asyncio.ensure_future(honest(order, client_order_id)))
            raise TimeoutError
        return await honest(order, client_order_id)

    venue.submit = submit  # type: ignore[method-assign]
    report = pull(venue, tmp_path, {"BTC": 0.5}, flatten=True)
    assert report.is_verified
    assert len(taken) == 1
    assert venue.totals["BTC"] == 0.5


def test_a_sale_that_never_arrived_is_made_anew_once_that_is_certain(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0})
    honest, calls = venue.submit, 0

    async def submit(order: Any, client_order_id: str) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise TimeoutError
        return await honest(order, client_order_id)

    venue.submit = submit  # type: ignore[method-assign]
    report = pull(venue, tmp_path, flatten=True)
    assert report.is_verified
    assert [sale.status for sale in report.flattened] == ["REJECTED", "FILLED"]


def test_an_order_of_which_nothing_is_known_keeps_no_other_from_being_sold(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0, "ETH": 1.0})
    venue.void_after_s = float("inf")
    honest = venue.submit

    async def submit(order: Any, client_order_id: str) -> Any:
        if order.instrument == BTC.id:
            raise TimeoutError
        return await honest(order, client_order_id)

    venue.submit = submit  # type: ignore[method-assign]
    report = pull(venue, tmp_path, flatten=True, timings=KillTimings(deadline=0.4, quiet=0.1, poll=0.01))
    assert venue.totals == {"BTC": 1.0, "ETH": 0.0}
    assert not report.is_verified
    assert sum(sale.instrument == BTC.id for sale in report.flattened) == 1
    assert any("has not said what became" in text for text in report.problems)


def test_a_venue_that_says_nothing_leaves_it_latched_and_not_verified(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0}, fail=1.0)
    report = pull(venue, tmp_path, flatten=True, timings=KillTimings(deadline=0.3, quiet=0.1, poll=0.01))
    assert (report.is_latched, report.is_quiet, report.is_flat, report.is_verified) == (True, False, False, False)
    assert report.problems == ["no answer from box"]
    assert "NOT VERIFIED" in report.lines()[-2] + report.lines()[-1]


def test_a_wrong_key_is_told_at_once(tmp_path: Path) -> None:
    venue = FakeVenue({"BTC": 1.0})
    venue.refuses_all = True
    report = pull(venue, tmp_path)
    assert report.is_latched
    assert not report.is_verified
    assert report.total_s < 1.0
    assert report.problems == ["box: 401 Invalid API-key"]


def test_missing_keys_and_broken_clients_do_not_keep_the_latch_open(tmp_path: Path) -> None:
    @asynccontextmanager
    async def broken() -> Any:
        raise InputError("orders need a key: set BINANCE_API_KEY in the environment")
        yield

    report = pull(broken(), tmp_path)
    assert report.is_latched
    assert not report.is_verified
    assert "BINANCE_API_KEY" in report.problems[0]
    venue = FakeVenue({})

    async def mad() -> Any:
        raise KeyError("free")

    venue.open_orders = mad  # type: ignore[method-assign]
    report = pull(venue, tmp_path, timings=KillTimings(deadline=0.1, quiet=0.1, poll=0.01))
    assert not report.is_verified


def test_a_latch_that_cannot_be_shut_does_not_stop_the_cancelling(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    venue = FakeVenue({})
    venue.rest("mine")
    report = pull(venue, tmp_path / "file")
    assert venue.orders["mine"].status is OrderStatus.CANCELED
    assert any("cannot be written" in text for text in report.problems)


QUANTITY = st.integers(-3000, 3000).map(lambda n: n / 1000)


@settings(max_examples=60, deadline=None)
@given(
    held=st.fixed_dictionaries({"BTC": QUANTITY, "ETH": QUANTITY}),
    keep=st.fixed_dictionaries({}, optional={"BTC": st.integers(0, 2000).map(lambda n: n / 1000)}),
    resting=st.lists(st.tuples(st.sampled_from(["BTC", "ETH"]), st.integers(1, 9)), max_size=4),
    faults=st.tuples(st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.3]), st.integers(0, 1000)),
)
def test_no_kill_ever_adds_exposure(
    tmp_path_factory: pytest.TempPathFactory, held: dict[str, float], keep: dict[str, float],
    resting: list[tuple[str, int]], faults: tuple[float, float, int],
) -> None:  # fmt: skip
    venue = FakeVenue(held, fail=faults[0], lose=faults[1], seed=faults[2])
    venue.void_after_s = 0.005
    for number, (base, tenths) in enumerate(resting):
        venue.rest(f"order-{number}", Side.BUY, tenths / 10, base)
    honest = venue.submit

    async def submit(order: Any, client_order_id: str) -> Any:
        before = dict(venue.totals)
        try:
            return await honest(order, client_order_id)
        finally:
            for base in ("BTC", "ETH"):
                was, now, kept = before[base], venue.totals[base], keep.get(base, 0.0)
                assert now == was or (now < was and now >= kept - 1e-9) or (was < now <= 1e-9), (base, was, now)

    venue.submit = submit  # type: ignore[method-assign]
    folder = tmp_path_factory.mktemp("latch")
    report = pull(
        venue, folder, keep, flatten=True, timings=KillTimings(deadline=20.0, quiet=0.005, poll=0.001, call=1.0)
    )  # fmt: skip
    assert report.is_verified, report
    assert not any(order.is_open for order in venue.orders.values())
