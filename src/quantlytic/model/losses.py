"""What is lost for good, by the ledger's own words."""

from quantlytic.model.ledger import LedgerEntry, LedgerKind

CAME_LATE = "came late"
"""Detail of a BACKFILL that fills a GAP stated before; other BACKFILLs were fetched before anything was stated."""


class Losses:
    """Counts messages that never came and could not be fetched: `lost`.

    Book changes made while nobody was connected are no loss of ours, and a fresh snapshot takes their place: the first GAP
    of a book after a RECONNECT is counted in `away` instead.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.away = 0
        self._expected: set[str] | None = None  # books that had their hole since the last reconnect; None before any

    def add(self, entry: LedgerEntry) -> None:
        """Take in one entry, in the order of the tape."""
        if entry.kind is LedgerKind.RECONNECT:
            self._expected = set()
        elif entry.kind is LedgerKind.GAP:
            if entry.stream == "book" and self._expected is not None and entry.instrument not in self._expected:
                self._expected.add(entry.instrument)
                self.away += entry.count
            else:
                self.lost += entry.count
        elif entry.kind is LedgerKind.BACKFILL and entry.detail == CAME_LATE:
            self.lost = max(0, self.lost - entry.count)
