"""Bars to forecasts: a model's word on every bar, exchanged for a better one's between two of them."""

from __future__ import annotations

import logging

import msgspec

from quantlytic.learn.live.loading import Loader, Refused
from quantlytic.learn.live.servedline import Saved, ServedLine
from quantlytic.learn.live.serving import Feed, Line, Serving
from quantlytic.learn.live.swap import Swapper
from quantlytic.model.bar import Bar
from quantlytic.model.barsclosed import BarsClosed
from quantlytic.model.errors import DataError, QuantlyticError
from quantlytic.model.event import Event
from quantlytic.store.log.port import Log

READ_EVENTS = 500
COMMIT_EVERY = 20_000
_SAVED = msgspec.msgpack.Decoder(Saved)
_LOG = logging.getLogger("quantlytic.predictor")


def name_of(line: str) -> str:
    """A predictor a line."""
    return f"predictor.{line}"


class Predictor:
    """Reads `bars.VENUE`, writes `forecasts.LINE`: for each bar of the line's instruments exactly one Forecast by exactly one
    model, the changes of model before the first forecast of the new one, and the BarsClosed of that bar size.

    Forecasts, position and the state of features, models and drift are one commit. Which model is in force is in that state:
    a restart goes on with it, whatever the registry says by then, and takes up a change as any other, between two bars. A new
    line begins at the end of the bars, its features warmed with the history before it.

    `check_s`: how often the registry is looked at, by a thread of its own, also the first time after a restart; 0 for never
    but at the start and by `look`.
    Raises StoreError when the registry, or the history, cannot be read at the start.
    """

    def __init__(self, log: Log, line: Line, loader: Loader, *, check_s: float = 5.0) -> None:
        self.name = name_of(line.name)
        self._log, self._line = log, line
        self._writer = log.writer(self.name)
        self._served = ServedLine(line, log)
        begins = log.bounds(line.bars_stream)[1]
        self._position = self._writer.positions.get(line.bars_stream, begins)
        self._committed = self._position
        is_new = self._writer.snapshot is None
        if self._writer.snapshot is None:
            self._commit([])  # from here on, whenever it dies
        else:
            self._restore(_SAVED.decode(self._writer.snapshot), loader)
        self._served.publish(self._position)
        self._swapper = Swapper(loader, line, lambda: self._served.standing)
        if is_new or not check_s:  # else what served does so at once, whatever is asked for now
            try:
                self.look()
            except QuantlyticError as error:
                _LOG.warning("%s: the models that serve go on: %s", line.name, error)
        if check_s:
            self._swapper.start(check_s)

    def look(self) -> int:
        """Look at the registry now, in this thread; how many models were made ready, or refused. They are swapped in, or told
        of, with the next bar."""
        return self._swapper.look()

    def pump(self) -> int:
        """See `Service.pump`."""
        batch = self._log.read(self._line.bars_stream, self._position, READ_EVENTS)
        outputs: list[Event] = []
        for offset, event in zip(batch.offsets, batch.events, strict=True):
            while not self._swapper.ready.empty():
                self._served.offer(self._swapper.ready.get())
            if isinstance(event, Bar):
                if event.close_time - event.open_time == self._line.bar_size_ns:
                    outputs += self._served.take(event, offset)
            elif isinstance(event, BarsClosed) and event.bar_size_ns == self._line.bar_size_ns:
                outputs.append(event)
        self._position = batch.next_offset
        if outputs or self._position - self._committed >= COMMIT_EVERY:
            self._commit(outputs)
        self._served.publish(self._position)
        return len(batch.events)

    def wait(self, timeout_s: float) -> None:
        """See `Service.wait`."""
        self._log.wait({self._line.bars_stream: self._position}, timeout_s)

    def close(self) -> None:
        """See `Service.close`."""
        self._swapper.stop()
        if self._position > self._committed:
            self._commit([])
        self._writer.close()

    def _commit(self, outputs: list[Event]) -> None:
        snapshot = msgspec.msgpack.encode(self._served.save())
        positions = {self._line.bars_stream: self._position}
        self._writer.commit({self._line.forecasts_stream: outputs} if outputs else {}, positions, snapshot)
        self._committed = self._position

    def _restore(self, saved: Saved, loader: Loader) -> None:
        """The models of the snapshot with their features; those that cannot be had are demoted at the next bar."""
        feeds: dict[str, Feed] = {}
        servings: list[Serving] = []
        failed: list[tuple[str, str]] = []
        for model_id in saved.models:
            try:
                serving = loader.load_again(model_id, feeds)
            except Refused as refusal:
                failed.append((model_id, str(refusal)))
                continue
            feeds[serving.feed.key] = serving.feed
            servings.append(serving)
        for key, feed in feeds.items():
            try:
                feed.live.restore(saved.feeds.get(key, b""))
            except DataError:
                try:
                    loader.feed_history(feed, self._log, self._position)
                except DataError as error:
                    failed += [(one.model_id, f"no features: {error}") for one in servings if one.feed is feed]
                    servings = [one for one in servings if one.feed is not feed]
        self._served.restore(saved, servings, failed)
