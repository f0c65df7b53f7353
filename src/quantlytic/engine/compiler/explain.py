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

_OURS = Path(__file__).resolve().parents[2]
_PLACE = re.compile(r'File "([^"]+)", line (\d+):| at (\S+) \((\d+)\)$', re.MULTILINE)
_NO_OBJECTS = "no text, lists or dicts in a handler: use numbers, and arrays made in setup()"
_ELSE = "or derive from PythonStrategy"
_HINTS = (
    (rf"{NO_SUCH_NAME} (.+)", "{0}"),
    (r"no such argument: (.+)", "broker.{0}"),
    (
        r"unsupported NumPy function 'numpy\.([\w.]+)'",
        f"np.{{0}} does not compile (so): write it with arithmetic, loops or other functions of NumPy, {_ELSE}",
    ),
    (
        r"Untyped global name '(\w+)'",
        f"{{0!r}} cannot be used in a handler: use numbers set by param() or in setup(), {_ELSE}",
    ),
    (r"NameError: name '(\w+)'", "{0!r} is not defined"),
    (
        r"Unknown attribute '(\w+)' of type Module",
        f"there is no {{0!r}} in that module, or it does not compile; {_ELSE}",
    ),
    (r"Unknown attribute '(\w+)' of type (.+)", "there is no {0!r} of {1}"),
    (r"unicode_type|reflected list|DictType|ListType|Literal\[str\]", _NO_OBJECTS),
    (r"Cannot unify (.+?) and (.+?) for '(\w+)", "{2!r} is once {0} and once {1}: give it one kind of value"),
    (r"Unsupported array index type", "an index is a whole number: divide with //, or write int(x)"),
    (r"failed to unpack (\S+)", "this is {0}, which is not several values: give it one name"),
    (r"Invalid use of getiter with parameters \((.+)\)", "{0} cannot be gone through: write for k in range(n)"),
    (
        r"Operator Overload in function '(\w+)'(?s:.*?)'\((.+), ([^,]+)\)'",
        "{0} of {1} and {2} is not possible: use numbers",
    ),
    (r"Error: (too many positional arguments|missing a required argument: \S+)", "{0}"),
)
_KINDS = (
    (r"Literal\[(\w+)\]\(.*?\)", r"\1"),
    (r"(nestedarray|array)\([^()]*(\([^()]*\))?[^()]*\)", "an array"),
    (r"BoundFunction\(.*", "a method that is not called"),
    (r"\bRecord_[0-9a-f]{16}\b", "a row such as the bar"),
    (r"\b([A-Z]\w*)_[0-9a-f]{16}\b", r"a \1 object"),
    (r"\b(float64|float32|float)\b", "a number"),
    (r"\bu?int(8|16|32|64)?\b", "a whole number"),
    (r"\bbool(ean)?\b", "True or False"),
    (r"\bunicode_type\b", "text"),
)


def words_of(kinds: str) -> str:
    """The compiler's names of types in plain words."""
    for pattern, words in _KINDS:
        kinds = re.sub(pattern, words, kinds)
    return kinds


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
            what = hint.format(*(words_of(group or "") for group in found.groups()))
            break
    else:
        what = _call(cause) or _first_line(cause)
    return f"{where}: {what} (compiled=False runs the same class in plain Python)"


def blame(error: Exception, strategy: type, bar: int, time: int, word: str = "bar") -> StrategyError:
    """A handler raised: where, at which bar (or other event: `word`), and what."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    own = [frame for frame in frames if "site-packages" not in frame.filename]  # a library's line says little
    frames = own or frames
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
    if name.startswith("<"):
        return False
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
    return f"{words_of(text)} is not possible: other arguments are needed, or it does not compile"


def _first_line(cause: str) -> str:
    lines = [line.strip() for line in cause.splitlines() if line.strip()]
    told = [
        line for line in lines if not line.startswith(("Failed in", "During", "-", ">>>")) and "_expose_" not in line
    ]
    return (told or lines or ["it does not compile"])[0]
