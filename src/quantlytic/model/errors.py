"""Errors a person can act on. The message is one line: what, where, what to do. Exit codes are part of the contract."""


class QuantlyticError(Exception):
    """The base: the command line prints the message alone, without a trace, and exits with `exit_code`."""

    exit_code = 1


class InputError(QuantlyticError):
    """The user's request cannot be met as it stands: an unknown name, a parameter out of range, a bad setting."""

    exit_code = 2


class DataError(QuantlyticError):
    """A file or a table does not hold what it must: a missing column, NaN, times that go back, a truncated file."""

    exit_code = 3


class StoreError(QuantlyticError):
    """The log, lake or control store cannot be read or written: corrupt, locked, full disk."""

    exit_code = 4


class VenueError(QuantlyticError):
    """A venue or the network says no, or says nothing."""

    exit_code = 5


class Fenced(StoreError):
    """Another process took over this writer's name; this one must stop."""


class MismatchError(QuantlyticError):
    """Two things that must be equal are not (parity, rebuild, reproduction)."""

    exit_code = 6


class StrategyError(QuantlyticError):
    """The user's strategy cannot be compiled, or raised; the message names its file and line.

    `bar` is the number of the bar within the session at which a handler raised, from 0; -1 when none did.
    """

    exit_code = 7
    bar = -1
