"""The features of one instrument at work: state, inputs and outputs lie in memory, and are advanced over rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.account import BAR_ROW
from quantlytic.engine.compiler.explain import explain
from quantlytic.engine.compiler.record import layout_of
from quantlytic.learn.features.kernel import JOB, driver, kernel_address
from quantlytic.learn.features.nodes import Graph, Node
from quantlytic.model.errors import StrategyError
from quantlytic.model.quote import QUOTE
from quantlytic.model.trade import TRADE

EVENTS = {"trade": TRADE, "quote": QUOTE}
Numbers = NDArray[np.float64]


class Lane:
    """`bars`: rows of BAR; `fields` f8[7, rows]: their numbers; `seen` f8[slots, rows]; `out` f8[rows, nodes], written to.
    `bounds` i8[rows, 2] and `events`: each row's events, by word."""

    def __init__(
        self,
        graph: Graph,
        bars: NDArray[Any],
        fields: Numbers,
        seen: Numbers,
        out: Numbers,
        bounds: Mapping[str, NDArray[np.int64]],
        events: Mapping[str, NDArray[Any]],
        compiled: bool,
    ) -> None:
        self.graph, self.bars, self.fields, self.seen, self.out = graph, bars, fields, seen, out
        self.bounds, self.events = dict(bounds), dict(events)
        self.state = np.zeros(graph.state_size + 64, np.uint8)
        start = -self.state.ctypes.data % 64
        self.state = self.state[start : start + graph.state_size]
        self.initial = graph.initial()
        self.reset()
        self._compiled = compiled
        if compiled:
            self._prepare()

    def reset(self) -> None:
        """Begin anew: nothing has been seen."""
        self.state[:] = self.initial

    def advance(self, across: bool, first: int, count: int) -> None:
        """Compute rows [first, first + count) of the features made `across` instruments, or of all others."""
        try:
            if self._compiled:
                self._drive(self._plans[across], first, count)
            else:
                with np.errstate(all="ignore"):
                    self._advance_plain([node for node in self.graph.nodes if node.across == across], first, count)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            names = ", ".join(node.name for node in self.graph.nodes if node.across == across)
            raise StrategyError(f"one of the features {names} raised {type(error).__name__}: {error}") from error

    def give(self, word: str, events: NDArray[Any]) -> None:
        """The events of the one row there is."""
        self.events[word] = events
        self.bounds[word][0] = 0, len(events)
        if self._compiled:
            self._jobs["a2"][[node.family == word for node in self.graph.nodes]] = events.ctypes.data

    # ---- compiled ----

    def _prepare(self) -> None:
        from numba.core.errors import NumbaError

        self._drive = driver()
        self._jobs = np.zeros(len(self.graph.nodes), JOB)
        plan = []
        for k, node in enumerate(self.graph.nodes):
            try:
                address = kernel_address(node.layout, node.family)
            except NumbaError as error:
                raise StrategyError(f"feature {node.name!r}: {explain(str(error), type(node.record))}") from error
            plan.append((address, self.state.ctypes.data + node.offset, self._jobs[k:].ctypes.data))
            self._fill(self._jobs[k], k, node)
        across = [node.across for node in self.graph.nodes]
        whole = np.array(plan, np.int64).reshape(-1, 3)
        self._plans = [np.ascontiguousarray(whole[np.equal(across, which)]) for which in (False, True)]

    def _fill(self, job: Any, column: int, node: Node) -> None:
        job["out"], job["out_step"] = self.out.ctypes.data + 8 * column, self.out.strides[0]
        job["place"] = node.place
        if node.family in ("bar", *EVENTS):
            job["a0"], job["s0"] = self.bars.ctypes.data, self.bars.dtype.itemsize
            if node.family in EVENTS:
                job["a1"] = self.bounds[node.family].ctypes.data
                job["a2"], job["s2"] = self.events[node.family].ctypes.data, EVENTS[node.family].itemsize
            return
        for k, (what, number) in enumerate(node.inputs):
            if what == "column":
                address, step = self.out.ctypes.data + 8 * number, self.out.strides[0]
            else:
                table = self.fields if what == "field" else self.seen
                address, step = table[number:].ctypes.data, 8
            job[f"a{k}"], job[f"s{k}"] = address, step

    # ---- plain: breakpoints work ----

    def _advance_plain(self, nodes: list[Node], first: int, count: int) -> None:
        views = [(node, node.layout.view(self.state, node.offset)) for node in nodes]
        columns = {id(node): k for k, node in enumerate(self.graph.nodes)}
        for i in range(first, first + count):
            for node, view in views:
                self.out[i, columns[id(node)]] = self._value(node, view, i)

    def _value(self, node: Node, view: Any, i: int) -> float:
        if node.family in ("bar", *EVENTS):
            if node.family in EVENTS:
                layout = layout_of(EVENTS[node.family])
                buffer = self.events[node.family].view(np.uint8)
                for k in range(*self.bounds[node.family][i].tolist()):
                    getattr(view, f"on_{node.family}")(layout.view(buffer, k * layout.size))
            return float(view.update(BAR_ROW.view(self.bars.view(np.uint8), i * BAR_ROW.size)))
        view.update(*(self._input(what, k, i) for what, k in node.inputs))
        begin = node.offset + node.place
        return float(self.state[begin : begin + 8].view(np.float64)[0])

    def _input(self, what: str, k: int, i: int) -> np.float64:
        value = self.out[i, k] if what == "column" else (self.fields if what == "field" else self.seen)[k, i]
        return np.float64(value)
