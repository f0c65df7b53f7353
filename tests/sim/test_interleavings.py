"""The services stepped in one thread, in seeded random order, dying before, in and after their commits.

Every step, every short read and every death comes from the seed, so a failure is repeated by its number alone. What the
survivors leave on the tape must be, byte for byte, what an undisturbed run leaves, and parity must find no difference.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.sim.churn import Churn
from tests.sim.mortal import STREAMS, Case, Simulation, Undisturbed, torture
from tests.sim.truth import check_lake, events_of

from quantlytic.model.fill import Fill
from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.order import Order, OrderCancel, OrderStatus, OrderUpdate
from quantlytic.model.signal import Signal
from quantlytic.store.lake import Lake

CASE = Case(Churn(span=3, weight=0.3))
pytestmark = pytest.mark.usefixtures("no_fsync")
SEEDS = int(os.environ.get("SIM_SEEDS", "300"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("block", range(2))
def test_dying_anywhere_changes_nothing(block: int, tmp_path: Path, undisturbed: Undisturbed) -> None:
    torture(tmp_path, CASE, range(6 * block, 6 * block + 6), undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_dying_anywhere_many_times_changes_nothing(tmp_path: Path, undisturbed: Undisturbed) -> None:
    torture(tmp_path, CASE, range(1000, 1000 + SEEDS), undisturbed)


def test_the_market_exercises_everything(tmp_path: Path) -> None:
    """The made-up market and strategy bring every kind of event about, or the test above proves little."""
    simulation = Simulation(tmp_path, CASE, 0, 0.0)
    with closing(simulation):
        simulation.play(CASE.market(1))
        found = [event for stream in STREAMS for _, event in events_of(simulation.log, stream)]
        statuses = {event.status for event in found if isinstance(event, OrderUpdate)}
        kinds = {type(event) for event in found}
        assert {Order, OrderCancel, OrderUpdate, Fill, Signal} <= kinds
        assert {OrderStatus.NEW, OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.EXPIRED} <= statuses
        late = {event.kind for event in found if isinstance(event, LedgerEntry)}
        assert {LedgerKind.LATE, LedgerKind.INVALID} <= late


@pytest.mark.parametrize("seed", range(3))
def test_the_archiver_may_die_between_any_two_writes(seed: int, tmp_path: Path) -> None:
    simulation = Simulation(tmp_path, CASE, seed, 0.05, archived=True)
    with closing(simulation):
        simulation.play(CASE.market(seed, 100))
        check_lake(simulation.log, Lake(tmp_path / "lake"))
    assert simulation.mortality.deaths > 5
