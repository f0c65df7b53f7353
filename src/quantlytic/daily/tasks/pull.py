"""Fetches the rows of instruments that are known already: the new ones, and enough before them to judge them by.

An exchange that had no session has nothing new to give."""

from __future__ import annotations

from quantlytic.daily.day import Day, Summary
from quantlytic.daily.fetch import fetch


def run(day: Day) -> Summary:
    """Stage the rows as they come."""
    return fetch(day, [one for one in day.works if one.is_due and not one.is_new])
