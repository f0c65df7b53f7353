"""One strategy on one account, advanced by market data."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantlytic.engine.account.arena import make_arena
from quantlytic.engine.account.broker import BROKER
from quantlytic.engine.account.outbox import Outbox
from quantlytic.engine.account.position import POSITION
from quantlytic.engine.compiler.record import fields_of, layout_of
from quantlytic.engine.data.currency import check_one_currency
from quantlytic.engine.market.fees import Fees
from quantlytic.engine.market.market import Market, market_of
from quantlytic.engine.plain import Cast
from quantlytic.engine.run import machine
from quantlytic.engine.run.stepper import Stepper
from quantlytic.engine.strategy import Strategy
from quantlytic.model.errors import InputError, StrategyError
from quantlytic.model.instrument import Instrument

Array = NDArray[Any]
_MAGIC = b"QLS2"


class Session(Stepper):
    """A strategy, its indicators, account and simulated broker: one arena of bytes, advanced by `run` or by the halves.

    `run` keeps what happened (`equity`, `fills`, `orders`, `signals`, `updates`, `cancels`). The halves (`execute`, `apply`,
    `decide`, `accept`: see `Stepper`) return it and keep nothing, so a service may call them for ever. Arrays name instruments
    by their index in `instruments`. `bar_offset` in rows made here is the number of the event within the session, from 0.

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
            type(self.strategy).__qualname__, self.strategy.params, _text(layout.dtype), _text(BROKER.dtype), len(self._arena),
            self.instruments, float(cash), self.market.to_dict(), max_open_orders,
        )  # fmt: skip
        self._identity = hashlib.sha256(repr(identity).encode()).digest()
        self._machine = self._build()
        self._at = machine.locator(compiled)
        broker: Any = BROKER.view(self._arena)
        self._account: Any = broker.account
        self._outbox = Outbox(self._arena)
        self._arena_at = self._at(self._arena)
        self._outbox_at = int(self._account.outbox_at)
        self._capacities = int(self._account.order_capacity), int(self._account.request_capacity)
        start = int(self._account.positions_at)
        self._positions = self._arena[start : start + POSITION.size * len(self.instruments)].view(POSITION.dtype)
        super().__init__()

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

    @property
    def open_orders(self) -> int:
        """How many orders are open, those not yet answered included."""
        return int(self._positions["orders"].sum())

    @property
    def orders_sent(self) -> int:
        """How many orders the strategy has sent, refused ones included: the id of the last one."""
        return int(self._account.next_order_id) - 1

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


@functools.lru_cache(maxsize=256)
def _text(dtype: np.dtype[Any]) -> str:
    return str(dtype)  # of a large record: 50 us
