"""Every venue's order entry behind the executor's wire: a thread of its own, commands in, what was heard out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.venues.conformance import Rig
from tests.venues.conformance_rigs import RIGS

from quantlytic.model.order import OrderStatus
from quantlytic.trading.link import Answer, Connected, Heard, Link, Sweep, Update


@pytest.fixture(params=[name for name, kind in RIGS.items() if kind.can.orders])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with RIGS[request.param]() as rig:
        yield rig


def heard(link: Link, all_of_it: list[Heard], wanted: Callable[[Heard], bool]) -> Heard:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        all_of_it += link.take()
        for one in all_of_it:
            if wanted(one):
                return one
        link.wait(0.02)
    raise AssertionError(f"not heard; but {all_of_it}")


def test_orders_updates_and_sweeps_go_over_the_wire(rig: Rig) -> None:
    link = Link(rig.orders, hand_over_s=5.0)
    said: list[Heard] = []
    link.start()
    try:
        heard(link, said, lambda one: isinstance(one, Connected))
        time.sleep(0.3)  # ccxt says that it will connect, not that it has
        link.submit(rig.order(rig.lot), "wire.1", time.time_ns())
        link.submit(rig.order(rig.lot, rig.away()), "wire.2", time.time_ns())
        for name in ("wire.1", "wire.2"):
            answer = heard(link, said, lambda one, name=name: isinstance(one, Answer) and one.client_order_id == name)
            assert isinstance(answer, Answer)
            assert answer.state is not None, answer
        heard(link, said, lambda one: isinstance(one, Update) and one.state.status == OrderStatus.FILLED)
        link.sweep([(rig.instrument, "wire.1"), (rig.instrument, "wire.9")], {rig.instrument: -1})
        sweep = heard(link, said, lambda one: isinstance(one, Sweep))
        assert isinstance(sweep, Sweep)
        assert sweep.error == ""
        assert sweep.states["wire.9"] is None
        filled = sweep.states["wire.1"]
        assert filled is not None
        assert [each.client_order_id for each in sweep.open_orders] == ["wire.2"]
        bought = sum(t.quantity for t in sweep.trades[rig.instrument] if t.venue_order_id == filled.venue_order_id)
        assert bought == pytest.approx(rig.lot)
        assert sweep.balances[rig.base].free > 0
        link.cancel(rig.instrument, "wire.2")
        gone = heard(link, said, lambda one: isinstance(one, Answer) and one.how == "cancel")
        assert isinstance(gone, Answer)
        assert gone.state is not None
        assert gone.state.status == OrderStatus.CANCELED
    finally:
        link.stop()
    assert link.failure is None


def test_a_wrong_key_ends_the_wire_with_one_line(rig: Rig) -> None:
    link = Link(lambda: rig.orders(key="wrong"))
    try:
        link.start()
        until = time.monotonic() + 20
        while link.failure is None and time.monotonic() < until:
            time.sleep(0.02)
        assert link.failure is not None
        assert "\n" not in str(link.failure)
        assert "not-a-" not in str(link.failure)
    finally:
        link.stop()
