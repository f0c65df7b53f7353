"""E-mail addresses of strangers: a strict subset of what RFC 5321 allows, so that nothing in one can mean anything else."""

from __future__ import annotations

import re
from collections.abc import Iterable

from quantlytic.model.errors import InputError

ALLOW = "alerts.allow"
"""The preference that holds rules of who may sign up, made at run time."""
_LONGEST, _LONGEST_LOCAL = 254, 64  # octets, RFC 5321 4.5.3.1 with RFC 3696 erratum 1690
# A dot-atom without `%`, `!`, `|` and the backquote: old mail servers route, and old scripts run, by them. It begins with a
# letter, a digit or `_`: what begins with `-` is an option to some programs.
_LOCAL = re.compile(r"[a-z0-9_][a-z0-9#$&'*+/=?^_{}~-]*(\.[a-z0-9#$&'*+/=?^_{}~-]+)*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}")


def clean_address(text: str) -> str:
    """The address in lower case: an ASCII dot-atom, `@`, a domain of at least two labels. Raises InputError for all else.

    Not taken: names beside the address, quoted or commented ones, several of them, line ends and other control characters,
    anything beyond ASCII (a domain like "exämple.org" is to be written as xn--exmple-cua.org), numbers in place of a domain.
    """
    if not isinstance(text, str) or not text.isascii() or not text.isprintable():
        raise InputError("this is no e-mail address: it has characters other than printable ASCII")
    if len(text) > _LONGEST:
        raise InputError(f"this is no e-mail address: it is longer than {_LONGEST} characters")
    local, at, domain = text.lower().rpartition("@")
    if not at or len(local) > _LONGEST_LOCAL or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise InputError("this is no e-mail address such as ann@example.com")
    return f"{local}@{domain}"


def clean_rule(text: str) -> str:
    """A rule of who may sign up: "anyone", "*@example.com" or one address. Raises InputError for all else."""
    if text == "anyone":
        return text
    try:
        return "*" + clean_address("x" + text[1:])[1:] if text.startswith("*@") else clean_address(text)
    except InputError:
        raise InputError(
            f"{text!r} is no rule of who may sign up: write an address, a domain as *@example.com, or anyone"
        ) from None


def is_allowed(address: str, rules: Iterable[str]) -> bool:
    """Whether a clean address may sign up by any of the clean rules. None of them: nobody may. `*@` is not for subdomains."""
    return any(rule in ("anyone", address, "*" + address[address.rindex("@") :]) for rule in rules)
