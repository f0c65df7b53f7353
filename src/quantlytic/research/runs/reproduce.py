"""A run done again from its manifest: equal to the last bit, or what differs is named."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from numpy.typing import NDArray

from quantlytic.engine.data.bars import Bars
from quantlytic.engine.market.market import Market
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import DataError, InputError
from quantlytic.model.time import iso
from quantlytic.research.data.history import lake, load_bars
from quantlytic.research.runs.manifest import engine_hash, versions
from quantlytic.research.runs.run import Result, backtest
from quantlytic.strategies.catalogue import find

_BUILT_IN = "quantlytic.strategies."
_HEX = 12  # digits of a hash that are shown


class _Code(msgspec.Struct):
    """What must be in a manifest's part `strategy`; more may be."""

    name: str
    code_sha256: str
    params: dict[Annotated[str, msgspec.Meta(pattern="^(?!self$)")], float | bool]
    cls: str = msgspec.field(name="class")
    file: str = ""


class _Source(msgspec.Struct):
    """Where the bars came from."""

    kind: str | None = None
    path: str | None = None
    symbol: str | None = None
    address: str | None = None
    instruments: list[str] | None = None
    size: str | None = None
    start: str | None = None
    end: str | None = None


class _Data(msgspec.Struct):
    sha256: str
    bars: int
    source: _Source | None = None
    calendar: str | None = None


class _Account(msgspec.Struct):
    cash: float
    market: dict[str, Any]


class _Manifest(msgspec.Struct):
    strategy: _Code
    data: _Data
    account: _Account
    digest: str
    compiled: bool = True
    versions: dict[str, str] = {}
    engine_sha256: str = ""


@dataclass(frozen=True)
class Reproduction:
    """The run done again. `differences`: what is not as the manifest says, data, code or result: none, and it is the same
    to the last bit. `notes`: what else is not, but need not matter: versions."""

    result: Result
    differences: list[str]
    notes: list[str]

    @property
    def is_equal(self) -> bool:
        return not self.differences


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest in a file, or in a run's folder. InputError when there is none, DataError when it is another thing."""
    file = path / "manifest.json" if path.is_dir() else path
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no manifest {file}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise DataError(f"{file} is no manifest: it is not JSON") from None
    try:
        msgspec.convert(found, _Manifest)
    except msgspec.ValidationError as error:
        raise DataError(f"{file} is no manifest of a backtest: {error}") from None
    manifest: dict[str, Any] = found
    return manifest


def reproduce(
    manifest: dict[str, Any],
    bars: Bars | None = None,
    *,
    actions: NDArray[Any] | None = None,
    compiled: bool | None = None,
) -> Reproduction:
    """Run it again, on the data it names or on `bars` and `actions`. Raises InputError when strategy or data are not there
    any more."""
    strategy, data, account = manifest["strategy"], manifest["data"], manifest["account"]
    chosen = _find(strategy)(**strategy["params"])
    if bars is None:
        bars = named_bars(manifest)
    if data.get("actions") and actions is None:
        raise InputError(
            "the run had corporate actions, which the manifest does not hold: give them again, as actions="
        )
    result = backtest(
        chosen,
        bars,
        account["cash"],
        market=Market.from_dict(account["market"]),
        actions=actions,
        compiled=bool(manifest.get("compiled", True)) if compiled is None else compiled,
        allow_gaps=True,  # whether it had any, the data's hash tells
        allow_splits=True,
        calendar=data.get("calendar"),
        name=strategy["name"],
    )
    differences = [*_data_differs(data, result), *_code_differs(strategy, result)]
    if result.digest != manifest.get("digest"):
        differences.append(f"result changed: its digest is {_hex(result.digest)}, was {_hex(manifest.get('digest'))}")
    return Reproduction(result, differences, _versions_differ(manifest))


def _find(strategy: dict[str, Any]) -> type[Strategy]:
    module, _, name = str(strategy["class"]).rpartition(".")
    if module.startswith(_BUILT_IN):
        return find(module.removeprefix(_BUILT_IN).replace("_", "-"))
    file = strategy.get("file") or ""
    given = str(strategy["name"])
    if ".py" in given and os.path.isfile(given.partition(".py")[0] + ".py"):
        return find(given)
    if not file.endswith(".py"):
        raise InputError(f"the strategy {given!r} was not in a file: it cannot be run again from its manifest")
    return find(f"{file}:{name}")


def named_bars(manifest: dict[str, Any]) -> Bars:
    """The bars that a manifest names, without forecasts of models. InputError when it does not say where they came from."""
    source = manifest["data"].get("source") or {}
    span = {"start": source.get("start"), "end": source.get("end")}
    if source.get("kind") == "file" and source.get("path"):
        return load_bars(source["path"], source.get("symbol"), source.get("size"), **span)
    if source.get("kind") == "lake" and all(source.get(name) for name in ("address", "instruments", "size")):
        return lake(source["address"]).bars(source["instruments"], source["size"], **span)
    raise InputError("the manifest does not say where its bars came from: name the file with --data")


def _data_differs(data: dict[str, Any], result: Result) -> list[str]:
    if result.data_hash == data["sha256"]:
        return []
    array = result.bars.array
    now = {
        "bars": len(array),
        "instruments": [one.id for one in result.bars.instruments],
        "start": iso(int(array["open_time"].min())),
        "end": iso(int(array["close_time"][-1])),
    }
    parts = [
        f"{name} {_shown(value)}, was {_shown(data[name])}" for name, value in now.items() if data.get(name) != value
    ]
    what = "; ".join(parts) or "the same times and instruments, other values"
    return [
        f"data changed ({result.bars.label or 'bars'}): {what}; SHA-256 {_hex(result.data_hash)}, was {_hex(data['sha256'])}"
    ]


def _code_differs(strategy: dict[str, Any], result: Result) -> list[str]:
    if result.code_hash == strategy["code_sha256"]:
        return []
    return [f"code changed ({strategy['name']}): SHA-256 {_hex(result.code_hash)}, was {_hex(strategy['code_sha256'])}"]


def _versions_differ(manifest: dict[str, Any]) -> list[str]:
    then, now = manifest.get("versions") or {}, versions()
    notes = [
        f"version changed: {name} {now.get(name)}, was {then[name]}" for name in then if then[name] != now.get(name)
    ]
    if manifest.get("engine_sha256", engine_hash()) != engine_hash():
        notes.append(f"engine changed: its source is {_hex(engine_hash())}, was {_hex(manifest['engine_sha256'])}")
    return notes


def _shown(value: Any) -> str:
    return (
        ", ".join(map(str, value))
        if isinstance(value, list)
        else f"{value:,}"
        if isinstance(value, int)
        else str(value)
    )


def _hex(digest: Any) -> str:
    return str(digest or "none")[:_HEX]
