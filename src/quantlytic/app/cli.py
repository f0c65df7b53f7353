"""The command line. Commands live in `app/commands/`, one a file, and are imported only when they are called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

from quantlytic.app.notices import tell_when_compiling
from quantlytic.model.errors import QuantlyticError, StoreError

# What for -> a command's name, which is also that of its module, and what it does: text, so that --help imports nothing.
SECTIONS: dict[str, dict[str, str]] = {
    "Ask the past": {
        "strategies": "List the built-in strategies, their ideas and parameters.",
        "backtest": "Run a strategy over history and report.",
        "sweep": "Run many parameter sets of a strategy; heat map and table.",
        "walkforward": "Choose parameters on the past, trade them on what came next.",
        "recommend": "Say which strategy suits each instrument, or that none does.",
        "compare": "Lay back-tests side by side: figures, equity, what differs.",
        "runs": "List runs: back-tests and paper.",
    },
    "Learn": {
        "train": "Train the models of a spec: tuned, exported, kept.",
        "models": "Trained models: list, show, promote, roll back, verify.",
        "challengers": "How challengers do beside the champion.",
    },
    "Record, trade and tell": {
        "up": "Run the whole line in one process: venue to paper trades and page.",
        "run": "Run one service, or several, in this process.",
        "exchange": "Run the exchange in a box.",
        "parity": "Replay a run, on paper or live; compare everything it decided.",
        "swap": "Replace a running strategy, or its parameters, between two bars.",
        "intents": "What a run will do at which price, and how often that came true.",
        "kill": "Stop an account at once; cancel, sell, verify at the venue.",
        "daily": "The day's bars, checked; signals, recommendations, digests.",
        "alerts": "Subscribers: list, add, allow, what was sent.",
    },
    "Data and machine": {
        "data": "Recorded data and files: list, check, import, export, rebuild, make.",
        "doctor": "Look for what is off: versions, folders, ports, stores.",
        "bench": "Measure this machine against the goals.",
    },
}
COMMANDS = [name for section in SECTIONS.values() for name in section]

_LONGEST = 1000  # characters of an error line: enough for any of ours


class LazyGroup(click.Group):
    """A group that knows its commands' names and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return COMMANDS

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = importlib.import_module(f"quantlytic.app.commands.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="quantlytic")
def cli() -> None:
    """Quantlytic records the market, asks whether a rule would have worked, and acts on the answer."""


def main() -> None:
    """The entry point: one clear line and a stable exit code for every error that a person can act on."""
    tell_when_compiling()
    try:
        cli(standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = "" if context is None else f" See: {context.command_path} --help"
        _fail(error.format_message() + hint, error.exit_code)
    except QuantlyticError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:  # a pipe whose reader has enough ends in click, without a word
        if error.filename is None:
            _drop_output()
        _fail(f"{error.filename or 'the output'} cannot be used: {error.strerror or error}", StoreError.exit_code)


def _drop_output() -> None:
    """What is still to be written goes nowhere: Python would try again at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, code: int) -> NoReturn:
    """One line, whatever names, cells and messages from elsewhere were put in it; then the end."""
    line = " ".join("".join(character if character.isprintable() else " " for character in message).split())
    click.echo(f"quantlytic: {line if len(line) <= _LONGEST else line[:_LONGEST] + ' ...'}", err=True)
    sys.exit(code)
