"""Which kinds of features there are, by name."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from quantlytic.engine import indicators
from quantlytic.engine.compiler.record import Record
from quantlytic.engine.indicators.indicator import Indicator
from quantlytic.learn.features import barfeatures, calendar, flow
from quantlytic.learn.features.feature import Feature
from quantlytic.model.errors import InputError, StrategyError

RANK = "rank"
_OWN: dict[str, type[Record]] = {
    "value": barfeatures.Same,
    "return": barfeatures.Return,
    "distance_to_high": barfeatures.DistanceToHigh,
    "distance_to_low": barfeatures.DistanceToLow,
    "range_position": barfeatures.RangePosition,
    "trade_size": barfeatures.TradeSize,
    "signed_volume": flow.SignedVolume,
    "trade_imbalance": flow.TradeImbalance,
    "order_flow_imbalance": flow.OrderFlowImbalance,
    "quote_imbalance": flow.QuoteImbalance,
    "quoted_spread": flow.QuotedSpread,
    "hour_sin": calendar.HourSin,
    "hour_cos": calendar.HourCos,
    "day_sin": calendar.DaySin,
    "day_cos": calendar.DayCos,
    "since_open": calendar.SinceOpen,
    "until_close": calendar.UntilClose,
    "ratio": barfeatures.Ratio,
    "spread": barfeatures.Spread,
    "difference": barfeatures.Difference,
}
_NO_KINDS = {
    "Indicator",
    "CandlePattern",
    "PenetrationPattern",
    "MACDExt",
}  # bases, and what is made of other indicators
_OTHER_NAMES = {"volatility": "realisedvolatility", "log_return": "return", "bollinger": "bollingerbands"}


@functools.cache
def catalogue() -> Mapping[str, type[Record]]:
    """Every kind under its name: this room's, and the engine's indicators in lower case."""
    found: dict[str, type[Record]] = {}
    for place in pkgutil.walk_packages(indicators.__path__, indicators.__name__ + "."):
        module = importlib.import_module(place.name)
        for name, member in vars(module).items():
            is_own = inspect.isclass(member) and member.__module__ == place.name and issubclass(member, Indicator)
            if is_own and name not in _NO_KINDS and "time" not in inputs_of(member):
                found[name.lower()] = member
    return found | _OWN


def kind_of(name: str, folder: Path | None = None) -> type[Record]:
    """The class of a kind. `folder`: where a path of one's own begins. InputError names the nearest for an unknown one."""
    path, colon, member = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _load((folder or Path()) / path, member)
    kinds = catalogue()
    plain = name.lower()
    plain = _OTHER_NAMES.get(plain, plain)
    for candidate in (plain, plain.replace("_", "")):
        if candidate in kinds:
            return kinds[candidate]
    close = difflib.get_close_matches(plain, [*kinds, RANK, *_OTHER_NAMES], 1, 0.5)
    hint = f"did you mean {close[0]!r}?" if close else "see docs/features.md, or name a file: my_features.py:MyFeature"
    raise InputError(f"there is no kind of feature {name!r}: {hint}")


def inputs_of(kind: type[Record]) -> tuple[str, ...]:
    """What `update` takes."""
    return tuple(inspect.signature(kind.update).parameters)[1:]  # type: ignore[attr-defined]


def make(kind: type[Record], params: Mapping[str, Any], name: str) -> Record:
    """An instance with these parameters. InputError names what does not fit, and the feature."""
    signature = inspect.signature(kind).parameters
    known = list(signature)
    for param in params:
        if param not in known:
            close = difflib.get_close_matches(param, known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(known) or 'no parameters'}"
            raise InputError(f"feature {name!r}: {kind.__name__} has no parameter {param!r}: {hint}")
    for param, one in signature.items():
        if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD and param not in params:
            raise InputError(
                f"feature {name!r}: {kind.__name__} needs the parameter {param!r}: params = {{ {param} = ... }}"
            )
    try:
        return kind(**params)
    except (InputError, StrategyError) as error:
        raise InputError(f"feature {name!r}: {error}") from None
    except (Exception, SystemExit) as error:
        raise InputError(f"feature {name!r}: {kind.__name__}(): {type(error).__name__}: {error}") from error


def _load(path: Path, member: str) -> type[Record]:
    """A class of a user's file, read anew. InputError when it is not there, or is no feature."""
    if not path.is_file():
        raise InputError(f"there is no file {path}: a feature of your own is written as path/to/file.py:ClassName")
    module = ModuleType(f"user_features_{path.stem}")
    try:
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        raise InputError(f"{path}: {type(error).__name__}: {error}") from error
    found = getattr(module, member, None)
    if found is None:
        names = [name for name, value in vars(module).items() if _is_feature(value)]
        close = difflib.get_close_matches(member, names, 1) or names[:1]
        raise InputError(f"{path} has no class {member!r}" + (f": did you mean {close[0]!r}?" if close else ""))
    if not _is_feature(found):
        raise InputError(f"{path}: {member} is no feature: write `class {member}(Feature)` with update(self, bar)")
    if len(inputs_of(found)) != 1:
        raise InputError(f"{path}: {member}.update takes one bar: write update(self, bar)")
    return found  # type: ignore[no-any-return]


def _is_feature(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Feature) and value is not Feature
