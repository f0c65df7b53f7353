"""What is looked at before an alias is changed: all that the line would look at, and what stands before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING

from quantlytic.model.errors import InputError, QuantlyticError
from quantlytic.model.time import duration_ns

if TYPE_CHECKING:
    from quantlytic.app.config import Settings
    from quantlytic.learn.live.loading import Loader
    from quantlytic.learn.registry.artifact import Artifact
    from quantlytic.learn.registry.registry import AliasChange, Registry
    from quantlytic.model.run import Run


def check_promotion(registry: Registry, model_id: str, alias: str, *, new_label: bool) -> list[str]:
    """InputError or DataError for a model that the alias' line would refuse, in its own words; else what is to be known, a
    sentence each: pins that stand before it, instruments that the line does not forecast.

    The line is the one of that name in the settings. Where there is none, the model alone is looked at: its bytes, its golden
    rows, and what other models of that name forecast.
    """
    from quantlytic.app.config import load_settings
    from quantlytic.learn.live.loading import Refused

    artifact, (name, of, _) = registry.get(model_id), alias.split("/")
    latest, settings = registry.latest(name), load_settings()
    _check_target(registry, artifact, _served(settings, name) or _named(latest), new_label)
    _check_readers(settings, name, artifact.manifest.task)
    loader = _loader(settings, registry, name)
    if loader is None:
        from quantlytic.learn.registry.runtime import ServedModel

        ServedModel(artifact).golden()
        return pins_before(latest, alias)
    here = loader.line.instruments
    asked = here if of == "pooled" else tuple(one for one in here if _symbol(one) == _symbol(of))
    if not asked:
        return [f"line {name} forecasts {', '.join(here)}, not {_symbol(of)}: nobody asks this model"]
    try:
        loader.examine(artifact.model_id, asked, feeds={})
    except Refused as refusal:
        raise InputError(f"line {name} would refuse it: {refusal}") from None
    return pins_before(latest, alias)


def pins_before(latest: Mapping[str, AliasChange], alias: str) -> list[str]:
    """The pins that stand before a champion, a sentence each."""
    _, of, role = alias.split("/")
    if role != "champion":
        return []
    pins = [one for one in sorted(latest) if one.endswith("/pinned")]
    before = [one for one in pins if "pooled" in (of, where := one.split("/")[1]) or _symbol(where) == _symbol(of)]
    return [
        f"a pin to {latest[one].model_id[:12]} stands before it: `quantlytic models withdraw {one} --reason ...`"
        for one in before
    ]


def check_withdrawal(registry: Registry, alias: str) -> list[str]:
    """What follows once a pin, or a challenger, is withdrawn. InputError for a champion, and for a pin with none behind it."""
    name, of, role = alias.split("/") if alias.count("/") == 2 else ("", "", "")
    if role == "challenger":
        return ["it is asked no more"]
    if role != "pinned":
        raise InputError(
            f"{alias!r} is no pin and no challenger: write SPEC/INSTRUMENT/pinned, such as trend/pooled/pinned; a champion "
            "serves until another is promoted, or it is rolled back"
        )
    latest = registry.latest(name)
    behind = [f"{name}/{of}/champion", f"{name}/pooled/pinned", f"{name}/pooled/champion"]
    if of == "pooled":
        behind += [one for one in latest if one.endswith("/champion")]
    found = next((one for one in behind if one in latest and one != alias), None)
    if found is None:
        raise InputError(f"no champion stands behind {alias}: promote one first, else it would go on all the same")
    return [f"{latest[found].model_id[:12]} ({found}) follows"]


def check_rollback(registry: Registry, alias: str) -> list[str]:
    """What follows once an alias means again what it meant before: where that is no model, as `check_withdrawal`."""
    from quantlytic.learn.registry.registry import went_before

    earlier, _ = went_before(registry.history(alias), alias)
    return (
        pins_before(registry.latest(alias.partition("/")[0]), alias) if earlier else check_withdrawal(registry, alias)
    )


def _check_target(registry: Registry, artifact: Artifact, given: Iterable[str], new_label: bool) -> None:
    """Against the first of the models that were `given` to the line which is there."""
    from quantlytic.learn.live.target import target_of

    for model_id in given:
        try:
            served = registry.manifest(model_id)
        except QuantlyticError:
            continue  # it cannot serve either
        target_of(artifact.manifest).check(target_of(served), new_label=new_label)
        return


def _served(settings: Settings, name: str) -> list[str]:
    """The models that the line of these settings served last, as its stream tells: what it refused or demoted is not among
    them."""
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.learn.live.lastwords import last_words

    if not any(one.line == name for one in settings.forecasts):
        return []
    with Bootstrap(settings).stores.open_log() as log:
        return [one for one in last_words(log, name).serving.values() if one]


def _named(latest: Mapping[str, AliasChange]) -> list[str]:
    """The models that aliases which serve mean, the newest first."""
    from quantlytic.learn.live.swap import SERVED

    named = [(change.time_ns, change.model_id) for alias, change in latest.items() if alias.endswith(SERVED)]
    return [model_id for _, model_id in sorted(named, reverse=True)]


def _check_readers(settings: Settings, name: str, task: str) -> None:
    """InputError where a strategy that hears the line would take its forecasts for something else: one of the settings, or one
    that runs now after a swap."""
    from quantlytic.app.forecasts import check_reader

    heard = {name, *(one.line for one in settings.forecasts if name in one.members)}
    for one in settings.running:
        if one.forecasts in heard:
            check_reader(one.name, task, one.params)
    for run in _at_work(settings, heard):
        check_reader(run.strategy, task, run.params, f"-p returns=true (in {run.run_id})")


def _at_work(settings: Settings, heard: Set[str]) -> list[Run]:
    """The runs on these lines that a process is at, as they are now; of built-in strategies: what a file of one's own was when it
    took over is not what lies there now."""
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.app.presence import Presence
    from quantlytic.app.runstate import may_run
    from quantlytic.research.runs.succession import as_it_is

    bootstrap, presence = Bootstrap(settings), Presence(settings.home)
    runs = [one for one in bootstrap.runs.known() if one.forecasts in heard]
    if not runs or presence.since_ns("strategist") is None:
        return []
    with bootstrap.stores.open_log() as log:
        now = [as_it_is(one, log) for one in runs if may_run(one, log, presence)]
    return [one for one in now if ".py" not in one.strategy]


def _loader(settings: Settings, registry: Registry, name: str) -> Loader | None:
    """What the line of that name in the settings looks at models with; None for no such line."""
    from quantlytic.app.bootstrap import Bootstrap
    from quantlytic.learn.live.loading import Loader
    from quantlytic.learn.live.serving import Line

    given = next((one for one in settings.forecasts if one.line == name and not one.members), None)
    if given is None:
        return None
    bootstrap = Bootstrap(settings)
    venue = bootstrap.edge.venue
    line = Line(name, venue, tuple(f"{venue}:{one}" for one in settings.venue.symbols), duration_ns(given.bar))
    budget_ns = duration_ns(given.latency_budget)
    log = bootstrap.stores.log_handle
    return Loader(registry, line, log, folder=given.folder, budget_ns=budget_ns, compiled=False)


def _symbol(instrument: str) -> str:
    return instrument.partition(":")[2]
