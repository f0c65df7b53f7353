"""What to tell a strategist whose strategy does not compile, or raised: the file, the line, and what to do."""

from __future__ import annotations

import dis
import re
import traceback
from pathlib import Path
from types import FunctionType

from quantlytic.model.errors import StrategyError
from quantlytic.model.time import iso

NO_SUCH_NAME = "no such name:"
"""How the compiler begins its message about a missing field, method or attribute of a record."""

_OURS = Path(__file__).resolve().parents[1]
_PLACE = re.compile(r'File "([^"]+)", line (\d+):| at (\S+) \((\d+)\)$', re.MULTILINE)
_NO_OBJECTS = "no text, lists or dicts in a handler: use numbers, and arrays made in setup()"
_HINTS = (
    (rf"{NO_SUCH_NAME} (.+)", "{0}"),
    (r"Untyped global name '(\w+)'", "{0!r} cannot be used in a handler: use numbers set by param() or in setup()"),
    (r"NameError: name '(\w+)'", "{0!r} is not defined"),
    (r"Unknown attribute '(\w+)' of type Module", "there is no {0!r} in that module, or it does not compile"),
    (r"Unknown attribute '(\w+)'", "there is no {0!r} here: what a handler uses on self is made in setup()"),
    (r"unicode_type|reflected list|DictType|ListType|Literal\[str\]", _NO_OBJECTS),
    (r"Cannot unify (.+?) and (.+?) for '(\w+)", "{2!r} is once {0} and once {1}: give it one kind of value"),
)


def explain(message: str, strategy: type) -> str:
    """The compiler's message in one line: the user's file and line, what it is about, what to write instead."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message)
    cause, where = plain, strategy.__name__
    for place in _PLACE.finditer(plain):
        name, line = place[1] or place[3], place[2] or place[4]
        if _is_users(name):
            cause, where = plain[: place.start()], f"{_absolute(name)}:{line}"
            break
    else:
        if undefined := re.search(r"NameError: name '(\w+)'", plain):
            where = _place_of_name(strategy, undefined[1]) or where
    for pattern, hint in _HINTS:
        if found := re.search(pattern, cause):
            what = hint.format(*(group or "" for group in found.groups()))
            break
    else:
        what = _call(cause) or _first_line(cause)
    return f"{where}: {what} (compiled=False runs the same class in plain Python)"


def blame(error: Exception, strategy: type, bar: int, time: int, word: str = "bar") -> StrategyError:
    """A handler raised: where, at which bar (or other event: `word`), and what."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else strategy.__name__
    found = StrategyError(f"{where}: {type(error).__name__} at {word} {bar} ({iso(time)}): {error}")
    found.bar = bar
    return found


def _place_of_name(strategy: type, name: str) -> str | None:
    """Where a method uses a global name; of this the compiler does not tell the line."""
    for owner in strategy.__mro__:
        for member in vars(owner).values():
            if isinstance(member, FunctionType):
                line = member.__code__.co_firstlineno
                for instruction in dis.get_instructions(member):
                    line = getattr(instruction.positions, "lineno", None) or line
                    if instruction.opname == "LOAD_GLOBAL" and instruction.argval == name:
                        return f"{_absolute(member.__code__.co_filename)}:{line}"
    return None


def _is_users(name: str) -> bool:
    """A file that is neither the engine's nor an installed library's (built-in strategies count as the user's)."""
    path = _absolute(name)
    if path.is_relative_to(_OURS):
        return path.is_relative_to(_OURS / "strategies")
    return not {"numba", "numpy", "llvmlite"} & set(path.parts)


def _absolute(name: str) -> Path:
    return Path(name).resolve()


def _call(cause: str) -> str | None:
    """The call that could not be resolved, in words: `broker.limit(str, float64, float64) is not possible`."""
    calls = list(re.finditer(r"resolving callee type: (.+)", cause))
    signatures = list(re.finditer(r"^( *)>>> (.+)$", cause, re.MULTILINE))
    if not calls or not signatures:
        return None
    indent = len(cause[: calls[-1].start()].rsplit("\n", 1)[-1]) - len("During: ")
    fitting = [one for one in signatures if len(one[1]) <= indent + 1] or signatures
    text = re.sub(r"_[0-9a-f]{16}\b", "", fitting[-1][2])
    if method := re.search(r"Type'>, '(\w+)'\)", calls[-1][1]):
        text = method[1] + text[text.find("(") :]
    return f"{text} is not possible: other arguments are needed, or it does not compile"


def _first_line(cause: str) -> str:
    lines = [line.strip() for line in cause.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Failed in", "During", "-", ">>>"))]
    return (told or lines or ["it does not compile"])[0]
