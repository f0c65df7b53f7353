"""Finds a strategy by name: a built-in one, or a class in a file of the user's."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from quantlytic.engine.param import Param
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError, StrategyError

# name -> family; `sma-cross` is in sma_cross.py. By family, the plainer ones first.
BUILT_IN: dict[str, str] = {
    "buy-and-hold": "yardstick",
    "sma-cross": "trend",
    "sma-family": "trend",
    "ema-cross": "trend",
    "kama-trend": "trend",
    "macd": "trend",
    "adx-trend": "trend",
    "supertrend": "trend",
    "parabolic-sar": "trend",
    "heikin-ashi": "trend",
    "ichimoku": "trend",
    "time-series-momentum": "trend",
    "donchian-breakout": "breakout",
    "turtle": "breakout",
    "keltner-breakout": "breakout",
    "atr-breakout": "breakout",
    "opening-range-breakout": "breakout",
    "bracket-breakout": "breakout",
    "rsi-reversion": "reversion",
    "connors-rsi2": "reversion",
    "stochastic-reversion": "reversion",
    "bollinger": "reversion",
    "zscore-reversion": "reversion",
    "vwap-reversion": "reversion",
    "grid": "reversion",
    "candle-reversal": "pattern",
    "obv-trend": "volume",
    "volatility-target": "risk",
    "dca": "schedule",
    "equal-weight": "portfolio",
    "minimum-variance": "portfolio",
    "risk-parity": "portfolio",
    "cross-sectional-momentum": "portfolio",
    "dual-momentum": "portfolio",
    "pairs": "portfolio",
    "market-maker": "ticks",
    "book-imbalance": "ticks",
    "ml-signal": "forecast",
    "ml-ensemble": "forecast",
    "meta-label": "forecast",
}


@dataclass(frozen=True)
class Entry:
    """A built-in strategy as its docstring tells of it. `needs`: "bars" of one instrument at a time, "forecasts"
    (bars with what a model expected after each), "portfolio" (all instruments at once: `on_slice`), or "ticks" (quotes,
    trades or books)."""

    name: str
    family: str
    strategy: type[Strategy]
    idea: str
    source: str
    needs: str

    @property
    def params(self) -> dict[str, Param]:
        """Its parameters: default, range (`low`, `high`) and kind."""
        return self.strategy.param_specs


def names() -> list[str]:
    """The built-in strategies, by alphabet."""
    return sorted(BUILT_IN)


def entries() -> list[Entry]:
    """All built-in strategies, by family. Imports them."""
    return [describe(name) for name in BUILT_IN]


def describe(name: str) -> Entry:
    """A built-in strategy and what it says of itself. InputError for a name that is none."""
    strategy = find(name)
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(strategy.__doc__ or "").split("\n\n")]
    source = next((part.removeprefix("Source: ") for part in paragraphs if part.startswith("Source: ")), "")
    handlers = strategy.handlers()
    ticks = handlers & {"on_quote", "on_trade", "on_book"}
    on_bars = "forecasts" if reads_forecasts(strategy) else "bars"
    needs = "ticks" if ticks else "portfolio" if "on_slice" in handlers else on_bars
    return Entry(name, BUILT_IN.get(name, ""), strategy, paragraphs[0], source, needs)


def find(name: str) -> type[Strategy]:
    """`"sma-cross"`, or `"path/to/file.py:ClassName"` (the class may be left out where the file has one strategy).

    Raises InputError for a name that is none, listing close matches; StrategyError, naming the line, for a file that does
    not run.
    """
    path, _, class_name = name.partition(".py")
    if ".py" in name and (class_name == "" or class_name.startswith(":")):
        return _from_file(Path(path + ".py").expanduser(), class_name[1:])
    if name not in BUILT_IN:
        close = difflib.get_close_matches(name, names(), 2, 0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "`quantlytic strategies` lists the built-in ones."
        raise InputError(f"no strategy {name!r}: {hint} A file of your own is given as path/to/file.py:ClassName")
    return _pick(importlib.import_module(f"quantlytic.strategies.{name.replace('-', '_')}"), "", name)


def reads_forecasts(strategy: type[Strategy]) -> bool:
    """Whether its code names `.forecast`: on bars without forecasts it cannot do what it is meant to."""
    functions = [
        one
        for owner in strategy.__mro__
        if issubclass(owner, Strategy) and owner is not Strategy
        for one in vars(owner).values()
        if isinstance(one, FunctionType)
    ]
    return any("forecast" in one.__code__.co_names for one in functions)


def source_hash(strategy: type[Strategy]) -> str:
    """SHA-256 of the file that defines the strategy, with those of the strategies that it builds on; "" for one typed into a
    shell."""
    owners = [one for one in strategy.__mro__ if issubclass(one, Strategy) and one is not Strategy]
    try:
        files = dict.fromkeys(inspect.getfile(one) for one in owners)
        hashes = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    except (OSError, TypeError):
        return ""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


class _FreshLoader(SourceFileLoader):
    """Compiles the file as it is now. A `.pyc` may be one second and one edit behind, and litters the user's folder."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _from_file(path: Path, class_name: str) -> type[Strategy]:
    if not path.is_file():
        raise InputError(f"no strategy file {str(path)!r}")
    path = path.resolve()
    module_name = f"_strategy_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(module_name, path, loader=_FreshLoader(module_name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (InputError, StrategyError):
        raise
    except SyntaxError as error:
        raise StrategyError(f"{path}:{error.lineno or 1}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # a file that ends the program must not look like a run that went well
        line = _line_in(path, error)
        raise StrategyError(f"{path}:{line}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return _pick(module, class_name, str(path))


def _pick(module: ModuleType, class_name: str, where: str) -> type[Strategy]:
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    }
    if class_name in found:
        return found[class_name]
    if not class_name and len(found) == 1:
        return next(iter(found.values()))
    if not found:
        raise InputError(f"{where} has no class that derives from Strategy")
    if not class_name:
        raise InputError(f"{where} has several strategies: say which, as {where}:{next(iter(found))}")
    raise InputError(f"{where} has no strategy {class_name!r}: it has {', '.join(sorted(found))}")


def _line_in(path: Path, error: BaseException) -> int:
    line, step = 0, error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == str(path):
            line = step.tb_lineno
        step = step.tb_next
    return line
