"""Raw venue messages, verbatim, in compressed objects that are written whole or not at all.

`raw/VENUE/DATE/FIRST-LAST-COUNT.frames.zst` names the log offsets of the first and the last frame, and their number.
Inside: zstd over records of a 4-byte little-endian length and a msgpack pair [offset, RawFrame].
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from quantlytic.model.errors import DataError, StoreError
from quantlytic.model.frame import RawFrame
from quantlytic.model.time import NS_PER_S
from quantlytic.store.lake.reason import one_line

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_NAME = re.compile(r"raw/([^/]+)/(\d{4}-\d\d-\d\d)/(\d{20})-(\d{20})-(\d+)\.frames\.zst")
_VENUE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_LENGTH = struct.Struct("<I")
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, RawFrame])


@dataclass(frozen=True)
class RawObject:
    """One object: frames `first_offset`..`last_offset` of the stream `raw.VENUE`, filed under the day they came in."""

    key: str
    venue: str
    date: str
    first_offset: int
    last_offset: int
    frames: int
    bytes: int


class RawObjects:
    """The raw part of the lake, over any object store."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._last: dict[str, RawObject | None] = {}

    def append(self, venue: str, offsets: Sequence[int], frames: Sequence[RawFrame]) -> int:
        """Write the frames that are not there yet as one object; returns how many that were.

        The day is that of the first frame's receive time, but never before that of an earlier object, so that a clock
        that jumps back cannot hide the newest object in an old day. Raises StoreError when it cannot be written.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        if not _VENUE.fullmatch(venue):
            raise DataError(f"{venue!r} cannot be a venue's name in the lake: use letters, digits, '-', '_' and '.'")
        last = self._newest(venue)
        start = 0 if last is None else sum(1 for offset in offsets if offset <= last.last_offset)
        offsets, frames = offsets[start:], frames[start:]
        if not frames:
            return 0
        date = _date(frames[0].receive_time)
        date = date if last is None else max(date, last.date)
        content = _pack(offsets, frames)
        key = f"raw/{venue}/{date}/{offsets[0]:020d}-{offsets[-1]:020d}-{len(frames)}.frames.zst"
        self._last.pop(venue, None)
        try:
            obstore.put(self._store, key, content, mode="create")
        except AlreadyExistsError:
            return 0  # the same range, written by a process that did not live to say so
        except Exception as error:
            raise _store_error("written", key, error) from None
        self._last[venue] = RawObject(key, venue, date, offsets[0], offsets[-1], len(frames), len(content))
        return len(frames)

    def last_offset(self, venue: str) -> int | None:
        """The offset of the newest frame; None when there is none."""
        last = self._newest(venue)
        return None if last is None else last.last_offset

    def venues(self) -> list[str]:
        return sorted(path.rsplit("/", 1)[-1] for path in self._folders("raw"))

    def objects(self, venue: str) -> list[RawObject]:
        """All objects of a venue, in offset order."""
        return self._listed(f"raw/{venue}")

    def frames(self, venue: str) -> Iterator[tuple[int, RawFrame]]:
        """Every frame with its offset, in offset order, each once. Raises StoreError naming a damaged object."""
        reached = -1
        for item in self.objects(venue):
            for offset, frame in self._read(item):
                if offset > reached:  # two writers at once may have cut the same stretch differently
                    reached = offset
                    yield offset, frame

    def _read(self, item: RawObject) -> Iterator[tuple[int, RawFrame]]:
        import obstore
        import zstandard

        try:
            content = obstore.get(self._store, item.key).bytes().to_bytes()
        except Exception as error:
            raise _store_error("read", item.key, error) from None
        try:
            data = memoryview(zstandard.ZstdDecompressor().decompress(content))
            at, count = 0, 0
            while at < len(data):
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size + length
                yield _decoder.decode(data[at - length : at])
                count += 1
            if count != item.frames:
                raise ValueError(f"{count} frames of {item.frames}")
        except (zstandard.ZstdError, struct.error, msgspec.MsgspecError, ValueError) as error:
            raise StoreError(f"raw object {item.key} is damaged ({error}): restore it from a copy") from None

    def _newest(self, venue: str) -> RawObject | None:
        if venue not in self._last:
            days = sorted(self._folders(f"raw/{venue}"))
            found = self._listed(days[-1]) if days else []
            self._last[venue] = max(found, key=lambda item: item.last_offset) if found else None
        return self._last[venue]

    def _folders(self, prefix: str) -> list[str]:
        import obstore

        try:
            return list(obstore.list_with_delimiter(self._store, prefix)["common_prefixes"])
        except Exception as error:
            raise _store_error("listed", prefix, error) from None

    def _listed(self, prefix: str) -> list[RawObject]:
        import obstore

        try:
            found = [meta for chunk in obstore.list(self._store, prefix) for meta in chunk]
        except Exception as error:
            raise _store_error("listed", prefix, error) from None
        items = []
        for meta in found:
            match = _NAME.fullmatch(meta["path"])
            if match is not None:
                first, last, count = (int(match[group]) for group in (3, 4, 5))
                items.append(RawObject(meta["path"], match[1], match[2], first, last, count, meta["size"]))
        return sorted(items, key=lambda item: (item.first_offset, item.last_offset))


def _pack(offsets: Sequence[int], frames: Sequence[RawFrame]) -> bytes:
    import zstandard

    plain = bytearray()
    for pair in zip(offsets, frames, strict=True):
        record = _encoder.encode(pair)
        plain += _LENGTH.pack(len(record))
        plain += record
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(plain)


def _date(time_ns: int) -> str:
    return datetime.datetime.fromtimestamp(time_ns // NS_PER_S, datetime.UTC).strftime("%Y-%m-%d")


def _store_error(done: str, key: str, error: Exception) -> StoreError:
    return StoreError(f"raw object {key} cannot be {done}: {one_line(error)}")
