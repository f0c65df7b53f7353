"""What the engine says of its own accord, for people: a line on a terminal's standard error, never on standard output."""

from __future__ import annotations

import logging
import sys

import click

COMPILING = "compiling the engine, once (up to half a minute); later starts load it from disk"


class _Line(logging.Handler):
    """The first record is told in our words, the others are more of the same wait."""

    told = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.told and sys.stderr.isatty():
            self.told = True
            click.echo(COMPILING, err=True)


def tell_when_compiling() -> None:
    """Say it, once a process, when a large function of the engine is not on disk and the compiler begins with it."""
    logger = logging.getLogger("quantlytic.compiler")
    if not logger.handlers:
        logger.addHandler(_Line())
        logger.setLevel(logging.INFO)
        logger.propagate = False
