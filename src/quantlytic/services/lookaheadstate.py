"""What a look-ahead keeps from one commit to the next."""

from __future__ import annotations

import msgspec

from quantlytic.model.bar import Bar
from quantlytic.model.errors import StoreError
from quantlytic.research.runs.paper import BarEvent
from quantlytic.services.announcements import Said


class LookaheadState(msgspec.Struct, array_like=True):
    """Fields are only appended, each with a default: an earlier version's state is one of this."""

    session: bytes
    builder: bytes
    watermark: int
    open: list[Said]
    next_id: int
    closing: list[tuple[str, int]]
    decided: dict[str, tuple[BarEvent, int]]  # instrument -> its last bar decided on, and that one's offset
    looked: dict[str, list[Bar]]  # the bars as they were at the last look: looked at again after a restart
    checked: dict[str, int]
    due: dict[str, int]
    moves: dict[str, float]
    decisions: int = 0  # how far the strategist's have been read
    change: bytes = b""  # of strategy, the last one

    @classmethod
    def of(cls, saved: bytes, name: str) -> LookaheadState:
        """Raises StoreError for another version's."""
        try:
            return _STATE.decode(saved)
        except msgspec.MsgspecError:
            raise StoreError(
                f"{name}: the saved state is of another version; go on without look-ahead (QUANTLYTIC_LOOKAHEAD__ENABLED="
                "false), or with the version that wrote it"
            ) from None


_STATE = msgspec.msgpack.Decoder(LookaheadState)
