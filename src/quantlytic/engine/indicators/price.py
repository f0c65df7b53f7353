"""One price for a bar."""

from __future__ import annotations

import math

from quantlytic.engine.indicators.indicator import Indicator


class AvgPrice(Indicator):
    """(open + high + low + close) / 4. Source: TA-Lib AVGPRICE."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns its price."""
        self.value = (open + high + low + close) / 4.0
        return self.value


class MedPrice(Indicator):
    """(high + low) / 2. Source: TA-Lib MEDPRICE."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, high: float, low: float) -> float:
        """Take the next bar; returns its price."""
        self.value = (high + low) / 2.0
        return self.value


class TypPrice(Indicator):
    """Typical price: (high + low + close) / 3. Source: TA-Lib TYPPRICE."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns its price."""
        self.value = (high + low + close) / 3.0
        return self.value


class WclPrice(Indicator):
    """Weighted close: (high + low + 2 close) / 4. Source: TA-Lib WCLPRICE."""

    def __init__(self) -> None:
        self.value = math.nan

    def update(self, high: float, low: float, close: float) -> float:
        """Take the next bar; returns its price."""
        self.value = (high + low + 2.0 * close) / 4.0
        return self.value


class HeikinAshi(Indicator):
    """Averaged bars: `close` is the mean of the bar's four prices, `open` the middle of the last averaged body, `high` and
    `low` reach over both. The first opens at (open + close) / 2. Source: Valcu, TASC (2004); TA-Lib HA."""

    outputs = ("open", "high", "low", "close")
    on_nan = "skip"

    def __init__(self) -> None:
        self.value = math.nan
        self.open = math.nan
        self.high = math.nan
        self.low = math.nan
        self.close = math.nan

    def update(self, open: float, high: float, low: float, close: float) -> float:
        """Take the next bar; returns the averaged close."""
        if not math.isfinite(open + high + low + close):
            return self.value
        self.open = (open + close) / 2.0 if math.isnan(self.close) else (self.open + self.close) / 2.0
        self.value = self.close = (open + high + low + close) / 4.0
        self.high = max(high, self.open, self.close)
        self.low = min(low, self.open, self.close)
        return self.value
