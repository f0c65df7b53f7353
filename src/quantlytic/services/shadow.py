"""Challengers beside the champion: they forecast what it forecasts, off its way, and the better one is promoted."""

from __future__ import annotations

import logging
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

from quantlytic.learn.contest.budget import Places
from quantlytic.learn.contest.challenge import Challenge, Seat
from quantlytic.learn.contest.judging import judge
from quantlytic.learn.contest.overtaken import TRAINER, Overtaken, never_asked
from quantlytic.learn.contest.promotion import Gate
from quantlytic.learn.contest.scope import NOWHERE, challengers, moved_to, open_to_all, withdrawal
from quantlytic.learn.contest.tapereader import forecasts_between
from quantlytic.learn.live.loading import Loader, Refused, catch_up
from quantlytic.learn.live.serving import Fault, FeaturesRaised, Feed, Line, Serving
from quantlytic.learn.live.swap import Wish
from quantlytic.learn.registry.registry import AliasChange
from quantlytic.learn.samples.inputs import Values
from quantlytic.model.errors import DataError, Fenced, InputError, QuantlyticError, StoreError
from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.store.log.port import Log

READ_EVENTS = 200
COMMIT_EVERY = 5_000
RETRY_S = 5.0
_LOG = logging.getLogger("quantlytic.shadow")


class _Saved(msgspec.Struct, array_like=True):
    seats: list[Seat]
    handled: dict[str, int]
    feeds: dict[str, bytes]
    drifts: dict[str, bytes]
    bars: int
    places: Places = msgspec.field(default_factory=Places)


_SAVED = msgspec.msgpack.Decoder(_Saved)


