"""What is kept of a recommendation: its page and tables, and, until it is finished, each instrument that is."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from quantlytic.engine.data.bars import Bars
from quantlytic.model.errors import StoreError
from quantlytic.model.time import iso
from quantlytic.research.advice.finding import Finding
from quantlytic.research.advice.recommendation import Recommendation
from quantlytic.research.advice.recommendrules import Rule
from quantlytic.research.advice.weighing import Plan
from quantlytic.research.runs.manifest import data_hash, engine_hash, versions

UNFINISHED = "unfinished"
_FINDING = msgspec.json.Decoder(Finding)


def question_of(
    parts: Mapping[str, Bars], rules: Sequence[Rule], left_out: Mapping[str, str], plan: Plan, calendar: str | None,
    missing: Mapping[str, int],
) -> dict[str, Any]:  # fmt: skip
    """The manifest: all that decides the answer but the trials on record, ready for JSON. `question` is its hash."""
    asked = {
        "strategies": [rule.describe() for rule in rules],
        "left_out": dict(left_out),
        "data": {
            symbol: {
                "instrument": own.instruments[0].id, "label": own.label, "sha256": data_hash(own), "bars": len(own),
                "missing": missing[symbol], "start": iso(int(own.array["open_time"][0])),
                "end": iso(int(own.array["close_time"][-1])), "source": dict(own.source),
            }
            for symbol, own in parts.items()
        },
        "calendar": calendar,
        "folds": plan.folds,
        "draws": plan.draws,
        "seed": plan.seed,
        "account": {"cash": plan.cash, "market": plan.market.to_dict()},
        "assumptions": plan.market.sentences(),
        "compiled": plan.compiled,
        "engine_sha256": engine_hash(),
        "versions": versions(),
    }  # fmt: skip
    return {"question": "rc-" + _hash(asked), **asked}


class Kept:
    """The findings of an earlier run that was interrupted, by symbol, in a folder; None keeps nothing.

    One is taken up again only where all that decides it is the same: the other instruments of the run do not matter.
    """

    def __init__(self, folder: Path | None, manifest: Mapping[str, Any]) -> None:
        self._folder = None if folder is None else folder / UNFINISHED
        shared = {key: value for key, value in manifest.items() if key not in ("question", "data")}
        self._keys = {symbol: _hash([shared, symbol, own["sha256"]]) for symbol, own in manifest["data"].items()}
        self._found = {symbol: found for symbol in self._keys if (found := self._read(symbol)) is not None}

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._found

    def __getitem__(self, symbol: str) -> Finding:
        return self._found[symbol]

    def put(self, finding: Finding) -> None:
        """Keep it. Raises StoreError when it cannot be written."""
        if self._folder is not None:
            _put(self._folder / f"{self._keys[finding.symbol]}.json", msgspec.json.encode(finding))

    def clear(self) -> None:
        """All are finished: none need be kept."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, symbol: str) -> Finding | None:
        if self._folder is None:
            return None
        try:
            return _FINDING.decode((self._folder / f"{self._keys[symbol]}.json").read_bytes())
        except (OSError, msgspec.DecodeError):  # not there, or of another version: it is found again
            return None


def save_recommendation(found: Recommendation, folder: Path) -> Path:
    """Write recommend.html, recommend.json, strategies.csv and manifest.json; each is whole or not there. Returns the
    folder. Raises StoreError."""
    _put(folder / "manifest.json", json.dumps(found.manifest, indent=1).encode())
    _put(folder / "recommend.json", json.dumps(found.summary(), allow_nan=False).encode())
    rows, sheet = found.rows(), io.StringIO()
    writer = csv.DictWriter(sheet, list(rows[0]) if rows else ["symbol"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _put(folder / "strategies.csv", sheet.getvalue().encode())
    found.plot(folder / "recommend.html")
    return folder


def _put(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"the recommendation cannot be kept in {path.parent}: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]
