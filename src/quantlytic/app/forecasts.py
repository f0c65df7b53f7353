"""`--model`: history with a model's forecasts, for every command that runs strategies over bars."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantlytic.app.options import Command
from quantlytic.model.errors import DataError, InputError

if TYPE_CHECKING:
    from quantlytic.engine.data.bars import Bars
    from quantlytic.engine.strategy import Strategy
    from quantlytic.learn.registry.registry import Registry

_MODEL = (
    click.option(
        "--model", multiple=True, metavar="MODEL",
        help="Forecasts by this model: an id or its first digits, an alias (trend/pooled/champion), or a spec's name, for its "
        "champions. May be repeated: the last one that knows an instrument is asked.",
    ),
    click.option(
        "--in-sample", is_flag=True, help="Ask models about bars that they learned from, too; the report says so."
    ),
)  # fmt: skip


def model_options(command: Command) -> Command:
    """`--model`, `--in-sample`; read by `with_forecasts`."""
    return functools.reduce(lambda found, add: add(found), reversed(_MODEL), command)


def with_forecasts(
    bars: Bars, strategy: type[Strategy], name: str, home: Path, chosen: Mapping[str, Any], **given: Any
) -> Bars:
    """The bars, with the forecasts of the models that were named; `chosen` are the parameters of the strategy. InputError
    for a strategy that follows forecasts where there are none, and for models that have none for these bars or forecast
    another thing than it takes."""
    models, in_sample = given["model"], given["in_sample"]
    if not models:
        if in_sample:
            raise InputError("--in-sample is about a model: name it with --model")
        from quantlytic.strategies.catalogue import reads_forecasts

        if reads_forecasts(strategy) and not bars.has_forecasts:
            raise InputError(
                f"{name} follows forecasts, and these bars have none: name a model (--model, see `quantlytic models list`) or "
                "a file with a column `forecast`"
            )
        return bars
    from quantlytic.learn.registry.registry import Registry

    registry, told = Registry(home / "lake"), bars
    for model in models:
        for model_id in _ids(registry, model, bars):
            told = told_by(told, registry, model_id, in_sample)
    if not told.has_forecasts:
        raise InputError(f"no bar has a forecast. {told.source['forecasts'][-1]['sentence']}")
    check_tasks(strategy, name, {note["task"] for note in told.source.get("forecasts", ())}, chosen)
    return told


def forecasts_told(bars: Bars) -> dict[str, Any]:
    """`{"forecasts": [...]}` for JSON: model, task, in_sample and the sentence about each; {} where no model was asked."""
    notes = bars.source.get("forecasts")
    return {"forecasts": notes} if notes else {}


def sentences(bars: Bars) -> list[str]:
    """Where the forecasts came from, and what they are worth as evidence; [] where no model was asked."""
    return [str(note["sentence"]) for note in bars.source.get("forecasts", ())]


def told_again(bars: Bars, home: Path, notes: Sequence[dict[str, Any]]) -> Bars:
    """The bars with forecasts of the models that a manifest names."""
    from quantlytic.learn.registry.registry import Registry

    registry = Registry(home / "lake")
    for note in notes:
        bars = told_by(bars, registry, str(note["model"]), bool(note["in_sample"]))
    return bars


def told_by(bars: Bars, registry: Registry, model_id: str, in_sample: bool) -> Bars:
    """The bars with the forecasts of one model."""
    from quantlytic.learn.training.backtest import forecast_bars

    return forecast_bars(bars, registry.get(model_id), in_sample=in_sample)


def check_tasks(
    strategy: type[Strategy], name: str, tasks: Set[str], params: Mapping[str, Any], option: str = "-p returns=true"
) -> None:
    """InputError where forecasts ("up" or "return", by their models' `task`) are returns and the strategy takes them for
    probabilities, or the other way round. `option`: how the strategy is told, where these parameters were given."""
    from quantlytic.strategies.catalogue import reads_forecasts

    if len(tasks) > 1:
        raise InputError("some of the models forecast a probability, others a return: name models of one kind")
    if not tasks or not reads_forecasts(strategy):
        return
    spec = strategy.param_specs.get("returns")
    values = params.get("returns", False if spec is None else spec.default)
    taken = {bool(one) for one in (values if isinstance(values, list) else [values])}
    if "return" in tasks and taken != {True}:
        hint = "it needs a model of probabilities" if spec is None else f"add {option}"
        raise InputError(f"the model forecasts returns, which {name} would take for probabilities: {hint}")
    if "up" in tasks and taken != {False}:
        raise InputError(f"the model forecasts probabilities, which {name} would take for returns: leave out {option}")


def check_reader(name: str, task: str, params: Mapping[str, Any], option: str = "returns = true in its params") -> None:
    """InputError where a running strategy would take forecasts of that task, if it is known, for something else. What people's
    own strategies make of a number is theirs to know, unless they have a parameter `returns`. `option`: how it is given."""
    from quantlytic.strategies.catalogue import BUILT_IN, find

    strategy = find(name)
    if task and (name in BUILT_IN or "returns" in strategy.param_specs):
        check_tasks(strategy, name, {task}, params, option)


def _ids(registry: Registry, model: str, bars: Bars) -> list[str]:
    """The models that were meant."""
    if "/" in model:
        found = registry.alias(model)
        if found is None:
            raise InputError(f"{model} means no model yet: `quantlytic models promote ID {model} --reason ...`")
        return [found]
    if latest := registry.changes(model):
        from quantlytic.learn.live.serving import Line
        from quantlytic.learn.live.swap import wishes

        ids = tuple(one.id for one in bars.instruments)
        asked = wishes(latest, Line(model, "", ids, 0))
        if damaged := [wish.change.reason for wish in asked if wish.is_damaged]:
            raise DataError(damaged[0])
        chosen = [wish.change.model_id for wish in asked]
        if not chosen:
            raise InputError(f"{model} has no champion for {', '.join(one.symbol for one in bars.instruments)}")
        return list(dict.fromkeys(chosen))
    if not re.fullmatch(r"[0-9a-f]{4,64}", model):
        raise InputError(
            f"there is no model {model!r}: write an id, an alias or a spec's name (`quantlytic models list`)"
        )
    return [model]
