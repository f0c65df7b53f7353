"""Alert, paper or live: what a mode may do, and what it takes to trade with money. Pure."""

from __future__ import annotations

from enum import Enum

from quantlytic.model.errors import InputError


class Mode(Enum):
    """ALERT decides and tells, and never trades; PAPER trades with the simulated broker; LIVE sends orders to a venue."""

    ALERT = "alert"
    PAPER = "paper"
    LIVE = "live"

    @classmethod
    def of(cls, text: str) -> Mode:
        """The mode of that name. Raises InputError; there is no default that trades."""
        try:
            return cls(text)
        except ValueError:
            raise InputError(f"mode {text!r}: write one of {', '.join(mode.value for mode in cls)}") from None


def allow(mode: Mode, account: str, *, typed: str | None = None, confirm: str = "", understands: bool = False) -> Mode:
    """The mode, if it may start. Live needs the account's name: `typed` by a person who was asked for it, or set in the
    configuration (`confirm`) for a start that nobody watches. A name that is there and wrong is refused, whichever it is.

    `understands` is `--i-understand`: it is never enough. Raises InputError, in one line that says what to do.
    """
    if mode is not Mode.LIVE:
        return mode
    if not account:
        raise InputError("live trading needs an account: name one under [account] in quantlytic.toml")
    for where, name in (("typed", typed), ("configured as confirm", confirm or None)):
        if name is not None and name.strip() != account:
            raise InputError(f"live trading refused: the account is {account!r}, and {name!r} was {where}")
    if typed is None and not confirm:
        much = "--i-understand is not enough" if understands else "nobody has confirmed it"
        raise InputError(
            f"live trading of account {account!r} refused: {much}. Type the account's name when asked, "
            f'or set confirm = "{account}" under [account] in quantlytic.toml'
        )
    return mode
