"""Orders that were refused, in a few words: how many, and for what."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

WIDTH = 32
SHOWN = 2


def refusals(count: int, reasons: Iterable[str]) -> str:
    """`refused 3 (max_order_notional)`; "" when there are none. `reasons`: of them, or of the last of them, as
    `OrderUpdate.reason` has it; the commonest are named."""
    if count <= 0:
        return ""
    found: dict[str, int] = {}
    for reason in reasons:
        name = _name(reason)
        found[name] = found.get(name, 0) + 1
    common = sorted((name for name in found if name), key=lambda name: -found[name])[:SHOWN]
    return f"refused {count:,}" + (f" ({', '.join(common)})" if common else "")


def _name(reason: str) -> str:
    """What stands before the colon when it is one word (a limit, a rule), else how it begins."""
    head = reason.partition(":")[0]
    return head if head and " " not in head else textwrap.shorten(reason, WIDTH, placeholder="...")
