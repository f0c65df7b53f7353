"""Prices that a rule doubts and a person has looked at: real crashes, in the end, and not errors."""

from __future__ import annotations

from datetime import date

from quantlytic.daily.calendar import label_ns
from quantlytic.daily.settings import check_instrument
from quantlytic.model.errors import InputError
from quantlytic.store.control.control import Control

_ACCEPTED = "daily.accepted"
"""The preference that lists them."""


def accept(control: Control, text: str) -> None:
    """`usa:WM@2008-09-26`: what is doubted of that instrument on that day is right. Raises InputError for anything else."""
    instrument, _, day = text.rpartition("@")
    check_instrument(instrument)
    try:
        date.fromisoformat(day)
    except ValueError:
        raise InputError(f"{text!r} names no day: write VENUE:SYMBOL@2026-11-20") from None
    kept: list[str] = control.preferences.get(_ACCEPTED, [])
    control.preferences.put(_ACCEPTED, sorted({*kept, text}))


def accepted(control: Control, instrument: str) -> frozenset[int]:
    """The labels of the instrument's days whose prices are accepted as they are."""
    kept: list[str] = control.preferences.get(_ACCEPTED, [])
    days = (text.rpartition("@") for text in kept)
    return frozenset(label_ns(date.fromisoformat(day)) for name, _, day in days if name == instrument)