class Shadow:
    """Reads `forecasts.LINE`, and has the models of the alias "LINE/.../challenger" forecast the same bars: to `shadows.LINE`.
    What both said is measured by what then happened; when the `gate` says so, a challenger becomes the champion, with the
    gate's reason (`gate` None: it only measures). One that cannot be loaded, raises, gives no number, is too slow, too old,
    or no better after the last look is told of in one line (a ModelChange there, cause "refused"), and not asked again until
    the alias changes. "judged" tells what a look found.

    A challenger that a person names takes the place of those before it. Those of the trainer are added, so that one that is
    trained each night does not end the contest of the last; `at_once` of an alias at most: the newest of the others waits,
    until one is done or has had a look that it did not pass.

    It may lag behind, and holds up nobody. Forecasts, position and state are one commit; the contest so far is read again from
    the two streams at a restart. `check_s`: how often the registry is looked at. `last_failure`: one line, "" when all is well.
    """

    def __init__(
        self, log: Log, line: Line, loader: Loader, *, gate: Gate | None = None, check_s: float = 5.0, at_once: int = 4,
        now_ns: Callable[[], int] = time.time_ns, timer_s: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.name = f"shadow.{line.name}"
        self.last_failure = ""
        self._log, self._line, self._loader = log, line, loader
        self._gate, self._check_s, self._now_ns, self._timer_s = gate, check_s, now_ns, timer_s
        if gate is not None:
            gate.check()
        self._at_once = at_once
        self._handled: dict[str, int] = {}  # alias -> the last change of it that was taken up
        self._overtaken, self._places = Overtaken(loader.registry, line.name), Places()
        self._awaited: set[str] = set()  # aliases that mean one for which there is no room
        self._seats: list[Seat] = []
        self._challenges: dict[str, Challenge] = {}
        self._feeds: dict[str, Feed] = {}
        self._bars = 0  # bars.VENUE was taken up to here
        self._saved = _Saved([], {}, {}, {}, 0)
        self._lost: list[tuple[Seat, str]] = []  # could not be gone on with: told with the next bar
        self._latencies_ns: deque[int] = deque(maxlen=101)  # of the champion
        self._outputs: list[Event] = []
        self._look_at_s = self._retry_at_s = self._judge_at_s = 0.0
        self._writer = log.writer(self.name)
        first, end = log.bounds(line.forecasts_stream)
        self._position = max(self._writer.positions.get(line.forecasts_stream, end), first)
        self._committed = self._position
        if self._writer.snapshot is None:
            self._commit()  # where it began is kept
        else:
            self._restore(_SAVED.decode(self._writer.snapshot))

    @property
    def challenges(self) -> dict[str, Challenge]:
        """The challengers that are asked, by model id, with what was seen of them so far."""
        return self._challenges

    def pump(self) -> int:
        """See `Service.pump`."""
        if self._timer_s() < self._retry_at_s:
            return 0
        batch = self._log.read(self._line.forecasts_stream, self._position, READ_EVENTS)
        if not self._outputs:  # what could not be committed is not added to
            for offset, event in zip(batch.offsets, batch.events, strict=True):
                if isinstance(event, Forecast):
                    self._look(event)
                    self._take(event, offset)
            self._position = batch.next_offset
        try:
            if self._outputs or self._position - self._committed >= COMMIT_EVERY:
                self._commit()
        except Fenced:
            raise
        except StoreError as error:
            self._trouble(error)
            self._retry_at_s = self._timer_s() + RETRY_S
            return 0
        return len(batch.events)

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        if (left_s := self._retry_at_s - self._timer_s()) > 0:
            time.sleep(min(timeout_s, left_s))
        else:
            self._log.wait({self._line.forecasts_stream: self._position}, timeout_s)

    def close(self) -> None:
        """See `Service.close`."""
        try:
            if self._position > self._committed:
                self._commit()
        finally:
            self._writer.close()

    # ---- who is asked

    def _look(self, event: Forecast) -> None:
        """Every `check_s`: has an alias changed? What it means now is loaded here, before the bar at hand."""
        if self._timer_s() < self._look_at_s:
            return
        self._look_at_s = self._timer_s() + self._check_s
        try:
            away: QuantlyticError | None = self._resume_all(event.bar_offset)
            for changes in self._overtaken.states(self._handled):
                self._review(changes, event)
                for wish in challengers(changes, self._line):
                    if wish.is_damaged:
                        away = away or DataError(wish.change.reason)
                    elif wish.change.number > self._handled.get(wish.alias, 0) and self._has_room(wish):
                        self._seat(wish, event)
            if away is not None:
                raise away
            self.last_failure = ""
        except QuantlyticError as error:
            self._trouble(error)

    def _has_room(self, wish: Wish) -> bool:
        is_full = wish.change.by == TRAINER and len(self._rivals(wish.alias)) >= self._at_once
        (self._awaited.add if is_full else self._awaited.discard)(wish.alias)
        return not is_full

    def _rivals(self, alias: str) -> list[Challenge]:
        return [one for one in self._challenges.values() if one.seat.alias == alias]

    def _review(self, changes: Mapping[str, AliasChange], event: Forecast) -> None:
        """Those that were withdrawn are asked no more, pooled ones wherever no other champion stands before them by now."""
        for alias, change in never_asked(changes, self._handled):
            self._tell((), event, change.previous, "", "command", f"withdrawn: {change.reason}")
            self._handled[alias] = change.number
        open_now = open_to_all(changes, self._line)
        for challenge in list(self._challenges.values()):
            seat, left = challenge.seat, open_now if challenge.is_pooled else challenge.seat.instruments
            if gone := withdrawal(changes, seat.alias):
                self._end(challenge, event, "command", f"withdrawn: {gone.reason}")
            elif not left:
                self._end(challenge, event, "refused", NOWHERE)
            elif left != seat.instruments:
                self._move(challenge, left, event)

    def _move(self, challenge: Challenge, instruments: tuple[str, ...], event: Forecast) -> None:
        model_id = challenge.seat.model_id
        try:
            challenge.move(instruments)
            self._tell(instruments, event, model_id, model_id, "judged", moved_to(instruments, self._line))
        except InputError as error:
            self._end(challenge, event, "refused", str(error))

    def _seat(self, wish: Wish, event: Forecast) -> None:
        model_id, instruments = wish.change.model_id, wish.instruments
        if not instruments:
            self._tell((), event, "", model_id, "refused", NOWHERE)
        elif model_id not in self._challenges:
            try:
                serving = self._loader.load(
                    model_id, instruments, feeds=self._feeds, position=lambda: event.bar_offset,
                    champion_ns=int(statistics.median(self._latencies_ns or [0])), last_close=event.close_time,
                )  # fmt: skip
                challenge = self._challenge(Seat(wish.alias, wish.change.number, model_id, instruments), serving)
            except (Refused, DataError) as refusal:
                self._tell(instruments, event, "", model_id, "refused", str(refusal))
            else:
                self._welcome(wish, challenge, event)
        self._handled[wish.alias] = wish.change.number

    def _welcome(self, wish: Wish, challenge: Challenge, event: Forecast) -> None:
        old = ""
        if wish.change.by != TRAINER:
            for rival in self._rivals(wish.alias):
                if old:
                    self._tell(rival.seat.instruments, event, old, "", wish.cause, "another challenger was named")
                old = rival.seat.model_id
                self._forget(rival)
            self._seats = [one for one in self._seats if one.alias != wish.alias]  # nor those that are waited for
        self._seats.append(challenge.seat)
        self._challenges[challenge.seat.model_id] = challenge
        self._tell(wish.instruments, event, old, challenge.seat.model_id, wish.cause, wish.change.reason)
        self._tidy()

    def _challenge(self, seat: Seat, serving: Serving) -> Challenge:
        challenge = Challenge(seat, serving, self._gate or Gate())
        self._feeds.setdefault(serving.feed.key, serving.feed)
        return challenge

    def _end(self, challenge: Challenge, event: Forecast, cause: str, why: str) -> None:
        """It is not asked any more, until the alias changes."""
        self._tell(challenge.seat.instruments, event, challenge.seat.model_id, "", cause, why)
        self._forget(challenge)
        self._tidy()

    def _forget(self, challenge: Challenge) -> None:
        del self._challenges[challenge.seat.model_id]
        self._seats.remove(challenge.seat)

    def _tidy(self) -> None:
        used = {one.serving.feed.key for one in self._challenges.values()}
        self._feeds = {key: feed for key, feed in self._feeds.items() if key in used}

    # ---- bars

    def _take(self, event: Forecast, offset: int) -> None:
        for seat, why in self._lost:
            self._tell(seat.instruments, event, seat.model_id, "", "refused", why)
        self._lost.clear()
        rows = {key: self._row(feed, event) for key, feed in self._feeds.items()}
        self._bars = event.bar_offset + 1
        if event.model_id and event.latency_ns:
            self._latencies_ns.append(event.latency_ns)
        for challenge in list(self._challenges.values()):
            if event.instrument in challenge.seat.instruments:
                self._ask(challenge, event, offset, *rows[challenge.serving.feed.key])

    def _ask(
        self, challenge: Challenge, event: Forecast, offset: int, row: Values | str | None, features_ns: int
    ) -> None:
        if event.model_id == challenge.seat.model_id:
            self._end(challenge, event, "promotion", f"model {challenge.serving.short} is the champion now")
        elif isinstance(row, str):
            self._end(challenge, event, "refused", f"model {challenge.serving.short}: {row}")
        elif row is not None:  # else the bar is late, or of an instrument it does not know
            try:
                ours = challenge.forecast(event, row, features_ns)
            except Fault as fault:
                self._end(challenge, event, "refused", str(fault))
                return
            self._count(challenge, event, offset, ours, row)
            if self._gate is not None and challenge.is_due and self._timer_s() >= self._judge_at_s:
                self._judge(self._gate, challenge, event)

    def _count(self, challenge: Challenge, event: Forecast, offset: int, ours: Forecast, row: Values) -> None:
        seat = challenge.seat
        if seat.first < 0:
            seat.first, seat.shadows_first = offset, self._log.bounds(self._line.shadows_stream)[1]
        challenge.meet(event, offset)
        self._outputs.append(ours)
        challenge.count(event, ours, row)

    def _row(self, feed: Feed, event: Forecast) -> tuple[Values | str | None, int]:
        """The features after a bar, and how long they took, ns; what to say where their code raises."""
        row: Values | str | None = None
        began_ns = time.perf_counter_ns()
        try:
            if feed.position < event.bar_offset and not feed.ids.keys() <= set(self._line.instruments):
                catch_up(feed, self._line, self._log, event.bar_offset)
                began_ns = time.perf_counter_ns()
            row = None if (values := feed.take(event.bar, self._log)) is None else values.copy()
        except DataError as error:  # out of order, or without its trades; or they raise, and the champion goes on
            row = str(error) if isinstance(error, FeaturesRaised) else None
        except StoreError as error:
            self._trouble(error)
            return None, 0
        feed.position = event.bar_offset + 1
        return row, time.perf_counter_ns() - began_ns

    # ---- the gate

    def _judge(self, gate: Gate, challenge: Challenge, event: Forecast) -> None:
        """Look, unless the line is pinned, or has just been given another champion: then later."""
        seat = challenge.seat
        try:
            verdict = judge(gate, challenge, self._loader, self._places, event.close_time, self._now_ns())
        except Fenced:
            raise
        except QuantlyticError as error:
            self._trouble(error)
            verdict = None
        if verdict is None:
            self._judge_at_s = self._timer_s() + RETRY_S
            return
        if verdict.promoted:
            self._end(challenge, event, "promotion", verdict.reason)
        elif verdict.final:
            self._end(challenge, event, "refused", verdict.reason)
        elif seat.alias in self._awaited:
            self._end(challenge, event, "refused", f"{verdict.reason}; a newer one takes its place")
        else:
            self._tell(seat.instruments, event, seat.model_id, seat.model_id, "judged", verdict.reason)

    def _tell(self, instruments: Iterable[str], event: Forecast, old: str, new: str, cause: str, reason: str) -> None:
        named = "" if (of := tuple(instruments)) == self._line.instruments else " ".join(of)
        time_ns, offset = event.close_time, event.bar_offset
        self._outputs.append(ModelChange(self._line.name, named, time_ns, old, new, cause, reason, offset))

    def _trouble(self, error: QuantlyticError) -> None:
        if str(error) != self.last_failure:
            self.last_failure = str(error)
            _LOG.warning("%s: %s", self.name, error)

    # ---- what is kept

    def _commit(self) -> None:
        line = self._line
        feeds = {key: feed.live.save() for key, feed in self._feeds.items()}
        drifts = {one.seat.model_id: one.serving.drift.save() for one in self._challenges.values()}
        snapshot = msgspec.msgpack.encode(_Saved(self._seats, self._handled, feeds, drifts, self._bars, self._places))
        outputs = {line.shadows_stream: self._outputs} if self._outputs else {}
        self._writer.commit(outputs, {line.forecasts_stream: self._position}, snapshot)
        self._outputs, self._committed = [], self._position

    def _restore(self, saved: _Saved) -> None:
        self._seats, self._handled, self._bars, self._saved = saved.seats, saved.handled, saved.bars, saved
        self._places = saved.places
        if (away := self._resume_all(self._bars)) is not None:
            self._trouble(away)

    def _resume_all(self, position: int) -> StoreError | None:
        """Go on with those that are waited for; why that cannot be done now for one of them: it is tried again at each look."""
        away = None
        for seat in [one for one in self._seats if one.model_id not in self._challenges]:
            try:
                self._resume(seat, position)
            except StoreError as error:
                away = error
        return away

    def _resume(self, seat: Seat, position: int) -> None:
        """Go on with a challenger of the snapshot, before the bar at that offset. StoreError when that cannot be done now."""
        try:
            serving = self._loader.load_again(seat.model_id, self._feeds)
            challenge = self._challenge(seat, serving)
            if (state := self._saved.drifts.get(seat.model_id)) is not None:
                serving.drift.restore(state)
            self._rejoin(challenge)
            self._warm(serving.feed, position)
        except (Refused, DataError) as error:
            if isinstance(error, Refused) and error.is_away:
                raise StoreError(str(error)) from None
            self._seats.remove(seat)
            self._lost.append((seat, str(error)))
        else:
            self._challenges[seat.model_id] = challenge
        finally:
            self._tidy()  # features that nobody goes on with are not kept half warm

    def _warm(self, feed: Feed, position: int) -> None:
        if feed.position == position:
            return  # it is at work already
        try:
            if position != self._saved.bars:
                raise DataError("bars have passed since")
            feed.live.restore(self._saved.feeds.get(feed.key, b""))
            feed.position = position
        except DataError:
            self._loader.feed_history(feed, self._log, position)

    def _rejoin(self, challenge: Challenge) -> None:
        """Read the contest so far from the two streams; features again only where labels judge one of them."""
        seat, line = challenge.seat, self._line
        if seat.first < 0:
            return
        between = forecasts_between(self._log, line.forecasts_stream, seat.first, self._position)
        theirs = [one for one in between if one[1].instrument in seat.instruments]
        ours = [one for _, one in forecasts_between(self._log, line.shadows_stream, seat.shadows_first)]
        rows: list[Values | None] = [None] * len(theirs)
        if challenge.manifest.label.kind == "meta" and theirs:
            feed = self._loader.load_again(seat.model_id, {}).feed
            self._loader.feed_history(feed, self._log, theirs[0][1].bar_offset)
            rows = [None if isinstance(row, str) else row for row, _ in (self._row(feed, one) for _, one in theirs)]
        challenge.rejoin(theirs, ours, rows)
