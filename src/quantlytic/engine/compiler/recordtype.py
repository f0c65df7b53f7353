"""Teaches Numba the records: each class of `Record` is a type of its own, whose methods and properties are the class's."""

# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import functools
import inspect
import types as python
from typing import Any

from numba import types
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import overload_attribute, overload_method, register_model
from numba.np.numpy_support import from_dtype

from quantlytic.engine.account.broker import Broker
from quantlytic.engine.compiler import outcall
from quantlytic.engine.compiler.compilable import compilable, inner_options_for
from quantlytic.engine.compiler.explain import NO_SUCH_NAME
from quantlytic.engine.compiler.fingerprint import fingerprint_of
from quantlytic.engine.compiler.record import Layout, Record
from quantlytic.engine.strategy import HANDLERS, Strategy
from quantlytic.model.bar import BAR
from quantlytic.model.fill import FILL
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

_WORDS = {BAR: "bar", FILL: "fill", QUOTE: "quote", TRADE: "trade"}
"""What rows of these dtypes are called in a handler."""


@functools.cache
def record_type(layout: Layout) -> types.Record:
    """The Numba type of a layout."""
    fields: list[tuple[str, dict[str, Any]]] = []
    dtype = layout.dtype
    for name in dtype.names or ():
        member, offset = dtype.fields[name][:2]  # type: ignore[index]
        if name in layout.nested:
            kind: Any = record_type(layout.nested[name])
        elif member.subdtype is not None:
            base, shape = member.subdtype
            kind = types.NestedArray(dtype=from_dtype(base), shape=shape)
        else:
            kind = from_dtype(member)
        fields.append((name, {"type": kind, "offset": offset}))
    return _type_class(layout.cls)(fields, layout)


class RecordType(types.Record):
    """A record that belongs to a class. Its name holds the fingerprint of the class's code: types, and with them the
    symbols of compiled functions, differ as soon as the code does, also between a cached library and a fresh one."""

    def __init__(self, fields: list[tuple[str, dict[str, Any]]], layout: Layout) -> None:
        super().__init__(fields, layout.size, aligned=True)
        self.layout = layout
        self.name = f"{layout.cls.__name__}_{fingerprint_of(layout)[:16]}"

    @property
    def mangling_args(self) -> tuple[str, tuple[()]]:
        return self.name, ()


@functools.cache
def _type_class(cls: type[Record]) -> type[RecordType]:
    numba_class = type(f"{cls.__name__}Type", (RecordType,), {})
    register_model(numba_class)(models.RecordModel)
    for name, member in _members(cls).items():
        if isinstance(member, property):
            assert member.fget is not None
            _expose_property(numba_class, name, compilable(member.fget))
        else:
            outside = cls is Broker and name in outcall.METHODS
            _expose_method(numba_class, name, outcall.stub_of(name) if outside else compilable(member))
    return numba_class


def _members(cls: type[Record]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if issubclass(owner, Record) and owner not in (Record, Strategy):
            for name, member in vars(owner).items():
                if isinstance(member, python.FunctionType | property) and not name.startswith("__"):
                    found[name] = member
    found.pop("setup", None)
    return found


def _expose_method(numba_class: type[RecordType], name: str, function: python.FunctionType) -> None:
    def typing(*_args: Any, **_kwargs: Any) -> python.FunctionType:
        return function

    typing.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    options = inner_options_for(function) | {"forceinline": name in HANDLERS}  # a call of it costs a nanosecond
    overload_method(numba_class, name, jit_options=options, strict=False)(typing)


def _expose_property(numba_class: type[RecordType], name: str, function: python.FunctionType) -> None:
    def typing(_self: Any) -> python.FunctionType:
        return function

    overload_attribute(numba_class, name, jit_options=inner_options_for(function), strict=False)(typing)


@infer_getattr
class _MissingAttribute(AttributeTemplate):
    """The last word on `record.name`: a field, or a clear error."""

    key = RecordType

    def generic_resolve(self, record: RecordType, name: str) -> Any:
        if name in record.fields:
            return record.typeof(name)
        if name in _members(record.layout.cls):
            return None
        cls = record.layout.cls
        what = _WORDS.get(record.layout.dtype, "row") if cls is Record else cls.__name__
        hint = (
            "give it a first value in setup()" if issubclass(record.layout.cls, Strategy) else "there is no such name"
        )
        raise TypingError(f"{NO_SUCH_NAME} {what}.{name}: {hint}")
