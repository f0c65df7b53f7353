"""A process tells how its services are: to anybody whether, to who has the token how much."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from quantlytic.app.monitor import STUCK_AFTER_S, Meter, Monitor
from quantlytic.model.errors import InputError


@pytest.fixture
def meter() -> Meter:
    meter = Meter()
    meter.name = "barmaker.box"
    meter.pumped(7)
    meter.pumped(0)
    return meter


@pytest.fixture
def monitor(meter: Meter) -> Iterator[Monitor]:
    with Monitor("127.0.0.1", 0, "a-token-of-sixteen", [meter]) as monitor:
        yield monitor


def test_health_is_open(monitor: Monitor) -> None:
    reply = httpx.get(f"{monitor.url}/health")
    assert reply.status_code == 200
    service = reply.json()["services"][0]
    assert (service["service"], service["events"]) == ("barmaker.box", 7)
    assert 0 <= service["age_s"] < STUCK_AFTER_S


def test_a_stuck_service_is_told(monitor: Monitor, meter: Meter) -> None:
    meter.last_pump_s -= STUCK_AFTER_S + 1
    reply = httpx.get(f"{monitor.url}/health")
    assert (reply.status_code, reply.json()["status"]) == (503, "stuck")


def test_metrics_ask_for_the_token(monitor: Monitor) -> None:
    assert httpx.get(f"{monitor.url}/metrics").status_code == 401
    assert httpx.get(f"{monitor.url}/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    reply = httpx.get(f"{monitor.url}/metrics", headers={"Authorization": "Bearer a-token-of-sixteen"})
    assert 'quantlytic_service_events_total{service="barmaker.box"} 7.0' in reply.text


def test_a_port_in_use_is_told(monitor: Monitor) -> None:
    port = int(monitor.url.rpartition(":")[2])
    with pytest.raises(InputError, match=f"port {port}"), Monitor("127.0.0.1", port, "token", []):
        pass
