"""The HTML of the alert service: forms without a script needed, and nothing from anywhere else."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from quantlytic.store.control.records import EVERY, RECOMMENDED
from quantlytic.web.alerts.choices import KIND_TEXTS, Choices, Offer, notes_of, time_zones

FOLDER = Path(__file__).parent


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"), autoescape=True, undefined=StrictUndefined, auto_reload=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["code"] = _with_code
    environment.globals |= {"kind_texts": KIND_TEXTS, "every": EVERY, "recommended": RECOMMENDED, "zones": _zones}
    environment.globals["notes_of"] = notes_of
    return environment


def page(name: str, status: int = 200, **values: Any) -> Response:
    """The page of that name, such as "confirm"."""
    return HTMLResponse(_templates().get_template(f"{name}.html").render(status=status, **values), status)


def form_page(
    name: str, offer: Offer, choices: Choices, problems: list[str], token: str = "", email: str = "", **more: Any
) -> Response:
    """A page with the form of choices: "signup" or "mine". With problems it says what to mend, and has status 422."""
    tracked = offer.instruments
    others = [one for one in choices.instruments if one not in (EVERY, *tracked)]
    return page(
        name, 422 if problems else 200, instruments=tracked, strategies=offer.strategies, choices=choices, others=others,
        problems=problems, token=token, email=email, **more,
    )  # fmt: skip


def problem_page(status: int, reason: str) -> Response:
    """Why it cannot be done."""
    return page("problem", status, reason=reason)


def _with_code(text: str) -> Markup:
    """What stands between backquotes as <code>."""
    return Markup(re.sub("`([^`]*)`", r"<code>\1</code>", str(escape(text))))


@cache
def _zones() -> dict[str, list[str]]:
    """Region -> its time zones."""
    regions: dict[str, list[str]] = {}
    for name in time_zones():
        region, slash, _ = name.partition("/")
        if slash and region not in ("Etc", "US"):
            regions.setdefault(region, []).append(name)
    return regions
