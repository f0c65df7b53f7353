"""What is traded, and the venue's rules for it."""

import msgspec


class Instrument(msgspec.Struct, frozen=True):
    """`id` is `venue:SYMBOL`. A `tick_size`, `lot_size` or `min_notional` of 0 means that the venue sets none (no rounding)."""

    id: str
    base: str = ""
    quote: str = ""
    tick_size: float = 0.0
    lot_size: float = 0.0
    min_notional: float = 0.0

    @property
    def venue(self) -> str:
        return self.id.partition(":")[0]

    @property
    def symbol(self) -> str:
        return self.id.partition(":")[2]
