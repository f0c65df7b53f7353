"""One HTML file that needs nothing else, neither a network nor a server: its parts, and its writing."""

from __future__ import annotations

import functools
import os
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from quantlytic.model.errors import InputError


@functools.cache
def template(name: str) -> jinja2.Template:
    """A page's template, of the folder `templates`."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(asset(name))


@functools.cache
def asset(name: str) -> Markup:
    """A file of the folder `templates`, to stand in a page as it is."""
    return Markup((resources.files("quantlytic.research") / "templates" / name).read_text(encoding="utf-8"))


@functools.cache
def library() -> Markup:
    """The charting library."""
    return Markup((resources.files("litecharts") / "js" / "lightweight-charts.js").read_text(encoding="utf-8"))


def write_page(page: str, path: Path, what: str = "report") -> Path:
    """Write a page, whole or not at all. Raises InputError, which calls it `what`, when it cannot be written there."""
    if path.exists() and not path.is_file():  # the page takes the place of what is there: of a device, never
        raise InputError(f"the {what} cannot be written to {path}: it is not a regular file")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(page, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"the {what} cannot be written to {path}: {error.strerror}") from None
    return path
