"""A real Kafka broker for the tests of this folder: one for all, started by the first that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from deploy.kafka.broker import Broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Fails, rather than skips, where Java or Maven is missing: who runs these tests wants to know."""
    started = Broker(tmp_path_factory.mktemp("kafka"))
    try:
        started.start()
        yield started
    finally:
        started.kill()
