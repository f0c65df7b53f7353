"""One strategy, on one account, in one mode, from a stated point of the tape."""

from __future__ import annotations

import msgspec

from quantlytic.model.instrument import Instrument


class Run(msgspec.Struct, frozen=True):
    """Everything that decides what a paper run does, besides the tape: the same Run and tape give the same bytes.

    `strategy` is a built-in name or `path/to/file.py:ClassName`, `code_hash` the SHA-256 of its source; `bar_size_ns` chooses
    which bars of `bars.VENUE` it sees, from `first_bar_offset` on. `cash` is in the quote currency, `fee_bps` on each fill.
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

    @property
    def bars_stream(self) -> str:
        return f"bars.{self.venue}"

    @property
    def decisions_stream(self) -> str:
        return f"decisions.{self.run_id}"

    @property
    def executions_stream(self) -> str:
        return f"executions.{self.run_id}"
