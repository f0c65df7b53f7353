"""Which way."""

from enum import IntEnum


class Side(IntEnum):
    """BUY is +1 and SELL is -1, so that `side * quantity` is a signed quantity."""

    BUY = 1
    SELL = -1
