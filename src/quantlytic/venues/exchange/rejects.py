"""What the exchange refuses, in Binance's codes and words."""

from __future__ import annotations


class Reject(Exception):
    """A refused request: Binance error `code` and `message`, sent with HTTP `status`, and Retry-After if it is known."""

    def __init__(self, code: int, message: str, status: int = 400, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.retry_after_s = retry_after_s


def missing(name: str) -> Reject:
    """A mandatory parameter was not sent."""
    return Reject(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def illegal(name: str) -> Reject:
    """A parameter that cannot be read as what it must be."""
    return Reject(-1100, f"Illegal characters found in parameter '{name}'.")


def unwanted(name: str) -> Reject:
    """A parameter that this kind of order does not take."""
    return Reject(-1106, f"Parameter '{name}' sent when not required.")


def filtered(name: str) -> Reject:
    """An order against one of the instrument's filters."""
    return Reject(-1013, f"Filter failure: {name}")


def bad_symbol() -> Reject:
    """A symbol that is not listed."""
    return Reject(-1121, "Invalid symbol.")


def unfunded() -> Reject:
    """The account does not hold what the order needs."""
    return Reject(-2010, "Account has insufficient balance for requested action.")


def duplicate_order() -> Reject:
    """The client order id has been used."""
    return Reject(-2010, "Duplicate order sent.")


def would_take() -> Reject:
    """A post-only order that would trade at once."""
    return Reject(-2010, "Order would immediately match and take.")


def unknown_cancel() -> Reject:
    """There is no such open order to cancel."""
    return Reject(-2011, "Unknown order sent.")


def unknown_order() -> Reject:
    """There is no such order."""
    return Reject(-2013, "Order does not exist.")


def market_closed() -> Reject:
    """A replayed tape takes no orders."""
    return Reject(-1013, "Market is closed: this venue replays a recorded tape and takes no orders.")
