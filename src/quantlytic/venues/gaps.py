"""Stretches of sequence numbers that have not come."""

from __future__ import annotations

MAX_STRETCHES = 64


class Gaps:
    """A short list of closed ranges [first, last], oldest first. Beyond 64 stretches the oldest is forgotten."""

    def __init__(self, stretches: list[tuple[int, int]] | None = None) -> None:
        self.stretches = stretches or []

    def __bool__(self) -> bool:
        return bool(self.stretches)

    def add(self, first: int, last: int) -> None:
        """Numbers `first`..`last` are missing."""
        self.stretches.append((first, last))
        del self.stretches[:-MAX_STRETCHES]

    def take(self, first: int, last: int) -> bool:
        """If all of `first`..`last` is missing, strike it out and return True; else change nothing."""
        for index, (low, high) in enumerate(self.stretches):
            if low <= first and last <= high:
                rest = [(low, first - 1), (last + 1, high)]
                self.stretches[index : index + 1] = [(a, b) for a, b in rest if a <= b]
                return True
        return False

    def take_up_to(self, last: int) -> list[tuple[int, int]]:
        """Strike out and return the stretches that end at or before `last`."""
        done = [stretch for stretch in self.stretches if stretch[1] <= last]
        self.stretches = [stretch for stretch in self.stretches if stretch[1] > last]
        return done

    def clear(self) -> None:
        """Nothing is missing any more."""
        self.stretches = []
