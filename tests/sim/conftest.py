"""What simulations in one thread share: `pytestmark = pytest.mark.usefixtures("no_fsync")`, and `CASE` for `undisturbed`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sim.mortal import Undisturbed


@pytest.fixture
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pulls the plug here, and nobody looks at the pictures: both take most of the time."""
    from quantlytic.telling import mail

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(mail, "png_of", lambda chart: None)


@pytest.fixture(scope="module")
def undisturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Of the module's CASE."""
    from tests.sim.mortal import undisturbed_of

    return undisturbed_of(request.module.CASE, tmp_path_factory.mktemp("undisturbed"))
