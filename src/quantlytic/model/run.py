"""One strategy, on one account, in one mode, from a stated point of the tape."""

from __future__ import annotations

import msgspec

from quantlytic.model.instrument import Instrument


class Run(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that decides what a paper run does, besides the tape: the same Run and tape give the same bytes.

    `strategy` is a built-in name or `path/to/file.py:ClassName`, `code_hash` the SHA-256 of its source; `bar_size_ns` chooses
    which bars of `bars_stream` it sees, from `first_bar_offset` on. `cash` is in the quote currency, `fee_bps` on each fill.
    `forecasts`: the line whose forecasts come with its bars, "" for none. Then its bars are the `Forecast`s of `forecasts.LINE`,
    and offsets are offsets there. Defaults are left out of its JSON: a run that does without them keeps the id made of it.
    """

    run_id: str
    mode: str
    venue: str
    strategy: str
    params: dict[str, float]
    instruments: tuple[Instrument, ...]
    bar_size_ns: int
    cash: float
    fee_bps: float
    first_bar_offset: int
    code_hash: str
    forecasts: str = ""

    def replaces(self, other: Run) -> bool:
        """Whether it is a later run of the same settings, whose strategy's code has changed since."""
        free = ("run_id", "first_bar_offset", "code_hash")
        same = all(getattr(self, name) == getattr(other, name) for name in Run.__struct_fields__ if name not in free)
        return same and self.first_bar_offset > other.first_bar_offset

    @property
    def bars_stream(self) -> str:
        return f"forecasts.{self.forecasts}" if self.forecasts else f"bars.{self.venue}"

    @property
    def decisions_stream(self) -> str:
        return f"decisions.{self.run_id}"

    @property
    def executions_stream(self) -> str:
        return f"executions.{self.run_id}"

    @property
    def commands_stream(self) -> str:
        return f"commands.{self.run_id}"
