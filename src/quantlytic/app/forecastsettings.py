"""The settings of a line of models, an entry of `[[forecasts]]` in `quantlytic.toml`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, FiniteFloat, model_validator

from quantlytic.app.section import Duration, Section


class TrainerSettings(Section):
    """When the line's models are trained anew: so often, after so many bars, when the champion's loss has risen (`loss_delta`:
    the probability of a false alarm) or its features have drifted (`max_drift`, a PSI). 0 or "": never for that reason. A
    training that takes longer than `limit` is ended."""

    every: Duration | None = None
    new_bars: int = Field(default=0, ge=0)
    loss_delta: FiniteFloat = Field(default=0.002, ge=0, lt=1)
    max_drift: FiniteFloat = Field(default=0.25, ge=0)
    limit: Duration = "6h"


class GateSettings(Section):
    """What a challenger has to show before it is made champion: see `quantlytic.learn.contest.promotion.Gate`."""

    outcomes: int = Field(default=200, ge=20)
    looks: int = Field(default=4, ge=1, le=10)
    alpha: FiniteFloat = Field(default=0.05, gt=0, lt=0.5)
    challengers_a_year: int = Field(default=365, ge=1)
    max_drift: FiniteFloat = Field(default=0.25, gt=0)
    max_latency_ms: FiniteFloat = Field(default=20.0, gt=0)
    cost_bps: FiniteFloat = Field(default=10.0, ge=0)


class ForecastSettings(Section):
    """`line`: the name of the spec whose champions forecast on bars of that size. `spec`, its file: models are trained while the
    market is recorded, as `trainer` says. `shadow`: challengers forecast beside the champion; `promote`: the gate may make one
    champion. `folder`: where paths to features of one's own begin. `members`: it has no models of its own, but the mean of what
    these lines forecast."""

    line: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    bar: Duration
    spec: Path | None = None
    folder: Path = Path()
    members: list[str] = []
    check_every: Duration = "5s"
    latency_budget: Duration = "20ms"
    shadow: bool = True
    promote: bool = True
    trainer: TrainerSettings = TrainerSettings()
    gate: GateSettings = GateSettings()

    @model_validator(mode="after")
    def _trains_by_a_spec(self) -> ForecastSettings:
        if "trainer" in self.model_fields_set and self.spec is None:
            raise ValueError("`trainer` needs `spec`, the file that says what is trained")
        if self.members and self.spec is not None:
            raise ValueError("a line has `members` or a `spec`, not both")
        return self
