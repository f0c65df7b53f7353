"""What every service is: something that can be pumped."""

from __future__ import annotations

from typing import Protocol


class Service(Protocol):
    """A service does the work there is and returns; who calls it, and how often, is not its business.

    So the same service runs in a process or thread of its own, in one chain with others, or step by step in a
    simulation that kills it between any two steps. All its state is in the log's snapshot: a new one goes on where the
    last commit was.
    """

    name: str

    def pump(self) -> int:
        """Do what can be done now, commit it, and return how many events were consumed (0: nothing to do)."""

    def wait(self, timeout_s: float) -> None:
        """Sleep until there may be something to do, or time is up."""

    def close(self) -> None:
        """Finish cleanly: what was taken in is committed."""
