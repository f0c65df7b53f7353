"""What all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def pytest_sessionstart(session: pytest.Session) -> None:
    """With several workers (`-n 2`) the one that starts them compiles the engine, if it is not on disk yet."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        from tests.warm import warm

        warm()


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real captured market data that lies beside the project; tests that need it skip where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the market data in {folder}")
    return folder
