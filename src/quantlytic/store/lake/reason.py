"""What went wrong in a library, in one line."""

from __future__ import annotations

import re

_LONGEST = 300
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def one_line(error: Exception) -> str:
    """The message without line breaks and colours, and without the dump that Rust libraries add for their authors."""
    text = " ".join(_COLOUR.sub("", str(error)).partition("Debug source")[0].split())
    return text.replace(" ↳ ", ": ")[:_LONGEST] or type(error).__name__
