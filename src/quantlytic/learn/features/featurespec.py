"""How one feature is asked for."""

from __future__ import annotations

import msgspec


class FeatureSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One column: `kind` with its `params`, under the name `name`.

    `kind`: a name of the catalogue (`docs/features.md`), any indicator (`rsi`, `bollinger_bands`), or a feature of one's own
    as `path/to/file.py:ClassName`. `of`: what a feature of one number takes: a field of the bar ("open" ... "trades"), or the
    name of a feature further up; "" is the close. `output`: which result, of an indicator with several; "" is the first.
    `instrument`: another instrument's id. A kind that takes a pair (beta, ratio ...) then compares it with the row's own; any
    other is computed on that instrument's bars. `hidden`: others are made from it, and it is no column itself.
    """

    name: str
    kind: str
    params: dict[str, int | float | bool | str] = {}
    of: str = ""
    instrument: str = ""
    output: str = ""
    hidden: bool = False
