"""A live account: what was asked of the venue, what was heard, what follows for each run. Pure but for its gate: times are given.

Everything that must outlive a crash is in `AccountState`; what was heard after the last commit is asked for again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from quantlytic.model.command import VenueReport
from quantlytic.model.discrepancy import Discrepancy
from quantlytic.model.errors import InputError
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.order import OrderStatus, OrderUpdate
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.trading import reconciliation
from quantlytic.trading.accountstate import AccountState, RunState
from quantlytic.trading.holdings import NO_ORDER, Holding, Holdings
from quantlytic.trading.link import Sweep
from quantlytic.trading.orderbook import OrderBook
from quantlytic.trading.reconciliation import Finding
from quantlytic.trading.risk import RiskGate
from quantlytic.trading.rules import LiveRules
from quantlytic.trading.tracker import Leg
from quantlytic.trading.working import Working
from quantlytic.venues.port import OrderState, VenueFill

MANY_FILLS = 24  # between two bars; beyond it trades of one order come as one fill: a session takes 33 at a time
SEEN = 500
ACTIONS = {"ignore": "ignored", "adopt": "adopted", "halt": "halted"}


class Account:
    """`out` and `told` collect what the next commit has to hold: events of the account, and of each run's executions.

    `halt_text`: not empty when trading has to stop; `risen`: orders that are to be withdrawn, since they have ended here.
    `stirred`: instruments that others have traded in the account just now.
    """

    def __init__(self, name: str, runs: Sequence[Run], state: AccountState, gate: RiskGate, rules: LiveRules) -> None:
        self.name, self.state, self.gate = name, state, gate
        state.instruments |= {one.id: one for run in runs for one in run.instruments}
        self.halt_text = ""
        self.risen: list[OrderState] = []
        self.stirred: set[str] = set()
        self.out: list[Event] = []
        self.told: dict[str, list[Event]] = {}
        self._rules = rules
        self._unled = sorted({*state.runs} - {run.run_id for run in runs})
        for run in runs:
            if run.run_id not in state.runs:
                holdings = Holdings(run.run_id, run.cash, {one.id: Holding() for one in run.instruments})
                state.runs[run.run_id] = RunState(holdings, run.first_bar_offset)

    @property
    def instruments(self) -> dict[str, Instrument]:
        return self.state.instruments

    @property
    def book(self) -> OrderBook:
        return self.state.book

    def tell(self, event: OrderUpdate | Fill) -> None:
        """To the run's strategist, and to the gate."""
        if isinstance(event, Fill):
            self.gate.fill(event)
        else:
            self.gate.update(event)
        self.told.setdefault(event.run, []).append(event)

    def tell_all(self, updates: Iterable[OrderUpdate]) -> None:
        for update in updates:
            self.tell(update)

    # ---- orders

    def see(self, instrument: str, prices: Iterable[float], since_ns: int, now_ns: int) -> None:
        """Prices that orders may wait for; `since_ns`: decisions after it were made later than these prices."""
        for working in self.book.working.values():
            watch = working.watch
            is_asleep = working.order.parent_id > 0 and working.awake <= 0.0
            if watch is None or working.order.instrument != instrument or is_asleep or working.decided_ns > since_ns:
                continue
            if working.told != OrderStatus.PENDING_NEW and any(watch.see(price) for price in prices):
                working.decided_ns = now_ns

    def hear(self, state: OrderState, heard_as: str, now_ns: int) -> None:
        """A report on an order, of ours or not."""
        working = self.book.find(state.client_order_id)
        if working is None or working.leg is None:
            is_ours = state.client_order_id in self.book.gone
            if not is_ours and state.filled_quantity > 0.0 and state.instrument in self.instruments:
                self.stirred.add(state.instrument)
            return
        leg = working.leg
        is_new = leg.hear(state.status, state.filled_quantity, state.quote_filled, state.venue_order_id, state.reason)
        self.book.note_place(working)
        if is_new or heard_as != "listing":
            report = VenueReport(
                self.name, leg.client_order_id, state.venue_order_id, leg.instrument, state.event_time, now_ns,
                state.status, state.filled_quantity, state.quote_filled, state.reason, heard_as,
            )  # fmt: skip
            self.out.append(report)
        self.settle(working, now_ns)

    def refuse(self, working: Working, status: OrderStatus, reason: str, heard_as: str, now_ns: int) -> None:
        """What we know of the present leg without a report of the venue: refused, unresolved."""
        leg = working.leg
        assert leg is not None
        leg.hear(status, 0.0, 0.0, reason=reason)
        self._report(leg, status, reason, heard_as, now_ns)
        self.settle(working, now_ns)

    def never_sent(self, working: Working, reason: str, now_ns: int) -> None:
        """The present leg is certain not to be at the venue, and never to come: the order is held again."""
        assert working.leg is not None
        self._report(working.leg, OrderStatus.REJECTED, reason, "asked", now_ns)
        working.leg = None
        working.is_recalled = False
        if working.is_withdrawn:
            self.tell_all(self.book.end(working, *working.ending, now_ns))
        elif working.amend is not None:
            self.tell_all(self.book.amend(working, working.amend, now_ns))

    def unknown_there(self, working: Working, asked_ns: int, void_ns: int, now_ns: int) -> None:
        """The venue has said that it has never heard of the present leg. `void_ns` < 0: that is never the last word."""
        leg = working.leg
        if leg is None or leg.is_ended or not 0 <= void_ns < asked_ns - leg.sent_ns:
            return
        if leg.is_waiting:
            self.never_sent(working, "it never reached the venue", now_ns)
        else:
            self.refuse(working, OrderStatus.CANCELED, "the venue does not know it any more", "asked", now_ns)

    def settle(self, working: Working, now_ns: int) -> None:
        """Tell what there is to tell of an order."""
        self.tell_all(self.book.news(working, now_ns))

    def _report(self, leg: Leg, status: OrderStatus, reason: str, heard_as: str, now_ns: int) -> None:
        report = VenueReport(
            self.name, leg.client_order_id, leg.venue_order_id, leg.instrument, now_ns, now_ns, status, leg.filled,
            leg.quote_filled, reason, heard_as,
        )  # fmt: skip
        self.out.append(report)

    # ---- trades

    def take_trades(self, instrument: str, fills: Sequence[VenueFill], now_ns: int) -> bool:
        """Take in the account's trades after the cursor. False: one may belong to an order whose number at the venue is not
        known yet; it and what follows wait."""
        state, changed = self.state, {}
        new = sorted(
            (each for each in fills if each.trade_id > state.cursors.get(instrument, -1)),
            key=lambda each: each.trade_id,
        )
        waits = self.book.is_undecided(instrument)
        ready: list[VenueFill] = []
        for trade in new:
            if waits and self.book.owner(trade) is None:
                break
            if not ready or trade.trade_id != ready[-1].trade_id:
                ready.append(self.book.claim(trade))
        for trade in self._merged(ready):
            self._expect(trade)
            owner = self.book.owner(trade)
            if owner is None:
                self._take_foreign(trade, now_ns)
                continue
            self._fill(owner.run, owner.order_id, trade)
            working = self.book.of(owner.run, owner.order_id)
            if working is not None:
                self.book.book(working, owner.client_order_id, trade.quantity, trade.price)
                changed[working.key] = working
        if ready:
            state.cursors[instrument] = ready[-1].trade_id
        for working in changed.values():
            self.settle(working, now_ns)
            for other in self.book.group(working):
                self.tell_all(self.book.empty(other, now_ns))
        return len(ready) == len(new)

    def _merged(self, trades: Sequence[VenueFill]) -> Sequence[VenueFill]:
        """The same, with trades of one order put together where there are too many of them."""
        most = max((run.fills_since_bar for run in self.state.runs.values()), default=0)
        if most + len(trades) <= MANY_FILLS:
            return trades
        merged: list[VenueFill] = []
        for trade in trades:
            last = merged[-1] if merged else None
            if last and (last.venue_order_id, last.fee_asset) == (trade.venue_order_id, trade.fee_asset):
                quantity = last.quantity + trade.quantity
                value = last.quantity * last.price + trade.quantity * trade.price
                merged[-1] = msgspec.structs.replace(
                    trade, quantity=quantity, price=value / quantity, fee=last.fee + trade.fee
                )
            else:
                merged.append(trade)
        return merged

    def _fill(self, run: str, order_id: int, trade: VenueFill) -> None:
        state = self.state.runs[run]
        instrument = self.instruments[trade.instrument]
        fee = self._fee_quote(trade, instrument)
        self.tell(state.holdings.book(trade, instrument, order_id, fee, state.last_bar))
        state.fills_since_bar += 1

    def _fee_quote(self, trade: VenueFill, instrument: Instrument) -> float:
        """A fee in a third asset at its last price, if one of the account's instruments tells it; else nothing."""
        for one in self.instruments.values():
            if (one.base, one.quote) == (trade.fee_asset, instrument.quote):
                prices = (
                    run.holdings.of[one.id].price for run in self.state.runs.values() if one.id in run.holdings.of
                )
                return trade.fee * next((price for price in prices if price > 0), 0.0)
        return 0.0

    def _expect(self, trade: VenueFill) -> None:
        instrument = self.instruments[trade.instrument]
        expected = self.state.expected
        for asset, change in reconciliation.balance_effects(trade, instrument.base, instrument.quote):
            expected[asset] = round(expected.get(asset, 0.0) + change, 12)

    def _take_foreign(self, trade: VenueFill, now_ns: int) -> None:
        self.note(reconciliation.foreign_trade(trade), now_ns)
        run = self._run_of(trade.instrument)
        if self._rules.foreign == "adopt" and run is not None:
            self._fill(run, NO_ORDER, trade)
        self._cover(trade, now_ns)

    def _cover(self, trade: VenueFill, now_ns: int) -> None:
        """What the account does not hold any more no run can hold: a sale by hand, or by the kill switch, that took of it is
        entered as the runs' own, the largest holding first."""
        base = self.instruments[trade.instrument].base
        runs = [run for run in self.state.runs.values() if trade.instrument in run.holdings.of]
        there = self.state.expected.get(base, 0.0)
        there = max(min(there, 0.0), there - self._rules.keep.get(base, 0.0))
        missing = sum(run.holdings.of[trade.instrument].held for run in runs) - there
        if not self._rules.spot or missing <= reconciliation.CENT:
            return
        for run in sorted(runs, key=lambda run: -run.holdings.of[trade.instrument].held):
            held = run.holdings.of[trade.instrument].held
            part = min(missing, held)
            if part <= 0.0:
                break
            missing = round(missing - part, 12)
            fee = trade.fee * part / trade.quantity
            sold = msgspec.structs.replace(trade, side=Side.SELL, quantity=part, fee=fee)
            finding = reconciliation.taken_from_run(run.holdings.run, trade.instrument, held, held - part)
            self._fill(run.holdings.run, NO_ORDER, sold)
            self.note(finding, now_ns)

    def _run_of(self, instrument: str) -> str | None:
        """The first run that trades it: what is adopted becomes its."""
        return next((name for name, run in self.state.runs.items() if instrument in run.holdings.of), None)

    # ---- reconciliation

    def reconcile(self, sweep: Sweep, void_ns: int, in_flight: set[str], now_ns: int) -> bool:
        """Compare with all that the venue says, and take over what it knows better. True when nothing is in doubt."""
        state = self.state
        self._open(sweep, now_ns)
        before = [(working, leg) for working, leg in self.book.legs() if leg.client_order_id in sweep.states]
        prefixes = [f"{run}." for run in state.runs]
        legs = [leg for _, leg in self.book.legs()]
        in_flight = in_flight | {name for name, gone_ns in self.book.gone.items() if gone_ns >= sweep.asked_ns}
        there = {each.client_order_id: each for each in sweep.open_orders}
        for finding in reconciliation.compare_orders(legs, sweep.states, sweep.open_orders, prefixes, in_flight):
            self.note(finding, now_ns)
            if finding.kind == "risen":
                self.risen.append(there[finding.name])
        for working, leg in before:
            known = sweep.states[leg.client_order_id]
            if known is not None:
                self.hear(known, "listing", now_ns)
            elif leg.client_order_id not in in_flight:
                self.unknown_there(working, sweep.asked_ns, void_ns, now_ns)
        complete = [self.take_trades(instrument, fills, now_ns) for instrument, fills in sweep.trades.items()]
        return all(complete) and self._check_balances(sweep, now_ns)

    def _open(self, sweep: Sweep, now_ns: int) -> None:
        """What is there when an account, or an instrument, is taken over for the first time is the beginning of our sums."""
        state = self.state
        if not state.is_open:
            state.expected = {asset: row.free + row.locked for asset, row in sweep.balances.items()}
            state.is_open = True
        self._tell_unled(now_ns)
        for name in [name for name in sweep.trades if name not in state.cursors]:
            state.cursors[name] = max((each.trade_id for each in sweep.trades[name]), default=-1)
            held = state.expected.get(state.instruments[name].base, 0.0)
            if held:
                self.note(reconciliation.held_before(name, held), now_ns)
                if self._rules.foreign == "adopt":
                    state.to_adopt[name] = held

    def _tell_unled(self, now_ns: int) -> None:
        """What runs hold and have open that are not traded now: once."""
        held = [(run, name, one.told) for run in self._unled for name, one in self.state.runs[run].holdings.of.items()]
        legs = [(working.order.run, leg) for working, leg in self.book.legs() if working.order.run in self._unled]
        for finding in reconciliation.left_behind(held, legs):
            self.note(finding, now_ns)
        self._unled = []

    def _check_balances(self, sweep: Sweep, now_ns: int) -> bool:
        """A balance counts as unexplained when the same is missing twice: between a trade and its listing lies some time."""
        state = self.state
        found = {each.name: each for each in reconciliation.compare_balances(state.expected, sweep.balances)}
        held = {asset: row.free + row.locked for asset, row in sweep.balances.items()}
        gaps = {asset: held.get(asset, 0.0) - state.expected.get(asset, 0.0) for asset in found}
        if not found:
            state.expected, state.suspects = held, {}
            return True
        again = [asset for asset in gaps if abs(gaps[asset] - state.suspects.get(asset, 0.0)) <= reconciliation.CENT]
        for asset in again:
            self.note(found[asset], now_ns)
            state.expected[asset] = held.get(asset, 0.0)
            self._cover_asset(asset, now_ns)
        state.suspects = {asset: gap for asset, gap in gaps.items() if asset not in again}
        return not state.suspects

    def _cover_asset(self, asset: str, now_ns: int) -> None:
        """The same for what left the account without a trade, at the last price."""
        for instrument in self.instruments.values():
            run = self._run_of(instrument.id)
            if instrument.base != asset or run is None:
                continue
            price = self.state.runs[run].holdings.of[instrument.id].price
            gone = VenueFill(
                trade_id=-1, venue_order_id=-1, instrument=instrument.id, event_time=now_ns, side=Side.SELL, quantity=1.0,
                price=0.0 if math.isnan(price) else price, fee=0.0, fee_asset=instrument.quote,
            )  # fmt: skip
            self._cover(gone, now_ns)

    def adopt(self, instrument: str, event_time: int) -> None:
        """Enter a position that waited for its first price into the run that trades the instrument. Raises InputError when it
        is worth more than the run has."""
        quantity = self.state.to_adopt.pop(instrument, 0.0)
        name = self._run_of(instrument)
        if quantity and name is not None:
            run = self.state.runs[name]
            worth = quantity * run.holdings.of[instrument].price
            if worth > run.holdings.cash:
                raise InputError(
                    f"account {self.name}: {quantity:.8g} {instrument} are worth {worth:,.2f}, to be adopted by run {name} with "
                    f"{run.holdings.cash:,.2f} in cash: give the run more, or set foreign to ignore"
                )
            self.tell(run.holdings.take_over(self.instruments[instrument], quantity, event_time, run.last_bar))

    def note(self, finding: Finding, now_ns: int) -> None:
        """A difference goes to the log, with what is done about it; a foreign thing once."""
        if finding.kind in ("foreign", "unknown"):
            mark = f"{finding.what} {finding.name}"
            if mark in self.state.seen:
                return
            self.state.seen = [*self.state.seen[-SEEN:], mark]
        if finding.kind == "foreign":
            action = (
                ACTIONS[self._rules.foreign] if finding.what != "order" or self._rules.foreign != "adopt" else "ignored"
            )
        elif finding.kind == "balance":
            action = "halted" if self._rules.halts_on_balance else "taken over"
        else:
            action = "ignored" if finding.kind == "unled" else "taken over"
        if action == "halted":
            self.halt_text = f"{finding.what} {finding.name}: {finding.explanation}"
        self.out.append(
            Discrepancy(
                self.name, now_ns, finding.what, finding.name, finding.ours, finding.venue, finding.explanation, action
            )
        )
