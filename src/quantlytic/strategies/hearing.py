"""What strategies on forecasts share: what they do when there are none."""

from __future__ import annotations

import math
from typing import Any

from quantlytic import Strategy


class Hearing(Strategy):
    """A base: subclasses have the parameter `patience`, begin with `silent` = 0, and ask `hears` at each bar."""

    patience: int
    silent: int

    def hears(self, forecast: float, broker: Any) -> bool:
        """Whether there is a forecast. With the `patience`-th bar in a row without one, what is held is closed."""
        if not math.isnan(forecast):
            self.silent = 0
            return True
        self.silent += 1
        if self.silent >= self.patience and not broker.is_flat:
            broker.close()
        return False
