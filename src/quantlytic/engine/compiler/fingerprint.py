"""What code depends on, as a hash: its bytecode, the constants, functions, classes and layouts it refers to, and theirs.

Equal fingerprints mean equal code: the key of the compile cache, and part of every symbol's name.
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Iterator
from enum import EnumMeta
from typing import Any

import numpy as np

from quantlytic.engine.compiler.record import Layout, Record
from quantlytic.engine.param import Param

_COMPILED = (types.FunctionType, property)
_LEAVES = {"numpy", "math", "builtins", "quantlytic"}


def fingerprint_of(*subjects: object) -> str:
    """SHA-256 over everything that the subjects (functions, record classes, layouts, constants) refer to, as hex digits.

    Comments and layout of the source do not count; the Python version does, whose bytecode it is.
    """
    digest = hashlib.sha256()
    seen: set[int] = set()
    for subject in subjects:
        for piece in _pieces(subject, seen):
            digest.update(piece.encode())
            digest.update(b"\0")
    return digest.hexdigest()


def _pieces(subject: Any, seen: set[int]) -> Iterator[str]:  # noqa: PLR0912 - one case a kind of subject
    if subject is None or isinstance(subject, bool | int | float | complex | str | bytes | np.generic):
        yield f"{type(subject).__name__}:{subject!r}"
        return
    if isinstance(subject, np.ndarray):
        yield f"array:{subject.dtype}:{subject.shape}:{hashlib.sha256(subject.tobytes()).hexdigest()}"
        return
    if id(subject) in seen:
        yield f"again:{getattr(subject, '__qualname__', type(subject).__name__)}"
        return
    seen.add(id(subject))
    if isinstance(subject, tuple | frozenset | list):
        items = sorted(subject, key=repr) if isinstance(subject, frozenset) else subject
        for item in items:
            yield from _pieces(item, seen)
    elif isinstance(subject, types.CodeType):
        shape = (subject.co_name, subject.co_names, subject.co_varnames, subject.co_argcount)
        yield f"code:{shape}:{subject.co_code.hex()}"
        yield from _pieces(subject.co_consts, seen)
    elif isinstance(subject, types.FunctionType):
        yield from _function(subject, seen)
    elif isinstance(subject, Param):
        yield f"param:{subject.kind.__name__}:{subject.default!r}:{subject.low!r}:{subject.high!r}"
    elif isinstance(subject, property):
        yield from _pieces(subject.fget, seen)
    elif isinstance(subject, Layout):
        yield from _layout(subject, seen)
    elif isinstance(subject, EnumMeta):
        yield f"enum:{subject.__qualname__}:{list(subject.__members__.items())!r}"
    elif isinstance(subject, type) and issubclass(subject, Record):
        yield from _class(subject, seen, compiled_only=False)
    elif hasattr(subject, "py_func"):
        yield from _pieces(subject.py_func, seen)
    elif hasattr(subject, "_defn"):  # an intrinsic: what makes its code, not what that refers to in the compiler
        yield from _pieces(subject._defn.__code__, seen)
    elif isinstance(subject, types.ModuleType | type | types.BuiltinFunctionType | np.ufunc):
        yield f"name:{getattr(subject, '__module__', '')}:{subject.__name__}"
    else:
        # Not seen through: never equal to anything, so never taken from the cache.
        yield f"opaque:{type(subject).__qualname__}:{id(subject)}:{sys.hash_info}"


def _function(function: types.FunctionType, seen: set[int]) -> Iterator[str]:
    yield f"function:{function.__module__}:{function.__qualname__}"
    yield from _pieces(function.__code__, seen)
    yield from _pieces(function.__defaults__, seen)
    for cell in function.__closure__ or ():
        yield from _pieces(cell.cell_contents, seen)
    names = set(_names(function.__code__))
    for name in sorted(names):
        if name not in function.__globals__:
            continue
        value = function.__globals__[name]
        yield f"global:{name}"
        yield from _pieces(value, seen)
        if isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] not in _LEAVES:
            for attribute in sorted(names & set(vars(value))):
                yield from _pieces(getattr(value, attribute), seen)


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _class(cls: type[Record], seen: set[int], compiled_only: bool) -> Iterator[str]:
    yield f"class:{cls.__module__}:{cls.__qualname__}"
    for owner in cls.__mro__:
        if issubclass(owner, Record):
            for name, member in sorted(vars(owner).items()):
                if compiled_only and (name in ("setup", "__init__") or not isinstance(member, _COMPILED)):
                    continue
                if isinstance(member, types.FunctionType | property | Param | bool | int | float):
                    yield f"member:{name}"
                    yield from _pieces(member, seen)


def _layout(layout: Layout, seen: set[int]) -> Iterator[str]:
    yield f"layout:{layout.dtype}:{layout.size}"
    yield from _class(layout.cls, seen, compiled_only=True)
    for name, nested in layout.nested.items():
        yield f"nested:{name}"
        yield from _pieces(nested, seen)
