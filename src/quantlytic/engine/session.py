"""One strategy on one account, advanced by bars."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.arena import make_arena
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.outbox import AMENDS, CANCELS, FILLS, FLOWS, ORDERS, SIGNALS, UPDATES, Outbox
from quantlytic.engine.account.position import POSITION
from quantlytic.engine.compiler.record import fields_of, layout_of
from quantlytic.engine.data.currency import check_one_currency
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.plain import Cast
from quantlytic.engine.run import machine
from quantlytic.engine.run.desk import BARS
from quantlytic.engine.run.runner import Runner
from quantlytic.engine.strategy import Strategy
from quantlytic.model.action import ACTION
from quantlytic.model.bar import BAR
from quantlytic.model.equity import EQUITY
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.fill import FILL
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import ORDER, ORDER_AMEND, ORDER_CANCEL, ORDER_UPDATE

Array = NDArray[Any]
_MAGIC = b"QLS2"


class Session(Runner):
    """A strategy, its indicators, account and simulated broker: one arena of bytes, advanced by `run` or by the halves.

    `run` keeps what happened (`equity`, `fills`, `orders`, `signals`, `updates`, `cancels`). The halves return it and keep
    nothing, so a service may call them for ever. Arrays name instruments by their index in `instruments`. `bar_offset` in
    rows made here is the number of the bar within the session, from 0.

    A spot account by default: `allow_short=False` rejects a sale of more than is held. `max_open_orders` is per instrument.
    `compiled=False` runs the same source in plain Python, for a debugger; the results are the same bytes.
    """

    def __init__(
        self,
        strategy: Strategy | type[Strategy],
        instruments: Sequence[Instrument],
        cash: float,
        fees: Fees = Fees(),  # noqa: B008 - immutable
        *,
        compiled: bool = True,
        allow_short: bool = False,
        market: Market | None = None,
        max_open_orders: int = 32,
        equity_every_ns: int = 60_000_000_000,
        book_depth: int = 1_000,
    ) -> None:
        self.strategy = strategy() if isinstance(strategy, type) else strategy
        self.instruments = tuple(instruments)
        self.compiled = compiled
        if not self.instruments or len({one.id for one in self.instruments}) < len(self.instruments):
            raise InputError("a session needs at least one instrument, and each only once")
        check_one_currency(self.instruments)
        if not (math.isfinite(cash) and cash > 0):
            raise InputError(f"cash is a positive number, not {cash!r}")
        if not 1 <= max_open_orders <= 10_000:
            raise InputError(f"max_open_orders is from 1 to 10000, not {max_open_orders!r}")
        if equity_every_ns < 1 or not 1 <= book_depth <= 1_000_000:
            raise InputError("equity_every_ns is 1 or more, book_depth from 1 to 1000000")
        self.market = market_of(market, fees, allow_short)
        handlers = self.strategy.handlers()
        prepared: Any = self.strategy.prepared(len(self.instruments))
        self._cast = prepared if isinstance(prepared, Cast) else None
        state: Any = prepared if self._cast is None else self._cast.record
        self._timer_ns = int(getattr(state, "timer_ns", 0)) if "on_timer" in handlers else 0
        if "on_timer" in handlers and not self._timer_ns:
            raise StrategyError(
                f"{type(self.strategy).__name__} has on_timer and no period: call self.every(ns) in setup()"
            )
        self._equity_every_ns, self._book_depth = equity_every_ns, book_depth
        self._layout = layout = layout_of(state)
        self._arena = make_arena(
            state,
            layout,
            self.instruments,
            cash,
            self.market,
            max_open_orders,
            shared_state="on_slice" in handlers,
        )
        identity = (
            type(self.strategy).__qualname__, self.strategy.params, str(layout.dtype), str(BROKER.dtype), len(self._arena),
            self.instruments, float(cash), self.market.to_dict(), max_open_orders,
        )  # fmt: skip
        self._identity = hashlib.sha256(repr(identity).encode()).digest()
        self._machine = self._build()
        self._at = machine.locator(compiled)
        broker: Any = BROKER.view(self._arena)
        self._account: Any = broker.account
        self._outbox = Outbox(self._arena)
        self._arena_at = self._at(self._arena)
        self._bar, self._action = np.zeros(1, BAR), np.zeros(1, ACTION)
        self.event_flows: Array = self._outbox.take(FLOWS)
        """CASH_FLOW rows of the last `execute` or `act`."""
        self._bar_at, self._bar_instrument = self._at(self._bar.view(np.uint8)), self._bar["instrument"]
        self._outbox_at = int(self._account.outbox_at)
        self._capacities = int(self._account.order_capacity), int(self._account.request_capacity)
        start = int(self._account.positions_at)
        self._positions = self._arena[start : start + POSITION.size * len(self.instruments)].view(POSITION.dtype)
        super().__init__()

    # ---- one bar, by halves ----

    def execute(self, bar: Any) -> tuple[Array, Array, Any]:
        """Executor: match open orders against the bar and mark at its close. Returns (updates, fills, equity row)."""
        self._machine.execute(self._arena_at, self._event(bar))
        self.event_flows = self._outbox.take(FLOWS)
        return self._outbox.take(UPDATES), self._outbox.take(FILLS), self._equity_row()

    def act(self, action: Any) -> tuple[Array, Array, Array]:
        """Executor: a split, dividend, delisting, funding, or a session's open or close (an ACTION row) happens.

        Returns (updates, fills, flows). `apply` and `decide` take the same row in place of a bar: the strategist's replica acts
        by itself, so what is returned here is for the record. Then `accept` what `decide` gave.
        """
        self._machine.act(self._arena_at, self._action_event(action))
        take = self._outbox.take
        self.event_flows = take(FLOWS)
        return take(UPDATES), take(FILLS), self.event_flows

    def apply(self, updates: Array, fills: Array, bar: Any) -> None:
        """Strategist: take over what the executor reported since the last bar, and mark at this bar's close.

        With an ACTION row in place of the bar: `updates` are those since the last bar, without the action's own.
        """
        update_rows, fill_rows = _rows(updates, ORDER_UPDATE), _rows(fills, FILL)
        self._check_count("fills", fill_rows, self._capacities[0] + len(self.instruments))
        if _is_action(bar):
            self._machine.hear(self._arena_at, self._at(update_rows.view(np.uint8)), len(update_rows))
            self._machine.act(self._arena_at, self._action_event(bar))
            self._outbox.take(UPDATES)
            self._outbox.take(FLOWS)
            return
        self._machine.apply(
            self._arena_at,
            self._at(update_rows.view(np.uint8)), len(update_rows),
            self._at(fill_rows.view(np.uint8)), len(fill_rows),
            self._event(bar),
        )  # fmt: skip
        self._outbox.take(FLOWS)

    def decide(self, bar: Any) -> tuple[Array, Array, Array, Array]:
        """Strategist: call `on_fill` for the fills just applied, then `on_bar`. Returns (signals, orders, cancels, amends)."""
        handlers = self.strategy.handlers()
        if "on_bar" not in handlers or not handlers.isdisjoint({"on_slice", "on_timer"}):
            raise StrategyError(
                f"{type(self.strategy).__name__} cannot go bar by bar, which knows on_bar and on_fill alone: it has "
                f"{', '.join(sorted(handlers))}"
            )
        try:
            if _is_action(bar):
                self._machine.tell(self._arena_at, self._machine.step)
            else:
                self._machine.decide(self._arena_at, self._event(bar), self._machine.step)
        except Exception as error:
            raise self._blame(error) from error
        self._check_fault(BARS, self._bar, 0)
        self._outbox.counts[FILLS] = 0
        take = self._outbox.take
        return take(SIGNALS), take(ORDERS), take(CANCELS), take(AMENDS)

    def accept(self, orders: Array, cancels: Array, amends: Array) -> Array:
        """Executor: take over what the strategist decided. Returns the updates: NEW, REJECTED, CANCELED."""
        order_rows, cancel_rows, amend_rows = (
            _rows(orders, ORDER),
            _rows(cancels, ORDER_CANCEL),
            _rows(amends, ORDER_AMEND),
        )
        self._check_count("orders", order_rows, self._capacities[1])
        self._check_count("cancels", cancel_rows, self._capacities[0] * len(self.instruments))
        self._check_count("amends", amend_rows, self._capacities[0] * len(self.instruments))
        self._machine.accept(
            self._arena_at,
            self._at(order_rows.view(np.uint8)), len(order_rows),
            self._at(cancel_rows.view(np.uint8)), len(cancel_rows),
            self._at(amend_rows.view(np.uint8)), len(amend_rows),
        )  # fmt: skip
        self._outbox.counts[ORDERS] = self._outbox.counts[CANCELS] = self._outbox.counts[AMENDS] = 0
        return self._outbox.take(UPDATES)

    # ---- state ----

    def save(self) -> bytes:
        """The whole state between two calls. Results of `run` are not part of it."""
        if self._cast is not None:
            raise InputError(
                f"{type(self.strategy).__name__} is a PythonStrategy, whose state cannot be saved: write a Strategy"
            )
        end = len(self._arena) if self._outbox.counts.any() else self._outbox_at
        desk = b"" if self._desk_bytes is None else self._desk_bytes.tobytes()
        return _MAGIC + self._identity + len(desk).to_bytes(8, "little") + desk + self._arena[:end].tobytes()

    def restore(self, state: bytes) -> None:
        """Go on from `save`. InputError when it was saved by another strategy, parameters, instruments or version."""
        head = len(_MAGIC) + 40
        if state[:4] != _MAGIC or state[4 : head - 8] != self._identity:
            raise InputError(
                f"the saved state is not of {type(self.strategy).__name__} with these parameters, instruments, cash and "
                "fees in this version: start afresh, or with what it was saved with"
            )
        desk_size = int.from_bytes(state[head - 8 : head], "little")
        size = len(state) - head - desk_size
        if size not in (self._outbox_at, len(self._arena)):
            raise InputError("the saved state is truncated: restore an earlier one or start afresh")
        self._restore_desk(state[head : head + desk_size])
        self._arena[:size] = np.frombuffer(state, np.uint8, offset=head + desk_size)

    # ---- how it stands ----

    @property
    def cash(self) -> float:
        return float(self._account.cash)

    @property
    def positions(self) -> dict[str, float]:
        """Instrument id -> signed quantity held."""
        return dict(zip((one.id for one in self.instruments), self._positions["quantity"].tolist(), strict=True))

    def state_of(self, instrument: str) -> dict[str, Any]:
        """The strategy's state for an instrument, for the curious: field -> value (indicators are dicts themselves)."""
        index = next((k for k, one in enumerate(self.instruments) if one.id == instrument), None)
        if index is None:
            raise InputError(f"no instrument {instrument!r} in this session")
        if self._cast is not None:
            return dict(vars(self._cast.players[min(index, len(self._cast.players) - 1)]))
        start = int(self._account.states_at + index * self._account.state_bytes)
        return fields_of(self._arena[start : start + self._layout.size].view(self._layout.dtype)[0])

    @property
    def state_bytes(self) -> int:
        """Size of what `save` keeps, between bars."""
        return self._outbox_at

    # ---- inside ----

    def _build(self) -> machine.Machine:
        """The machine of a compiled strategy's state, or of a cast of Python instances."""
        cls = type(self.strategy)
        if self._cast is None:
            return machine.build(cls, self._layout, self.compiled)
        machine.check_handlers(cls, cls.handlers())
        from quantlytic.engine.run.plainmachine import Stage

        return Stage(self._cast, self._arena, self._layout, self.compiled).machine()

    def _event(self, bar: Any) -> Any:
        self._bar[0] = bar if isinstance(bar, np.void) else _rows(bar, BAR)[0]
        if not 0 <= self._bar_instrument[0] < len(self.instruments):
            raise self._no_instrument(self._bar[0])
        return self._bar_at

    def _action_event(self, action: Any) -> Any:
        self._action[0] = action if isinstance(action, np.void) else _rows(action, ACTION)[0]
        if not 0 <= self._action["instrument"][0] < len(self.instruments):
            raise self._no_instrument(self._action[0])
        return self._at(self._action.view(np.uint8))

    def _equity_row(self) -> Any:
        account, row = self._account, np.zeros(1, EQUITY)
        instrument = self._bar_instrument[0]
        held = self._positions[instrument]
        row[0] = (
            instrument, account.time, account.equity, account.cash, held["quantity"], held["price"], account.bars - 1
        )  # fmt: skip
        return row[0]

    def _check_count(self, what: str, rows: Array, capacity: int) -> None:
        if len(rows) > capacity:
            raise InputError(f"{len(rows)} {what} for one bar: at most {capacity} with this max_open_orders")


def _is_action(row: Any) -> bool:
    return getattr(row, "dtype", None) == ACTION


def _rows(rows: Any, dtype: np.dtype[Any]) -> Array:
    """A contiguous array of exactly this dtype."""
    array = np.atleast_1d(np.asarray(rows))
    if array.dtype is not dtype and array.dtype != dtype:
        raise InputError(f"rows of another kind were given: wanted the fields {', '.join(dtype.names or ())}")
    return np.ascontiguousarray(array)
