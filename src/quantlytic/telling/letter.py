"""What is told, before it is known by which way: words, figures and the data of a chart. Every channel renders it its own way."""

from __future__ import annotations

import math
import re
import unicodedata
import zlib
from decimal import Decimal

import msgspec

from quantlytic.model.errors import StoreError
from quantlytic.model.instrument import Instrument
from quantlytic.model.time import iso

KINDS = ("signal", "look-ahead", "fill", "risk", "data", "digest", "held", "confirm", "mine", "test")
LONGEST_SUBJECT = 150


class Chart(msgspec.Struct, frozen=True, array_like=True):
    """The last bars and what lay over them. Lists are of one length; NaN where a line has no value. Times in ns UTC."""

    symbol: str
    bar: str
    close_times: tuple[int, ...]
    opens: tuple[float, ...]
    highs: tuple[float, ...]
    lows: tuple[float, ...]
    closes: tuple[float, ...]
    lines: dict[str, tuple[float, ...]]
    mark: str
    mark_is_buy: bool

    @property
    def words(self) -> str:
        """What can be seen on it, for those who cannot."""
        lines = f" with {' and '.join(self.lines)}" if self.lines else ""
        mark = f"; {self.mark}" if self.mark else ""
        return f"{self.symbol}, the last {len(self.closes)} bars of {self.bar}{lines}{mark}"


class Table(msgspec.Struct, frozen=True, array_like=True):
    """Cells in words, a row each; numbers from the second column on."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        """In columns of one width each."""
        rows = [self.header, *self.rows]
        widths = [max(len(row[k]) for row in rows) for k in range(len(self.header))]
        lines = [
            "  ".join(f"{cell:<{width}}" if k == 0 else f"{cell:>{width}}" for k, (cell, width) in enumerate(pairs))
            for pairs in (list(zip(row, widths, strict=True)) for row in rows)
        ]
        return "\n".join([self.title.upper(), *(line.rstrip() for line in lines)])


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """One thing told. `lines` are sentences, the first the most important; `facts` label and value; `record` what is known of
    the strategy's past; `small` what stands at the end.

    `is_urgent`: it waits for no quiet hours; `is_unlimited`: nor for the hour's limit of messages. `expires_ns` (0: never):
    after that it is of no use to anybody.
    `link`: (words, address) of a button, ("", "") for none. `run`: whose decision it is about, "" for none.
    """

    kind: str
    event_time: int
    subject: str
    lines: tuple[str, ...]
    facts: tuple[tuple[str, str], ...] = ()
    record: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    chart: Chart | None = None
    link: tuple[str, str] = ("", "")
    is_urgent: bool = False
    expires_ns: int = 0
    run: str = ""
    record_title: str = "Its record"
    tables: tuple[Table, ...] = ()
    is_unlimited: bool = False

    @property
    def text(self) -> str:
        """All of it as plain text."""
        width = max((len(label) for label, _ in self.facts), default=0)
        blocks = [
            "\n".join(self.lines),
            ": ".join(self.link) if self.link[1] else "",
            "\n".join(f"{label + ':':<{width + 1}} {value}" for label, value in self.facts),
            *(table.text for table in self.tables),
            "\n".join([self.record_title.upper(), *self.record]) if self.record else "",
            "\n".join(self.small),
        ]
        return "\n\n".join(block for block in blocks if block) + "\n"


_LETTER = msgspec.msgpack.Decoder(Letter)
"""Made here, in one thread: couriers that decode a type for the first time at the same moment crash msgspec (0.22)."""


def pack(letter: Letter) -> bytes:
    """A letter as a message's payload."""
    return zlib.compress(msgspec.msgpack.encode(letter), 6)


def unpack(payload: bytes) -> Letter:
    """The letter in a payload. Raises StoreError for one that is damaged, or of a newer version."""
    try:
        return _LETTER.decode(zlib.decompress(payload))
    except (zlib.error, msgspec.DecodeError) as error:
        raise StoreError(f"a message's content cannot be read: {error}") from None


def one_line(text: str, longest: int = LONGEST_SUBJECT) -> str:
    """Text that may stand in a header: no line ends of any alphabet, no control or direction marks, no encoded words, no end."""
    plain = "".join(" " if unicodedata.category(one) in ("Cc", "Zl", "Zp") else one for one in text)
    plain = "".join(one for one in plain if unicodedata.category(one) not in ("Cf", "Cs", "Co", "Cn"))
    plain = re.sub(r"\s+", " ", plain).replace("=?", "= ?").strip()
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def price_text(price: float, instrument: Instrument) -> str:
    """With as many decimals as the venue's tick has: 3,001.10; where it has none, up to eight digits."""
    if not math.isfinite(price):
        return "–"
    if not instrument.tick_size:
        return f"{price:,.8g}"
    decimals = len(f"{Decimal(repr(instrument.tick_size)).normalize():f}".partition(".")[2])
    return f"{price:,.{decimals}f}"


def time_text(time_ns: int) -> str:
    """`2026-11-21 12:00:05 UTC`: no more digits than it has."""
    text = iso(time_ns).replace("T", " ").removesuffix("Z").rstrip("0").removesuffix(".")
    return f"{text} UTC"
