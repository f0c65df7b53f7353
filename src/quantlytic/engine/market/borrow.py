"""What a short pays for the units it borrowed.

`rate` a year on the short's value, charged at the first event of an instrument on each UTC day for the days since the last charge
(365 a year), on the position and last price of then: what is opened and closed within a day pays nothing, as with brokers.
Nothing is paid on proceeds, nor on cash. Source: common terms of US brokers' hard-to-borrow fees (annual rate, per calendar
day, on the market value of the overnight position).
"""

from __future__ import annotations

DAYS_A_YEAR = 365.0


def borrow_cost(rate: float, quantity: float, price: float, days: int) -> float:
    """What a short of `quantity` (negative) pays for that many days."""
    return rate * -quantity * price * days / DAYS_A_YEAR
