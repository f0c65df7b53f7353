"""Up to where a search reads the lake: what was begun goes on over the same data, though more have come since."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec

from quantlytic.learn.training.spec import TrainSpec
from quantlytic.model.errors import StoreError
from quantlytic.model.time import NS_PER_S

_HOLDS_NS = 2 * 86_400 * NS_PER_S  # older than that, new data are worth more than the trials


class _Kept(msgspec.Struct, frozen=True):
    end_ns: int
    kept_ns: int


class DataEnd:
    """The end of the data of a spec's search in a file of `home`/tuning/, for specs whose data are the lake's and have no end of
    their own. It is there from when the bars were read until the models are, for two days at most."""

    def __init__(self, spec: TrainSpec, home: Path) -> None:
        self._moves = spec.data.source == "lake" and not spec.data.end and spec.search is not None
        search = None if spec.search is None else msgspec.structs.replace(spec.search, trials=1)
        plain = msgspec.json.encode(msgspec.structs.replace(spec, search=search), order="sorted")
        self._path = home / "tuning" / f"{hashlib.sha256(plain).hexdigest()[:24]}.end.json"

    def read(self, now_ns: int) -> int | None:
        """Bars that open at this time (ns) or later are not of the search that was begun; None where none was."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept) if self._moves else None
        except (OSError, msgspec.MsgspecError):
            return None
        return kept.end_ns if kept is not None and 0 <= now_ns - kept.kept_ns < _HOLDS_NS else None

    def keep(self, end_ns: int, now_ns: int) -> None:
        """A search is begun. StoreError when it cannot be written."""
        if not self._moves:
            return
        whole = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(msgspec.json.encode(_Kept(end_ns, now_ns)))
            os.replace(whole, self._path)
        except OSError as error:
            raise StoreError(f"the journal of trials {self._path} cannot be written: {error.strerror}") from None

    def forget(self) -> None:
        """It is over: the next one reads all there is."""
        self._path.unlink(missing_ok=True)
