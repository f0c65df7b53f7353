"""Reading request parameters, with Binance's refusals for what cannot be read."""

from __future__ import annotations

from collections.abc import Mapping

from quantlytic.venues.exchange import rejects

Params = Mapping[str, str]


def text(params: Params, name: str) -> str:
    """A mandatory parameter. Raises Reject when it was not sent."""
    value = params.get(name, "")
    if not value:
        raise rejects.missing(name)
    return value


def integer(params: Params, name: str) -> int | None:
    """A whole number, None when it was not sent. Raises Reject for anything else."""
    value = params.get(name, "")
    if not value:
        return None
    if not (value.isascii() and value.isdecimal()) or len(value) > 18:
        raise rejects.illegal(name)
    return int(value)


def limit(params: Params, default: int, most: int) -> int:
    """The parameter `limit`: at least 1, cut to `most` as Binance does."""
    value = integer(params, "limit")
    if value is None:
        return default
    if value < 1:
        raise rejects.Reject(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(value, most)


def choice(params: Params, name: str, choices: tuple[str, ...], default: str = "") -> str:
    """One of some words; mandatory without a default. Raises Reject for any other."""
    value = params.get(name, "") or default
    if not value:
        raise rejects.missing(name)
    if value not in choices:
        code = {"side": -1117, "type": -1116, "timeInForce": -1115, "interval": -1120}.get(name, -1100)
        words = {"side": "Invalid side.", "type": "Invalid orderType.", "timeInForce": "Invalid timeInForce."}
        words["interval"] = "Invalid interval."
        raise rejects.Reject(code, words.get(name, f"Invalid value for parameter '{name}'."))
    return value
