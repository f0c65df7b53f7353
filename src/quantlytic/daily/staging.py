"""What a day's tasks hand on to each other, as files: each is whole or not there. The vendor's rows stay as they came."""

from __future__ import annotations

import os
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np

from quantlytic.model.errors import StoreError
from quantlytic.venues.daily import DAILY, DailyHistory

KEEP_DAYS = 30
_T = TypeVar("_T")


class Staging:
    """The folder `daily/DATE` of a day."""

    def __init__(self, home: Path, day: date) -> None:
        self.folder = home / "daily" / day.isoformat()

    def put(self, name: str, value: Any) -> None:
        """Write a value as JSON. Raises StoreError."""
        path = self.folder / f"{name}.json"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(msgspec.json.encode(value))
            os.replace(temporary, path)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from None
        finally:
            temporary.unlink(missing_ok=True)

    def get(self, name: str, kind: type[_T]) -> _T | None:
        """The value; None when it was not put. Raises StoreError when it is damaged."""
        path = self.folder / f"{name}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}): begin the day again with quantlytic daily --again"
            ) from None

    def put_history(self, history: DailyHistory) -> None:
        """Keep what the vendor said. NaN is null there."""
        columns = {
            name: [None if np.isnan(value) else value for value in history.rows[name].tolist()]
            for name in DAILY.names or () if name != "time"
        }  # fmt: skip
        kept = {
            "instrument": history.instrument, "basis": history.basis, "currency": history.currency,
            "later_split": history.later_split, "times": history.rows["time"].tolist(), "rows": columns,
        }  # fmt: skip
        self.put(_name(history.instrument), kept)

    def history(self, instrument: str) -> DailyHistory | None:
        """What the vendor said; None when it was not asked."""
        kept = self.get(_name(instrument), dict[str, Any])
        if kept is None:
            return None
        rows = np.zeros(len(kept["times"]), DAILY)
        rows["time"] = kept["times"]
        for name, values in kept["rows"].items():
            rows[name] = np.array([np.nan if value is None else value for value in values], np.float64)
        return DailyHistory(kept["instrument"], rows, kept["basis"], kept["currency"], kept["later_split"])

    def clear(self) -> None:
        """Remove the day's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def trim(self, day: date) -> None:
        """Remove the folders of days more than `KEEP_DAYS` before."""
        oldest = (day - timedelta(days=KEEP_DAYS)).isoformat()
        for folder in self.folder.parent.glob("????-??-??"):
            if folder.name < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _name(instrument: str) -> str:
    return f"pulled/{quote(instrument, safe='')}"
