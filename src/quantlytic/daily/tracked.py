"""Which instruments the daily run is about."""

from __future__ import annotations

from collections.abc import Sequence

from quantlytic.daily.settings import DailySettings, check_instrument
from quantlytic.model.errors import InputError
from quantlytic.store.control.control import Control

TRACKED = "daily.tracked"
"""The preference that lists instruments tracked because somebody asked for them."""


def wanted(control: Control) -> list[str]:
    """Instruments that were asked for and not had yet."""
    return [one.instrument for one in control.wanted.list() if _is_named(one.instrument)]


def tracked(control: Control, settings: DailySettings) -> list[str]:
    """Those of the settings, those tracked because somebody asked, and those asked for: each once, in this order."""
    kept: list[str] = control.preferences.get(TRACKED, [])
    return list(dict.fromkeys([*settings.instruments, *kept, *wanted(control)]))


def keep_tracking(control: Control, instruments: Sequence[str]) -> None:
    """Track them from now on."""
    kept: list[str] = control.preferences.get(TRACKED, [])
    if not set(instruments) <= set(kept):
        control.preferences.put(TRACKED, sorted({*kept, *instruments}))


def refuse_unnamed(control: Control, now_ns: int) -> None:
    """What was asked for and is no name of an instrument will never be had: that is entered."""
    for one in control.wanted.list():
        try:
            check_instrument(one.instrument)
        except InputError as error:
            control.wanted.done(one.instrument, now_ns, str(error))


def _is_named(instrument: str) -> bool:
    try:
        check_instrument(instrument)
    except InputError:
        return False
    return True
