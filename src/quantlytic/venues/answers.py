"""What an answer of a venue can be besides yes: each is a VenueError that says what may have been done."""

from __future__ import annotations

from quantlytic.model.errors import VenueError


class Refused(VenueError):
    """The venue said no: `status` is HTTP's, `code` the venue's own. Nothing was done."""

    def __init__(self, message: str, status: int, code: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class Throttled(VenueError):
    """Too many requests (429, 418): not done; to be sent again after `wait_s`."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class Unheard(VenueError):
    """No answer, a 5xx, or one that cannot be read: the request may have been done, or not."""
