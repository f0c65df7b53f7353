"""Money that came or went without a fill."""

from enum import IntEnum

from quantlytic.model.event import Event, InstrumentId, dtype_of


class CashFlowKind(IntEnum):
    DIVIDEND = 1
    FUNDING = 2
    BORROW = 3
    LIQUIDATION_FEE = 4
    INTEREST = 5


class CashFlow(Event, frozen=True, tag=17):
    """`amount` is in the account's currency, positive when received."""

    run: str
    instrument: InstrumentId
    event_time: int
    kind: CashFlowKind
    amount: float


CASH_FLOW = dtype_of(CashFlow)
