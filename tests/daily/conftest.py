"""What the daily run's tests share."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "airflow: needs a real Airflow (make test-airflow)")
