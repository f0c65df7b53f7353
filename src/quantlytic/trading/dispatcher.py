"""From an account's orders to calls of its link: what is to be sent, cancelled, asked and fetched now.

A call is handed out by `take_calls` only after the command for it is in the log. What is under way is known to this process
alone: a new one begins with asking.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from quantlytic.model.breach import RiskBreach
from quantlytic.model.command import CommandKind
from quantlytic.model.halt import Halt
from quantlytic.model.order import Order, OrderCancel, OrderStatus, OrderType, Reason, TimeInForce
from quantlytic.trading.account import Account
from quantlytic.trading.fitting import Unfit, fit, own_means
from quantlytic.trading.link import Answer, Connected, Heard, Link, Sweep, Trades, Update
from quantlytic.trading.orderbook import decision_of
from quantlytic.trading.rules import LiveRules, Retry
from quantlytic.trading.tracker import Leg
from quantlytic.trading.triggers import fault_of
from quantlytic.trading.working import Working
from quantlytic.venues.port import OrderState

PASSING = ("max_orders_per_s", "max_orders_per_minute", "max_price_age_s")  # limits that pass by themselves
RESWEEP_NS = 200_000_000  # what does not agree is looked at again so soon, then after doubling pauses


class Dispatcher:
    """`is_ready`: the account has been reconciled since this process began; until then nothing is sent. `failure`: the venue
    refuses the account, trying again is of no use. `swept_ns`: when the venue was last compared with; `sweep_error`: why the
    last try failed."""

    def __init__(self, account: Account, link: Link, rules: LiveRules) -> None:
        self.account, self._link, self._rules = account, link, rules
        self.is_ready = False
        self.failure = self.sweep_error = ""
        self.swept_ns = 0
        self.prices: dict[str, tuple[float, int]] = {}
        self._calls: list[Callable[[], None]] = []
        self._under_way: dict[str, int] = {}
        self._retry = Retry(rules.ns("retry_s"))
        self._last_asked: set[str] = set()
        self._sweep_due_ns = self._doubts = 0

    # ---- what was heard

    def hear(self, heard: Heard, now_ns: int) -> None:
        """Take in one message of the link."""
        if isinstance(heard, Update):
            self.account.hear(heard.state, "stream", now_ns)
        elif isinstance(heard, Answer):
            self._answer(heard, now_ns)
        elif isinstance(heard, Trades):
            done = not heard.error and self.account.take_trades(heard.instrument, heard.fills, now_ns)
            self._end(f"trades {heard.instrument}", done and bool(heard.fills), now_ns)
        elif isinstance(heard, Connected):
            self._sweep_due_ns = 0
        else:
            self._swept(heard, now_ns)

    def _answer(self, answer: Answer, now_ns: int) -> None:
        name = f"{answer.how} {answer.client_order_id}"
        self._end(name, not answer.error, now_ns)
        working = self.account.book.find(answer.client_order_id)
        if working is None:
            return
        if answer.state is not None:
            self.account.hear(answer.state, "asked" if answer.how == "ask" else "answer", now_ns)
            self._last_asked.discard(answer.client_order_id)
        elif answer.how == "submit":
            if answer.is_unsent:
                self.account.never_sent(working, answer.error, now_ns)
            else:
                status = OrderStatus.REJECTED if answer.is_refused else OrderStatus.UNRESOLVED
                self.account.refuse(working, status, answer.error, "answer", now_ns)
        elif answer.how == "ask" and not answer.error:
            self._retry.failed(name, now_ns)
            self.account.unknown_there(working, answer.asked_ns, self._link.void_after_ns, now_ns)

    def _swept(self, sweep: Sweep, now_ns: int) -> None:
        self._under_way.pop("sweep", None)
        self.sweep_error = sweep.error
        if sweep.error:
            if sweep.is_fatal and not self.is_ready:
                self.failure = sweep.error
            self._retry.failed("sweep", now_ns)
            return
        self._retry.done("sweep")
        self.swept_ns = now_ns
        quiet = {name.partition(" ")[2] for name in self._under_way}
        if self.account.reconcile(sweep, self._link.void_after_ns, quiet, now_ns):
            self.is_ready, self._doubts = True, 0
        else:
            self._sweep_due_ns = now_ns + min(RESWEEP_NS << min(self._doubts, 10), Retry.LONGEST)
            self._doubts += 1
        for state in self.account.risen:
            self._withdraw(state, now_ns)
        self.account.risen = []

    # ---- what is to be done

    def work(self, halt: Halt | None, now_ns: int) -> None:
        """Everything that is due now. `halt`: nothing new may be sent, for this reason."""
        if "sweep" not in self._under_way and self._sweep_due_ns <= now_ns and self._retry.is_due("sweep", now_ns):
            self._sweep(now_ns)
        for instrument in sorted(self.account.stirred):
            self._fetch(instrument, now_ns)
        self.account.stirred.clear()
        for working in list(self.account.book.working.values()):
            leg = working.leg
            if working.key not in self.account.book.working:
                continue  # it ended with another one
            if leg is not None and 0 < working.expires_ns <= now_ns and not working.is_withdrawn:
                self._expire(working, now_ns)
            if leg is None:
                self._hold_or_send(working, halt, now_ns)
            elif leg.is_waiting:
                if f"submit {leg.client_order_id}" not in self._under_way:
                    self._ask(working, leg, now_ns)
            elif working.wants_cancel:
                self._cancel(working, leg, now_ns)
            if leg is not None and leg.lacks_trades:
                self._fetch(leg.instrument, now_ns)

    def take_calls(self) -> list[Callable[[], None]]:
        """What may be asked of the venue once the commands for it are in the log."""
        calls, self._calls = self._calls, []
        return calls

    def is_awaited(self, run: str, now_ns: int) -> bool:
        """Whether the run's next bar should wait: the venue is about to say what became of an order of its."""
        oldest_ns = now_ns - self._rules.ns("answer_wait_s")
        for working, leg in self.account.book.legs():
            if working.order.run != run:
                continue
            cancel_ns = self._under_way.get(f"cancel {leg.client_order_id}", 0)
            if cancel_ns > oldest_ns:
                return True
            if leg.sent_ns > oldest_ns and (leg.is_waiting or leg.lacks_trades or leg.is_immediate):
                return True
        return False

    @property
    def has_under_way(self) -> bool:
        """Whether an answer is still to come."""
        return any(not name.startswith("sweep") for name in self._under_way)

    def _sweep(self, now_ns: int) -> None:
        orders = [(leg.instrument, leg.client_order_id) for _, leg in self.account.book.legs()]
        cursors = {name: self.account.state.cursors.get(name, -1) for name in self.account.instruments}
        self._under_way["sweep"] = now_ns
        self._sweep_due_ns = now_ns + self._rules.ns("sweep_every_s")
        self._calls.append(lambda: self._link.sweep(orders, cursors))

    def _hold_or_send(self, working: Working, halt: Halt | None, now_ns: int) -> None:
        if 0 < working.expires_ns <= now_ns:
            self._expire(working, now_ns)
            return
        if working.waits:
            self._keep(working, halt, now_ns)
            return
        self._try_to_send(working, halt, now_ns)

    def _try_to_send(self, working: Working, halt: Halt | None, now_ns: int) -> None:
        """Nothing is waited for any more but readiness and data; every rule is asked."""
        order = working.order
        reason = fault_of(order) or self._too_late(working, halt, now_ns)
        if reason:
            self._reject(working, reason, now_ns)
            return
        if doubt := self._unresolved(working):
            if not working.is_kept:  # a stop that has fired waits for the answer
                self._reject(working, doubt, now_ns)
            return
        if self._recall_group(working):
            return
        price, price_time = self.prices.get(order.instrument, (math.nan, 0))
        if not self.is_ready or now_ns - price_time > self._rules.ns("max_data_age_s"):
            return
        holdings = self.account.state.runs[order.run].holdings
        held = holdings.of[order.instrument].held
        ready = fit(working, self.account.instruments[order.instrument], price, held)
        if isinstance(ready, Order) and self._rules.spot:
            ready = own_means(ready, holdings, self.account.book, price) or ready
        if isinstance(ready, Unfit):
            self._reject(working, f"{ready.reason.text}: {ready.text}", now_ns)
            return
        breach = self.account.gate.check(ready, now_ns)
        if breach is None:
            self._send(working, ready, now_ns)
        elif working.is_kept and breach.limit in PASSING:
            self._put_off(working, breach, now_ns)
        else:
            self.account.out.append(breach)
            self._reject(working, f"{breach.limit}: {breach.text}", now_ns)

    def _put_off(self, working: Working, breach: RiskBreach, now_ns: int) -> None:
        """A stop that has fired is not given up for a limit that passes by itself; the breach is recorded once."""
        name = f"limit {working.key}"
        if self._retry.count(name) == 0:
            self.account.out.append(breach)
            self._retry.failed(name, now_ns)

    def _too_late(self, working: Working, halt: Halt | None, now_ns: int) -> str:
        """Why an order that is not at the venue will not be sent any more."""
        if halt is not None:
            return f"trading is halted ({halt.cause}): {halt.text}"
        age_ns = now_ns - working.decided_ns
        if age_ns > self._rules.ns("max_decision_age_s"):
            return (
                f"too-late: decided {age_ns / 1e9:.1f} s ago; over {self._rules.max_decision_age_s:g} s nothing is sent"
            )
        return ""

    def _unresolved(self, working: Working) -> str:
        """Why an order that is wished for again is not sent: what became of an earlier one, of the same run, instrument and side,
        nobody knows yet. Both might trade."""
        order = working.order
        for other, leg in self.account.book.legs():
            same = (other.order.run, leg.instrument, leg.side) == (order.run, order.instrument, order.side)
            if same and leg.is_waiting and other.order.bar_offset < order.bar_offset:
                return (
                    f"unresolved: an order of this run is unresolved ({leg.client_order_id}): nothing more of that side is sent "
                    "until the venue has said what became of it"
                )
        return ""

    def _send(self, working: Working, order: Order, now_ns: int) -> None:
        self._retry.done(f"limit {working.key}")
        leg = working.make_leg(order, now_ns)
        self._last_asked.discard(leg.client_order_id)
        self.account.out.append(working.command(self.account.name, CommandKind.SUBMIT, now_ns))
        self.account.gate.sent(order, now_ns)
        self._under_way[f"submit {leg.client_order_id}"] = now_ns
        self._calls.append(lambda: self._link.submit(order, leg.client_order_id, now_ns))

    def _reject(self, working: Working, reason: str, now_ns: int) -> None:
        """An order that never got to the venue; one of which a part has traded before ends as cancelled."""
        status = OrderStatus.CANCELED if working.done > 0.0 else OrderStatus.REJECTED
        self.account.tell_all(self.account.book.end(working, status, reason, now_ns))

    def _keep(self, working: Working, halt: Halt | None, now_ns: int) -> None:
        """An order that waits here: it is taken, or refused, when it comes in."""
        if working.told != OrderStatus.PENDING_NEW:
            return
        reason = fault_of(working.order) or self._too_late(working, halt, now_ns)
        if reason:
            self._reject(working, reason, now_ns)
            return
        price, price_time = self.prices.get(working.order.instrument, (math.nan, 0))
        watch = working.watch
        if watch is not None and watch.trail and not working.order.parent_id:
            if math.isnan(price):
                return
            watch.follow(price)
        working.told = OrderStatus.NEW
        self.account.tell(working.update(OrderStatus.NEW, "", now_ns))
        self.account.see(working.order.instrument, (price,), price_time, now_ns)  # it may be there already

    def _recall_group(self, working: Working) -> bool:
        """Before a member of a group is sent, no other may be at the venue. True while one is."""
        others = [other for other in self.account.book.group(working) if other.leg is not None]
        for other in others:
            other.is_recalled = True
        return bool(others)

    def _expire(self, working: Working, now_ns: int) -> None:
        day = working.order.time_in_force == TimeInForce.DAY
        reason = Reason.EXPIRED_DAY if day else Reason.EXPIRED_GTD
        book = self.account.book
        self.account.tell_all(book.withdraw(working, OrderStatus.EXPIRED, reason.text, now_ns))

    def _cancel(self, working: Working, leg: Leg, now_ns: int) -> None:
        if self._begin(f"cancel {leg.client_order_id}", now_ns):
            kind = CommandKind.CANCEL if working.is_withdrawn else CommandKind.AMEND
            self.account.out.append(working.command(self.account.name, kind, now_ns))
            self._calls.append(lambda: self._link.cancel(leg.instrument, leg.client_order_id))

    def _ask(self, working: Working, leg: Leg, now_ns: int) -> None:
        name, void_ns = f"ask {leg.client_order_id}", self._link.void_after_ns
        first = self._retry.count(name) == 0
        if leg.client_order_id not in self._last_asked and 0 <= void_ns < now_ns - leg.sent_ns:
            self._last_asked.add(leg.client_order_id)  # from now on the answer is final: no pause before this question
            self._retry.done(name)
        if self._begin(name, now_ns):
            if first:
                self.account.out.append(working.command(self.account.name, CommandKind.ASK, now_ns, leg.reason))
            self._calls.append(lambda: self._link.ask(leg.instrument, leg.client_order_id))

    def _fetch(self, instrument: str, now_ns: int) -> None:
        if self._begin(f"trades {instrument}", now_ns):
            from_id = self.account.state.cursors.get(instrument, -1) + 1
            self._calls.append(lambda: self._link.fetch_trades(instrument, from_id))

    def _withdraw(self, state: OrderState, now_ns: int) -> None:
        """Cancel an order of ours that is not in the book any more."""
        if self._begin(f"cancel {state.client_order_id}", now_ns):
            order = Order(
                *decision_of(state.client_order_id), state.instrument, now_ns, state.side, OrderType.LIMIT,
                TimeInForce.GTC, state.quantity, state.price,
            )  # fmt: skip
            gone = Working(order, now_ns, Leg(
                state.client_order_id, state.instrument, state.side, state.quantity, state.price, now_ns
            ))  # fmt: skip
            self.account.out.append(gone.command(self.account.name, CommandKind.CANCEL, now_ns, "it has ended here"))
            self._calls.append(lambda: self._link.cancel(state.instrument, state.client_order_id))

    def _begin(self, name: str, now_ns: int) -> bool:
        if name in self._under_way or not self._retry.is_due(name, now_ns):
            return False
        self._under_way[name] = now_ns
        return True

    def _end(self, name: str, is_done: bool, now_ns: int) -> None:
        self._under_way.pop(name, None)
        if is_done:
            self._retry.done(name)
        else:
            self._retry.failed(name, now_ns)


def withdraw(account: Account, cancel: OrderCancel, now_ns: int) -> None:
    """The strategist withdraws an order: at once while nothing of it is at the venue; else it is asked for there."""
    working = account.book.of(cancel.run, cancel.order_id)
    if working is not None:
        account.tell_all(account.book.withdraw(working, OrderStatus.CANCELED, "", now_ns))
