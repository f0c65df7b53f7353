"""Fetches the whole history of instruments that are new: in the settings, or because a subscriber asked for them."""

from __future__ import annotations

from quantlytic.daily.day import Day, Summary
from quantlytic.daily.fetch import fetch


def run(day: Day) -> Summary:
    """Stage the rows as they come."""
    return fetch(day, [one for one in day.works if one.is_new])
