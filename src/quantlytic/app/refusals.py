"""Orders that were refused, in a few words: how many, and for what."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 32
SHOWN = 2


def refusals(count: int, reasons: Iterable[str]) -> str:
    """`refused 3 (max_order_notional)`; "" when there are none. `reasons`: of them, or of the last of them, oldest first, as
    `OrderUpdate.reason` has it; what refused the last ones is named."""
    if count <= 0:
        return ""
    last = list(dict.fromkeys(name for reason in reversed([*reasons]) if (name := _name(reason))))[:SHOWN]
    return f"refused {count:,}" + (f" ({', '.join(last)})" if last else "")


def _name(reason: str) -> str:
    """What stands before the colon when it is short (a limit, a rule, a halt), else how it begins."""
    head = reason.partition(":")[0]
    return head if len(head) <= WIDTH else textwrap.shorten(reason, WIDTH, placeholder="...")
