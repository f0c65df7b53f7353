"""A list of feature specs as what is to be computed, in order, and from what."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantlytic.engine.compiler.record import Bytes, Layout, Record, layout_of, pack
from quantlytic.learn.features.barfeatures import Same
from quantlytic.learn.features.feature import Feature, events_of
from quantlytic.learn.features.featurespec import FeatureSpec
from quantlytic.learn.features.kernel import WIDTH
from quantlytic.learn.features.kinds import RANK, inputs_of, kind_of, make
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument

FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
OWN = -1
_PAIR = ("x", "y")
_ALIGN = 64


@dataclass(frozen=True)
class Seen:
    """What was known before a bar closed: `column` of another `instrument` (OWN: the row's), or the row's `rank` in it."""

    column: int
    instrument: int = OWN
    is_rank: bool = False


@dataclass(frozen=True)
class Node:
    """One feature: `record` as it begins, lying at `offset` of an instrument's state. `inputs`: ("field", k of FIELDS),
    ("column", k) or ("seen", k). `family`: see `kernel`. `place`: where in the record the result is. `across`: made from
    other instruments, or from such features: computed once all plain ones are."""

    name: str
    record: Record
    layout: Layout
    offset: int
    family: str
    inputs: tuple[tuple[str, int], ...]
    place: int
    hidden: bool
    across: bool


@dataclass(frozen=True)
class Graph:
    """`nodes` in order: a node's column is its number. `visible`: columns of the features asked for, in their order."""

    nodes: tuple[Node, ...]
    seen: tuple[Seen, ...]
    visible: tuple[int, ...]
    state_size: int

    def initial(self) -> Bytes:
        """An instrument's state before its first bar."""
        state = np.zeros(self.state_size, np.uint8)
        for node in self.nodes:
            part = state[node.offset : node.offset + node.layout.size].view(node.layout.dtype)
            pack(node.record, node.layout, part[0])
        return state

    @property
    def fields(self) -> frozenset[int]:
        """Which fields of the bar (numbers of FIELDS) are read one by one."""
        return frozenset(k for node in self.nodes for what, k in node.inputs if what == "field")

    @property
    def events(self) -> frozenset[str]:
        """Which events are needed besides bars: "trade", "quote"."""
        return frozenset(node.family for node in self.nodes) & {"trade", "quote"}


def graph_of(specs: Sequence[FeatureSpec], instruments: Sequence[Instrument], folder: Path | None) -> Graph:
    """InputError for names that are unknown, taken twice, or do not go together."""
    builder = _Builder([one.id for one in instruments], folder)
    visible = tuple(builder.add(spec) for spec in specs)
    kept = tuple(column for column, spec in zip(visible, specs, strict=True) if not spec.hidden)
    if not kept:
        raise InputError("a feature set needs at least one feature that is not hidden")
    return Graph(tuple(builder.nodes), tuple(builder.seen), kept, builder.size)


class _Builder:
    def __init__(self, instruments: list[str], folder: Path | None) -> None:
        self.instruments, self.folder = instruments, folder
        self.nodes: list[Node] = []
        self.seen: list[Seen] = []
        self.names: dict[str, int] = {}
        self.size = 0

    def add(self, spec: FeatureSpec) -> int:
        """The column of a feature."""
        if not spec.name or spec.name in FIELDS:
            raise InputError(f"a feature cannot be named {spec.name!r}: that is a field of the bar, or nothing")
        if spec.name in self.names:
            raise InputError(f"two features are named {spec.name!r}: give each its own name")
        column = self._column(spec)
        self.names[spec.name] = column
        return column

    def _column(self, spec: FeatureSpec) -> int:
        if spec.kind == RANK:
            if len(self.instruments) < 2:
                raise InputError(f"feature {spec.name!r}: a rank needs two instruments or more")
            if spec.params or spec.output or spec.instrument:
                raise InputError(f"feature {spec.name!r}: a rank takes `of` alone")
            return self._watch(spec, Seen(self._plain_column(spec), is_rank=True))
        kind = kind_of(spec.kind, self.folder)
        record = make(kind, spec.params, spec.name)
        place = _place(spec, record)
        if isinstance(record, Feature):
            if spec.of:
                raise InputError(f"feature {spec.name!r}: {spec.kind} reads whole bars: leave `of` away")
            column = self._node(spec, record, events_of(kind) or "bar", (), place)
        elif inputs_of(kind) == _PAIR:
            other = self._instrument(spec)
            source = self._plain_column(spec)
            pair = tuple(("seen", self._slot(Seen(source, who))) for who in (other, OWN))
            return self._node(spec, record, "2", pair, place)
        else:
            names = inputs_of(kind)
            if len(names) > WIDTH:
                raise InputError(f"feature {spec.name!r}: {spec.kind} takes more than {WIDTH} numbers")
            column = self._node(spec, record, str(len(names)), self._inputs(spec, names), place)
        if not spec.instrument:
            return column
        return self._watch(spec, Seen(self._only_plain(spec, column), self._instrument(spec)))

    def _watch(self, spec: FeatureSpec, seen: Seen) -> int:
        return self._node(spec, Same(), "1", (("seen", self._slot(seen)),), _place(None, Same()))

    def _node(
        self, spec: FeatureSpec, record: Record, family: str, inputs: tuple[tuple[str, int], ...], place: int
    ) -> int:
        layout = layout_of(record)
        across = any(what == "seen" or (what == "column" and self.nodes[k].across) for what, k in inputs)
        offset, self.size = self.size, self.size + -(-layout.size // _ALIGN) * _ALIGN
        self.nodes.append(Node(spec.name, record, layout, offset, family, inputs, place, spec.hidden, across))
        return len(self.nodes) - 1

    def _slot(self, seen: Seen) -> int:
        if seen not in self.seen:
            self.seen.append(seen)
        return self.seen.index(seen)

    def _inputs(self, spec: FeatureSpec, names: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
        """Fields by name; `of` instead of `x`, or of the only one."""
        if spec.of and "x" not in names and len(names) > 1:
            raise InputError(f"feature {spec.name!r}: {spec.kind} takes {', '.join(names)} of the bar: leave `of` away")
        chosen = self._source(spec, spec.of or "close")
        inputs = []
        for name in names:
            by_choice = name == "x" or (spec.of and len(names) == 1)
            inputs.append(chosen if by_choice else ("field", FIELDS.index(name)))
        return tuple(inputs)

    def _source(self, spec: FeatureSpec, of: str) -> tuple[str, int]:
        if of in FIELDS:
            return "field", FIELDS.index(of)
        if of in self.names:
            return "column", self.names[of]
        names = [*FIELDS, *self.names]
        close = difflib.get_close_matches(of, names, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(names)}"
        raise InputError(f"feature {spec.name!r}: there is no column {of!r} (features further up count): {hint}")

    def _plain_column(self, spec: FeatureSpec) -> int:
        """`of` as a column, which others may see."""
        what, k = self._source(spec, spec.of or "close")
        if what == "column":
            return self._only_plain(spec, k)
        return self._node(spec, Same(), "1", ((what, k),), _place(None, Same()))

    def _only_plain(self, spec: FeatureSpec, column: int) -> int:
        if self.nodes[column].across:
            raise InputError(
                f"feature {spec.name!r}: what is made from other instruments cannot be looked at from another"
            )
        return column

    def _instrument(self, spec: FeatureSpec) -> int:
        if not spec.instrument:
            raise InputError(
                f'feature {spec.name!r}: {spec.kind} compares two instruments: name one, instrument = "..."'
            )
        if spec.instrument not in self.instruments:
            close = difflib.get_close_matches(spec.instrument, self.instruments, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(self.instruments)}"
            raise InputError(f"feature {spec.name!r}: there is no instrument {spec.instrument!r}: {hint}")
        return self.instruments.index(spec.instrument)


def _place(spec: FeatureSpec | None, record: Record) -> int:
    """Where the result lies in the record."""
    if isinstance(record, Feature):
        if spec is not None and spec.output:
            raise InputError(f"feature {spec.name!r}: {spec.kind} has one result: leave `output` away")
        return 0
    outputs: tuple[str, ...] = record.outputs  # type: ignore[attr-defined]
    name = (spec.output if spec is not None else "") or outputs[0]
    fields = layout_of(record).dtype.fields
    assert fields is not None
    if name not in outputs:
        assert spec is not None
        close = difflib.get_close_matches(name, outputs, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(outputs)}"
        raise InputError(f"feature {spec.name!r}: {spec.kind} has no output {name!r}: {hint}")
    dtype, place = fields[name][:2]
    if dtype != np.float64:
        raise InputError(f"{type(record).__name__}.{name} is no number with a fraction: it cannot be a feature")
    return int(place)
