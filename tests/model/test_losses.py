"""What counts as lost."""

from __future__ import annotations

import pytest

from quantlytic.model.ledger import LedgerEntry, LedgerKind
from quantlytic.model.losses import CAME_LATE, Losses


def entry(
    kind: LedgerKind, stream: str = "trades", count: int = 1, detail: str = "", name: str = "box:A"
) -> LedgerEntry:
    return LedgerEntry(name, stream, kind, 0, count=count, detail=detail)


GAP, BACKFILL, RECONNECT = LedgerKind.GAP, LedgerKind.BACKFILL, LedgerKind.RECONNECT


@pytest.mark.parametrize(
    ("entries", "lost", "away"),
    [
        ([entry(GAP, count=4)], 4, 0),
        ([entry(BACKFILL, count=100), entry(GAP, count=4)], 4, 0),  # what was fetched hides no loss
        ([entry(GAP, count=4), entry(BACKFILL, count=3, detail=CAME_LATE)], 1, 0),
        ([entry(GAP, "book")], 1, 0),
        ([entry(RECONNECT), entry(GAP, "book")], 0, 1),  # nobody was connected
        ([entry(RECONNECT), entry(GAP, "book"), entry(GAP, "book")], 1, 1),
        ([entry(RECONNECT), entry(GAP, "book"), entry(GAP, "book", name="box:B")], 0, 2),
        ([entry(RECONNECT), entry(GAP, "trades", 7)], 7, 0),  # trades can be fetched: these could not
    ],
)
def test_losses(entries: list[LedgerEntry], lost: int, away: int) -> None:
    losses = Losses()
    for one in entries:
        losses.add(one)
    assert (losses.lost, losses.away) == (lost, away)
