"""Builders of what forecasts, watches challengers and trains: one of each a line of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from quantlytic.app.config import Settings, StrategySettings
from quantlytic.app.forecastsettings import ForecastSettings
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError, QuantlyticError
from quantlytic.model.time import duration_ns, duration_text
from quantlytic.store.log.port import Log

if TYPE_CHECKING:
    from quantlytic.learn.live.loading import Loader
    from quantlytic.learn.live.serving import Line
    from quantlytic.services.service import Service


class Learning:
    """The lines of these settings, over the instruments of the venue."""

    def __init__(self, settings: Settings, stores: Stores, venue: str, instruments: Sequence[str]) -> None:
        self._settings, self._stores = settings, stores
        self._venue, self._instruments = venue, tuple(instruments)

    def predictors(self) -> list[Callable[[Log], Service]]:
        """What writes each line's forecasts: predictors first, then ensembles of them."""
        lines = sorted(self._settings.forecasts, key=lambda one: bool(one.members))
        return [self._ensemble(one) if one.members else self._predictor(one) for one in lines]

    def shadows(self) -> list[Callable[[Log], Service]]:
        """One a line that has challengers."""
        return [self._shadow(one) for one in self._settings.forecasts if one.shadow and not one.members]

    def trainers(self) -> list[Callable[[Log], Service]]:
        """One a line that is trained here."""
        return [self._trainer(one, one.spec) for one in self._settings.forecasts if one.spec is not None]

    def examine(self, log: Log, now_ns: int) -> Iterator[tuple[str, str]]:
        """Whether the lines can forecast, as (state, sentence): see `examine_line`."""
        from quantlytic.app.linecheck import examine_line

        for one in self._settings.forecasts:
            if not one.members:
                yield from examine_line(self._line(one), self._loader(one).registry, log, now_ns, one.folder)

    def check_readers(self) -> None:
        """InputError for a strategy that would take what its line forecasts now for something else."""
        for one in self._settings.running:
            self.check_reader(one)

    def check_reader(self, given: StrategySettings) -> None:
        """The same, of one of the strategies."""
        from quantlytic.app.forecasts import check_reader

        if given.forecasts:
            check_reader(given.name, self.task(given.forecasts), given.params)

    def task(self, name: str) -> str:
        """What a line forecasts, "up" or "return", by the model that is to serve; "" while there is none that can be read, and
        for a line that these settings do not have."""
        from quantlytic.learn.live.swap import wishes

        given = next((one for one in self._settings.forecasts if one.line == name), None)
        if given is None:
            return ""
        if given.members:
            return self.task(given.members[0])
        registry = self._loader(given).registry
        asked = wishes(registry.latest(name), self._line(given))
        try:
            return registry.manifest(asked[0].change.model_id).task if asked else ""
        except QuantlyticError:
            return ""  # the line refuses it, and says so

    def _predictor(self, given: ForecastSettings) -> Callable[[Log], Service]:
        from quantlytic.services.predictor import Predictor

        loader, check_s = self._loader(given), _seconds(given.check_every)
        return lambda log: Predictor(log, self._line(given), loader, check_s=check_s)

    def _ensemble(self, given: ForecastSettings) -> Callable[[Log], Service]:
        from quantlytic.learn.live.target import target_of
        from quantlytic.services.ensemble import Ensemble

        registry = self._loader(given).registry
        return lambda log: Ensemble(
            log, given.line, given.members, lambda model_id: target_of(registry.manifest(model_id)).meaning
        )

    def _shadow(self, given: ForecastSettings) -> Callable[[Log], Service]:
        from quantlytic.learn.contest.promotion import Gate
        from quantlytic.services.shadow import Shadow

        gate = Gate(**given.gate.model_dump()) if given.promote else None
        loader, check_s = self._loader(given), _seconds(given.check_every)
        return lambda log: Shadow(log, self._line(given), loader, gate=gate, check_s=check_s)

    def _trainer(self, given: ForecastSettings, spec: Path) -> Callable[[Log], Service]:
        from quantlytic.learn.retraining.trainingreasons import Triggers
        from quantlytic.services.trainer import Trainer

        check_spec_of(given)
        asked = given.trainer
        triggers = Triggers(
            every_ns=0 if asked.every is None else duration_ns(asked.every),
            new_bars=asked.new_bars, loss_delta=asked.loss_delta, max_drift=asked.max_drift,
        )  # fmt: skip
        registry = self._loader(given).registry
        return lambda log: Trainer(
            log, given.line, spec, self._stores.home, registry, triggers,
            limit_s=_seconds(asked.limit), bar_size_ns=duration_ns(given.bar),
        )  # fmt: skip

    def _line(self, given: ForecastSettings) -> Line:
        from quantlytic.learn.live.serving import Line

        return Line(given.line, self._venue, self._instruments, duration_ns(given.bar))

    def _loader(self, given: ForecastSettings) -> Loader:
        from quantlytic.learn.live.loading import Loader
        from quantlytic.learn.registry.registry import Registry

        return Loader(
            Registry(self._stores.home / "lake"), self._line(given), self._stores.log_handle, self._stores.lake,
            folder=given.folder, budget_ns=duration_ns(given.latency_budget),
        )  # fmt: skip


def check_spec_of(given: ForecastSettings) -> None:
    """InputError for a spec that is not there, not this line's, or of bars of another size."""
    from quantlytic.learn.training.spec import read_spec

    if (path := given.spec) is None:
        return
    spec = read_spec(path)
    if spec.name != given.line:
        raise InputError(f"{path} is the spec of line {spec.name!r}, not of {given.line!r}: mend `forecasts.line`")
    size = spec.data.bar_size
    if size and duration_ns(size) != duration_ns(given.bar):
        raise InputError(
            f"{path} is about bars of {size}, line {given.line!r} of {duration_text(duration_ns(given.bar))}"
        )


def _seconds(text: str) -> float:
    return duration_ns(text) / 1e9
