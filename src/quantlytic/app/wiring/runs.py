"""Which runs these settings mean, and where they began."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence

import msgspec

from quantlytic.app.config import Settings, StrategySettings
from quantlytic.app.presence import Presence
from quantlytic.app.runstate import is_running
from quantlytic.app.span import span_of
from quantlytic.app.wiring.edge import Edge
from quantlytic.app.wiring.learning import Learning, check_spec_of
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError, QuantlyticError
from quantlytic.model.instrument import Instrument
from quantlytic.model.run import Run
from quantlytic.model.time import duration_ns
from quantlytic.store.control.control import Control

MODES = ("paper", "alert", "live")
TWINS = "two of the strategies are the same in everything: leave one out, or change a parameter"


class Runs:
    """One run a strategy of the settings. A run that is there goes on; a new one starts at the end of its bars.

    Its id is made of mode, strategy, code, parameters, instruments, bars, cash and fees: change one, and it is another run.
    """

    def __init__(self, settings: Settings, stores: Stores, edge: Edge) -> None:
        self._settings, self._stores, self._edge = settings, stores, edge
        self._runs: list[Run] | None = None

    def all(self) -> list[Run]:
        """Found, or started, at the first call."""
        if self._runs is None:
            for line in self._settings.forecasts:
                check_spec_of(line)  # before a run is entered that would never begin
            control = self._stores.control()
            instruments = self._edge.instruments(control)
            drafts = [
                self._draft(one, instruments) for one in self._settings.running
            ]  # all are fit before one is entered
            known = control.runs.list(self._settings.mode)
            found = [self._find(known, draft) for draft in drafts]
            ids = [_run_id(draft) if run is None else run.run_id for draft, run in zip(drafts, found, strict=True)]
            if len(set(ids)) < len(ids):
                raise InputError(TWINS)
            for draft, run in zip(drafts, found, strict=True):
                if run is None:
                    self._check_left(known, draft)
            self._runs = [run or self._start(control, draft) for draft, run in zip(drafts, found, strict=True)]
        return self._runs

    def faults(self) -> Iterator[str]:
        """What of these settings would be refused at the start, a sentence each. No run is entered, and no venue is asked."""
        venue = self._edge.venue
        ids = [f"{venue}:{symbol}" for symbol in self._settings.venue.symbols]
        learning, drafts = Learning(self._settings, self._stores, venue, ids), list[Run]()
        for line in self._settings.forecasts:
            try:
                check_spec_of(line)
            except QuantlyticError as error:
                yield str(error)
        for wanted in self._settings.running:
            try:
                draft = self._draft(wanted, ())
                if self._stores.home.exists():  # else there is no model that could be misread
                    learning.check_reader(wanted)
            except QuantlyticError as error:
                yield str(error)
            else:
                if draft in drafts:
                    yield TWINS
                drafts.append(draft)

    def stored(self) -> list[Run]:
        """The same, once the venue's rules for all instruments are stored; none before: the venue is not asked."""
        if self._runs is None:
            with self._stores.control() as control:
                if not self._edge.knows_instruments(control):
                    return []
        return self.all()

    def first(self) -> Run:
        """The one that a screen shows first."""
        return self.all()[0]

    def known(self) -> list[Run]:
        """Every run that services ever drove, oldest first; backtests are not among them."""
        control = self._stores.control()
        return [run for run in control.runs.list() if run.mode in MODES]

    def find(self, run_id: str) -> Run:
        """A run of the services by id, or the `last` one: at work, or at it last. Raises InputError when there is none."""
        if run_id != "last":
            return self._stores.control().runs.get(run_id)
        known = self.known()
        if not known:
            raise InputError(f"no paper run in {self._stores.home}: start one with `quantlytic up`")
        presence = Presence(self._stores.home)
        with self._stores.open_log() as log:
            last = [(is_running(run, log, self._settings, presence), span_of(log, run)[1] or 0) for run in known]
        return max(zip(last, range(len(known)), known, strict=True), key=lambda one: one[:2])[2]

    def _draft(self, wanted: StrategySettings, instruments: tuple[Instrument, ...]) -> Run:
        """The run that is meant, without an id. Raises InputError, StrategyError."""
        from quantlytic.strategies.catalogue import find, reads_forecasts, source_hash

        cls = find(wanted.name)
        if reads_forecasts(cls) and not wanted.forecasts:
            raise InputError(
                f"{wanted.name} decides on forecasts: name their line, forecasts = ..., and give it [[forecasts]]"
            )
        strategy = cls(**wanted.params)
        return Run(
            run_id="", mode=self._settings.mode, venue=self._edge.venue, strategy=wanted.name,
            params={name: float(value) for name, value in strategy.params.items()}, instruments=instruments,
            bar_size_ns=duration_ns(wanted.bar), cash=wanted.cash, fee_bps=wanted.fee_bps,
            first_bar_offset=0, code_hash=source_hash(cls), forecasts=wanted.forecasts,
        )  # fmt: skip

    def _find(self, known: Sequence[Run], draft: Run) -> Run | None:
        """The run that these settings mean: the newest that has come to be it by `quantlytic swap`, or is asked to, or that began
        as it."""
        from quantlytic.research.runs.succession import is_now

        with self._stores.open_log() as log:
            now = next((run for run in reversed(known) if is_now(run, log, draft)), None)
        return now or next((run for run in known if run.run_id.startswith(_run_id(draft))), None)

    def _check_left(self, known: Sequence[Run], draft: Run) -> None:
        """InputError where a new run would leave behind what an earlier one holds, whose strategy has raised and was mended."""
        from quantlytic.app.runstate import holdings
        from quantlytic.research.runs.succession import is_mended

        with self._stores.open_log() as log:
            for run in reversed(known):
                if is_mended(run, log, draft) and (held := holdings(run, log)):
                    holds = ", ".join(f"{quantity:g} {name.partition(':')[2]}" for name, quantity in held.items())
                    raise InputError(
                        f"{run.run_id} holds {holds} since its strategy has raised, and {draft.strategy} has changed: say what "
                        f"becomes of that, `quantlytic swap {run.run_id} {draft.strategy} --position keep --reason ...` (or "
                        "close), and start again; with another cash, a new run begins beside it"
                    )

    def _start(self, control: Control, draft: Run) -> Run:
        run_id = _run_id(draft)
        if draft.mode == "live":  # a home that was lost and made anew must never meet the order ids of the old one
            run_id += secrets.token_hex(2)
        with self._stores.open_log() as log:
            end = log.bounds(draft.bars_stream)[1]
        try:
            return control.runs.add(msgspec.structs.replace(draft, run_id=run_id, first_bar_offset=end))
        except InputError:  # another process has started it at this very moment
            return control.runs.get(run_id)


def _run_id(draft: Run) -> str:
    """But for what a live one adds to it."""
    return f"{draft.mode}-" + hashlib.sha256(msgspec.json.encode(draft)).hexdigest()[:12]
