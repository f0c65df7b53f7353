"""Mistakes in a strategy's source: each is told in one line, with the file's line and what to write instead."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from quantlytic import Instrument, Session
from quantlytic.model.errors import StrategyError
from quantlytic.strategies.catalogue import find

BTC = Instrument("v:BTCUSDT")
HEAD = """\
import datetime, logging, math, os, random, time
import numpy as np
import pandas as pd
from quantlytic import PythonStrategy, Side, Strategy, TimeInForce, param
from quantlytic.indicators import RSI, SMA

LIMITS = {"BTC": 1.0}
NAMES = ["a", "b"]
TABLE = np.zeros(4)
WORD = "long"
COUNT = 0
logger = logging.getLogger("mine")

def helper(x):
    try:  # in a helper
        return 1.0 / x
    except ZeroDivisionError:
        return 0.0

def endless(x):
    return endless(x - 1.0) if x > 0.0 else 0.0  # calls itself

"""
SETUP = """\
class Mine(Strategy):
    period: int = param(5, low=2, high=20)
    def setup(self):
        self.average = SMA(self.period)
        self.strength = RSI(14)
        self.last = math.nan
        self.count = 0
        self.window = np.zeros(8)
"""
IN_ON_BAR = {
    "print of text": ('print(f"close {bar.close}")', "no text in a handler"),
    "logging": ('logging.info("x")', "no logging in a handler"),
    "a logger": ('logger.info("x")', "'logger' cannot be used in a handler"),
    "try": (
        "try:  # here\n    self.last = 1.0 / bar.volume\nexcept ZeroDivisionError:\n    self.last = 0.0",
        "test before",
    ),
    "with": ('with open("x") as f:  # here\n    pass', "before the run or after it"),
    "lambda": ("f = lambda x: x + 1.0", "write a method of the class"),
    "a function inside": ("def twice(x):  # here\n    return 2 * x", "as a method of the class"),
    "yield": ("yield bar.close", "keep what it must remember on self"),
    "a dict": ('x = {"a": 1.0}', "arrays made in setup()"),
    "a set": ("x = {1, 2}", "array of flags"),
    "a generator": ("x = sum(v for v in self.window)", "write a for loop"),
    "global": ("global COUNT", "keep it on self"),
    "a global dict": ("x = LIMITS", "LIMITS is a dict"),
    "a global list": ("x = NAMES[0]", "NAMES is a list"),
    "a global array written to": ("TABLE[0] = bar.close", "self.table"),
    "import": ("import math", "at the top of the file"),
    "del": ("del self.last", "math.nan"),
    "an undefined name": ("broker.buy(amount)", "'amount' is not defined"),
    "a name without self": ("x = average", "write self.average"),
    "a misspelt name": ("x = TABEL", "did you mean TABLE?"),
    "a value not made in setup": ("x = self.entry", "Mine.entry: give it a first value in setup()"),
    "a new attribute": ("self.entry = bar.close", "Mine.entry: give it a first value in setup()"),
    "a misspelt attribute": ("self.coutn += 1", "did you mean self.count?"),
    "a misspelt indicator's value": ("x = self.average.valu", "did you mean self.average.value?"),
    "a misspelt method": ("broker.target_wieght(0.5)", "did you mean broker.target_weight?"),
    "a method that is not there": ("broker.short(1.0)", "Broker.short: there is no such name"),
    "a misspelt field": ("x = bar.closee", "did you mean bar.close?"),
    "a field that is not there": ("x = bar.vwap", "it has instrument, open_time"),
    "too many values for an indicator": (
        "self.average.update(bar.close, bar.high)",
        "self.average.update(x): too many",
    ),
    "too few arguments of an order": ("broker.limit(Side.BUY, 1.0)", "missing a required argument: 'price'"),
    "an unknown keyword": ("broker.buy(1.0, tif=TimeInForce.IOC)", "unexpected keyword argument 'tif'"),
    "a side as text": ('broker.limit("buy", 1.0, bar.close)', "Side.BUY"),
    "text compared": ('if WORD == "long":  # here\n    pass', "no text in a handler"),
    "None compared": ("if self.last is None:  # here\n    pass", "math.isnan"),
    "None assigned": ("self.last = None", "math.nan"),
    "a list assigned": ("self.window = [1.0, 2.0]", "made in setup()"),
    "text assigned": ('self.last = "up"', "cannot become 'up'"),
    "a value returned": ("return 1.0", "on_bar returns nothing"),
    "an index with a fraction": ("x = self.window[self.count / 2]", "divide with //"),
    "a float as index": ("x = self.window[1.0]", "an index is a whole number"),
    "an indicator made in a handler": ("x = SMA(5)", "made in setup()"),
    "a method not called": ("broker.close", "write broker.close(...)"),
    "a value called": ("if broker.is_flat():  # here\n    pass", "without brackets"),
    "the bar changed": ("bar.close = 1.0", "cannot be changed"),
    "the position set": ("broker.position = 1.0", "broker.target_quantity"),
    "pandas": ("x = pd.Series(self.window).mean()", "pandas is not for handlers"),
    "the clock": ("x = time.time()", "bar.close_time"),
    "a date": ("x = datetime.datetime.now()", "whole ns UTC"),
    "random numbers": ("x = random.random()", "with a seed"),
    "NumPy's random numbers": ("x = np.random.random()", "with a seed"),
    "a NumPy function that is not there": ("x = np.avrage(self.window)", "did you mean np.average?"),
    "a timer in a handler": ("self.every(1_000_000)", "belongs into setup()"),
    "setup called": ("self.setup()", "belongs into setup()"),
    "isinstance": ("x = isinstance(bar.close, float)", "no isinstance"),
    "str": ("x = str(bar.close)", "no text in a handler"),
    "super": ("super().on_bar(bar, broker)", "no super()"),
}
"""What is written in `on_bar`, whose marked (or only) line is wrong, and what is told."""
COMPILER = {
    "a NumPy function that does not compile": (
        "x = np.einsum('i,i', self.window, self.window)",
        "np.einsum does not compile",
    ),
    "two kinds in one variable": (
        "x = 1.0\nif bar.close > 2.0:\n    x = self.window\nself.last = x + 0.0  # here",
        "'x' is once a number and once an array",
    ),
    "a module's function": ("x = os.getcwd()", "there is no 'getcwd' in that module"),
    "a number as index": ("x = self.window[bar.close]", "an index is a whole number"),
    "an array as a number": ("self.last = self.window", "is one number and is given an array"),
    "an array replaced": ("self.window = np.zeros(8)", "write self.window[:] = ..."),
    "an indicator replaced": ("self.average = 3.0", "a SMA made in setup()"),
    "an indicator as a number": ("x = self.average + 1.0", "a SMA object and a number"),
    "a quantity that is an array": ("broker.buy(self.window)", "broker.buy: quantity is a number"),
    "one value as two": ("x, y = self.average.update(bar.close)", "not several values"),
    "a number gone through": ("for k in self.count:  # here\n    pass", "for k in range(n)"),
    "a list's method": ("self.window.append(1.0)", "there is no 'append' of an array"),
    "a fraction in a whole number": ("self.count = bar.close", "write count = 0.0 in setup()"),
    "a division in a whole number": ("self.count = self.count / 2", "write count = 0.0 in setup()"),
}
"""The same, found by the compiler itself."""
STATE = {
    "list": ("[]", "np.zeros(n) with a counter"),
    "dict": ("{}", "an array indexed by a small number"),
    "str": ('"flat"', "a number for each case"),
    "None": ("None", "math.nan"),
    "datetime": ("datetime.datetime(2020, 1, 1)", "whole ns UTC"),
    "DataFrame": ("pd.DataFrame()", "indicators"),
    "empty array": ("np.zeros(0)", "one element or more"),
    "lambda": ("lambda x: x", "a method of the class"),
}
"""What `setup` cannot leave on self, and what is told."""


def told(folder: Path, source: str, compiled: bool = True) -> tuple[str, str]:
    """The message, and `file:line: ` of the line that ends with `# here`."""
    path = folder / "mine.py"
    path.write_text(source)
    lines = source.splitlines()
    number = next(k for k, line in enumerate(lines, 1) if line.endswith("# here"))
    with pytest.raises(StrategyError) as caught:
        Session(find(f"{path}:Mine"), [BTC], 1.0, compiled=compiled)
    return str(caught.value), f"{path.resolve()}:{number}: "


def in_handler(body: str, handler: str = "on_bar(self, bar, broker)") -> str:
    marked = body if "# here" in body else body + "  # here"
    return HEAD + SETUP + f"    def {handler}:\n" + textwrap.indent(marked, " " * 8) + "\n"


@pytest.mark.parametrize(("body", "what"), IN_ON_BAR.values(), ids=IN_ON_BAR)
def test_a_mistake_in_a_handler_is_told_with_its_line_and_what_to_write(body: str, what: str, tmp_path: Path) -> None:
    message, where = told(tmp_path, in_handler(body))
    assert where in message
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize(("body", "what"), COMPILER.values(), ids=COMPILER)
def test_a_mistake_that_the_compiler_finds_is_told_with_its_line(body: str, what: str, tmp_path: Path) -> None:
    message, where = told(tmp_path, in_handler(body))
    assert where in message
    assert what in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("handler", "event"),
    [("on_trade", "trade"), ("on_quote", "quote"), ("on_fill", "fill"), ("on_book", "book"), ("on_slice", "slice")],
)
def test_every_handler_is_looked_at(handler: str, event: str, tmp_path: Path) -> None:
    source = in_handler(f"x = {event}.vwap", f"{handler}(self, {event}, broker)")
    if handler == "on_fill":
        source += "    def on_bar(self, bar, broker): ...\n"
    message, where = told(tmp_path, source)
    assert where in message
    assert f"{event}.vwap: there is no such name" in message


def test_helpers_and_methods_are_looked_at(tmp_path: Path) -> None:
    for call, mark, what in (
        ("self.last = helper(bar.close)", "# in a helper", "no try/except"),
        ("self.last = endless(bar.close)", "# calls itself", "calls itself: write a loop"),
    ):
        source = in_handler(call).replace("# here", "").replace(mark, "# here")
        message, where = told(tmp_path, source)
        assert where in message
        assert what in message
    source = (
        in_handler("self.rule(bar)").replace("# here", "")
        + "    def rule(self, bar):\n        self.entry = 1.0  # here\n"
    )
    message, where = told(tmp_path, source)
    assert where in message
    assert "Mine.entry" in message


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("value", "what"), STATE.values(), ids=STATE)
def test_what_cannot_be_state_is_told_with_its_line(value: str, what: str, compiled: bool, tmp_path: Path) -> None:
    source = HEAD + SETUP + f"        self.extra = {value}  # here\n    def on_bar(self, bar, broker): ...\n"
    message, where = told(tmp_path, source, compiled)
    assert message.startswith(where)
    assert "Mine.extra is a" in message
    assert what in message
    assert "PythonStrategy" in message
    assert "\n" not in message


def test_what_is_right_is_left_alone(tmp_path: Path) -> None:
    """Things that look like mistakes and are none."""
    source = in_handler(
        "values = [bar.open, bar.close]  # here\n"
        "if not (len(values) == 2 and self.count >= 0):\n    raise ValueError('text in an exception')\n"
        "assert bar.close > 0.0, 'text in an assertion'\n"
        "side = Side.BUY if bar.close > bar.open else Side.SELL\n"
        "self.window[self.count % 8] = TABLE[1] + np.mean(self.window) + math.sqrt(bar.close)\n"
        "self.count += 1\n"
        "for k in range(3):\n    self.last = max(self.last, self.window[k])\n"
        "self.average.update(bar.close)\n"
        "if self.average.ready and broker.is_flat:\n    broker.limit(side, 1.0, bar.close, time_in_force=TimeInForce.DAY)\n"
        "return"
    )
    path = tmp_path / "mine.py"
    path.write_text(source)
    Session(find(f"{path}:Mine"), [BTC], 1.0)
