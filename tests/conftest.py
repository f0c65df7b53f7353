"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Files that take 10 s or more, most of it waiting, the longest first. With several workers they begin at once, and the many
# short ones fill the gaps; at the end they would keep one worker busy and the others idle.
LONG = (
    "app/test_up.py", "sim/test_interleavings.py", "sim/test_swaps.py", "sim/test_kill.py", "sim/test_slices.py",
    "sim/test_live_runs.py", "app/test_alert_mode.py", "sim/test_replay.py", "strategies/test_market_maker.py",
    "sim/test_train_kill.py", "strategies/test_book_imbalance.py", "learn/test_models.py", "daily/test_runner.py",
    "engine/test_orders_always.py", "engine/test_session.py", "engine/test_backtrader.py", "sim/test_ml_runs.py",
    "sim/test_live_kill.py", "engine/test_jitcache.py", "trading/test_kill_sockets.py", "services/test_watchdog.py",
    "sim/test_agreement.py", "sim/test_notifier_kills.py", "learn/test_examples.py", "app/test_run.py",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Files are handed to workers in the order below, not by how many tests they have."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, long files first."""
    if getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        places = {ROOT / "tests" / name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: places.get(item.path, len(LONG)))


def pytest_sessionstart(session: pytest.Session) -> None:
    """With several workers (`-n 2`) the one that starts them compiles the engine, if it is not on disk yet."""
    if getattr(session.config.option, "numprocesses", None) and not hasattr(session.config, "workerinput"):
        from tests.warm import warm

        warm()


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """What a test leaves in the environment (keys of the box, say) is not the next one's."""
    before = dict(os.environ)
    yield
    for name in {one for one in {*os.environ, *before} if os.environ.get(one) != before.get(one)} - {
        "PYTEST_CURRENT_TEST"
    }:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real captured market data that lies beside the project; tests that need it skip where it is not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the market data in {folder}")
    return folder
