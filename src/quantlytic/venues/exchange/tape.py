"""Reading a recorded tape: files of lines `<receive time in ns> <JSON>`, gzip or plain.

The JSON is a message of a combined stream (`{"stream":...,"data":...}`) or a depth snapshot (it holds `lastUpdateId`).
"""

from __future__ import annotations

import gzip
import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from quantlytic.model.errors import DataError, InputError
from quantlytic.venues.exchange.instruments import Listing, split_symbol

Rows = list[tuple[str, str]]


class Data(msgspec.Struct):
    """What is read of a message: the fields of trades, depth and book ticker, by Binance's one-letter names."""

    e: str = ""
    s: str = ""
    t: int = 0
    p: str = ""
    q: str = ""
    T: int = 0
    m: bool = False
    U: int = 0
    u: int = 0
    pu: int | None = None
    b: str | Rows = ""
    a: str | Rows = ""
    B: str = ""
    A: str = ""


class Frame(msgspec.Struct, rename="camel"):
    """One line's JSON: a stream's message, or (without `stream`) a depth snapshot."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    last_update_id: int = 0
    bids: Rows = []
    asks: Rows = []


class Line(msgspec.Struct, frozen=True):
    """One line of a tape. `symbol` is upper case; `kind` "" for a depth snapshot; `data` is read for KINDS, else empty."""

    receive_ns: int
    symbol: str
    kind: str
    frame: Frame
    data: Data


KINDS = ("trade", "depth", "bookTicker")
_decode_frame = msgspec.json.Decoder(Frame).decode
_decode_data = msgspec.json.Decoder(Data).decode
_NO_DATA = Data()


class Tape:
    """Some files played as one, by receive time. Reads each through once to learn what is in it; raises DataError
    naming file and line for what cannot be read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.counts: Counter[str] = Counter()
        self.snapshots: dict[str, Frame] = {}
        self.start_ns = 0
        self._decimals: dict[str, tuple[int, int]] = {}
        self._symbols: dict[Path, str] = {}
        if not self.paths:
            raise InputError("a replay needs at least one file")
        for path in self.paths:
            self._survey(path)

    @property
    def listings(self) -> list[Listing]:
        """What the tape trades; ticks and lots are as fine as the decimals seen."""
        return [_listing(symbol, *decimals) for symbol, decimals in sorted(self._decimals.items())]

    def resolve(self, stream: str) -> str:
        """The tape's own name for a stream: a depth stream of another rate stands in for one that is not on the tape."""
        if stream in self.counts or "@depth" not in stream:
            return stream
        start = stream.partition("@")[0] + "@depth"
        others = [name for name in self.counts if name == start or name.startswith(start + "@")]
        return others[0] if len(others) == 1 else stream

    def lines(self) -> Iterator[Line]:
        """All lines of all files in the order of their receive times."""
        return heapq.merge(*(self._lines(path) for path in self.paths), key=lambda line: line.receive_ns)

    def _survey(self, path: Path) -> None:
        symbols: set[str] = set()
        snapshots: list[Frame] = []
        for line in self._lines(path):
            self.start_ns = min(self.start_ns or line.receive_ns, line.receive_ns)
            if not line.kind:
                snapshots.append(line.frame)
                continue
            self.counts[line.frame.stream] += 1
            symbols.add(line.symbol)
            self._see_decimals(line.symbol, line.data)
        if not symbols:
            raise DataError(f"{path}: no messages in it; a tape has lines of <receive time ns> <JSON>")
        if snapshots and len(symbols) > 1:
            raise DataError(
                f"{path}: holds a depth snapshot and {len(symbols)} symbols, so whose it is cannot be told; split it"
            )
        self._symbols[path] = min(symbols)
        if snapshots:
            self.snapshots.setdefault(min(symbols), snapshots[0])

    def _lines(self, path: Path) -> Iterator[Line]:
        number = 0
        try:
            with _open(path) as file:
                for text in file:
                    number += 1
                    stamp, _, payload = text.rstrip(b"\r\n").partition(b" ")
                    frame = _decode_frame(payload)
                    start, _, rest = frame.stream.partition("@")
                    kind = rest.partition("@")[0]
                    symbol = start.upper() or self._symbols.get(path, "")
                    yield Line(int(stamp), symbol, kind, frame, _decode_data(frame.data) if kind in KINDS else _NO_DATA)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path}: cannot be read after line {number}: {error}; is it whole?") from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise DataError(f"{path} line {number}: not <receive time ns> <JSON message>: {error}") from None

    def _see_decimals(self, symbol: str, data: Data) -> None:
        prices, quantities = self._decimals.get(symbol, (0, 0))
        for text in (data.p, data.b, data.a):
            if isinstance(text, str):
                prices = max(prices, _decimals(text))
        for text in (data.q, data.B, data.A):
            quantities = max(quantities, _decimals(text))
        self._decimals[symbol] = (prices, quantities)


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path, "rb")) if packed else path.open("rb")


def _decimals(text: str) -> int:
    return len(text.partition(".")[2].rstrip("0"))


def _listing(symbol: str, price_decimals: int, lot_decimals: int) -> Listing:
    try:
        base, quote = split_symbol(symbol)
    except InputError:
        base, quote = symbol, ""
    return Listing(symbol, base, quote, min(price_decimals, 8), min(lot_decimals, 8))
