"""What a request has to be before anything looks at it, and what every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.datastructures import Headers
from tests.web.alerts.conftest import BASE, Http, Service

from quantlytic.web.alerts import shield
from quantlytic.web.alerts.shield import MAX_BODY_BYTES, Shield, client_of

EMAIL = {"email": "ann@example.com"}


@pytest.mark.parametrize(
    "path", ["/", "/api/mine", "/nothing", "/static/alerts.css", "/docs", "/health", "/confirm?token=x"]
)
def test_every_answer_has_safe_headers(service: Service, path: str) -> None:
    headers = service.http.get(path, headers={"Accept": "text/html"}).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"  # or the forms' own origin would be "null"
    assert headers["Cache-Control"] == "no-store"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "form-action 'self'" in policy
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost; x", "", "[::2]", "alerts.example.com.evil"]
)
def test_a_rebound_name_is_refused(service: Service, host: str) -> None:
    assert service.http.get("/health", headers={"Host": host}).status_code == 403
    assert service.http.post("/unsubscribe", headers={"Host": host}).status_code == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8788", "localhost", "[::1]:1", "alerts.example.com", "ALERTS.example.com:443"]
)
def test_its_own_names_are_answered(service: Service, host: str) -> None:
    assert service.http.get("/health", headers={"Host": host}).json() == {"status": "live"}


def test_other_sites_cannot_send_its_forms(service: Service) -> None:
    for origin in ("https://evil.example", "null", "http://[", "https://alerts.example.com.evil", "file://"):
        answer = service.http.post("/api/subscriptions", json=EMAIL, headers={"Origin": origin})
        assert answer.status_code == 403
    for origin in ("https://alerts.example.com", BASE):
        assert service.http.post("/api/subscriptions", json=EMAIL, headers={"Origin": origin}).status_code == 202


def test_a_large_body_is_refused_whether_or_not_it_says_so(service: Service) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1000

    for content in (b"x" * (MAX_BODY_BYTES + 1), pieces()):
        answer = service.http.post("/api/subscriptions", content=content)
        assert (answer.status_code, answer.json()) == (413, {"error": "The request is too large."})
    assert service.http.post("/api/unsubscribe", content=b"x" * MAX_BODY_BYTES).status_code == 422


def test_a_body_that_does_not_come_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    monkeypatch.setattr(shield, "_BODY_S", 0.1)
    answer = service.http.post("/api/subscriptions", content=drip())
    assert (answer.status_code, answer.json()) == (408, {"error": "The request did not come to its end."})


def test_people_get_a_page_programs_a_line(service: Service) -> None:
    page = service.http.get("/nothing", headers={"Accept": "text/html,*/*"})
    assert (page.status_code, "<h1>Not found</h1>" in page.text) == (404, True)
    assert service.http.get("/nothing").json() == {"error": "There is nothing at this address."}
    assert service.http.get("/api/nothing", headers={"Accept": "text/html"}).json()["error"]


# ---- rates


def test_mails_are_asked_for_at_a_rate(service: Service) -> None:
    answers = [service.http.post("/api/subscriptions", json={"email": f"a{n}@example.com"}) for n in range(12)]
    assert [answer.status_code for answer in answers] == [202] * 10 + [429] * 2
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    assert service.http.post("/link", content="email=ann@example.com").status_code == 429  # the same budget
    other = Http(service.shielded, "192.0.2.77")
    assert other.post("/api/subscriptions", json=EMAIL).status_code == 202
    other.close()


def test_everything_has_a_rate_but_the_end(service: Service) -> None:
    http = Http(Shield(service.app, (), per_minute=20))
    statuses = [http.get("/api/mine").status_code for _ in range(25)]
    assert statuses[:20] == [401] * 20
    assert statuses[-1] == 429
    who = service.subscribe()
    for _ in range(30):
        answer = http.post(
            "/unsubscribe?token=" + service.token("unsubscribe", who), data={"List-Unsubscribe": "One-Click"}
        )
        assert answer.status_code == 200
    assert http.get("/health").status_code == 200
    http.close()


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),  # not from a proxy of ours
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.7", "198.51.100.7"),  # what the client wrote itself
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),  # two proxies of ours
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("2001:db8:1:2:3::4", None, "2001:db8:1:2::/64"),
        ("10.0.0.1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", None, "192.0.2.1"),
    ],
)
def test_who_asks(peer: str, forwarded: str | None, client: str) -> None:
    import ipaddress

    headers = Headers({} if forwarded is None else {"x-forwarded-for": forwarded})
    assert client_of({"client": (peer, 1)}, headers, [ipaddress.ip_network("10.0.0.0/8")]) == client


def test_a_client_behind_a_proxy_has_its_own_budget(service: Service) -> None:
    proxy = Http(service.shielded, "10.1.2.3")
    for client in ("198.51.100.1", "198.51.100.2"):
        statuses = [
            proxy.post("/api/mine/link", json=EMAIL, headers={"X-Forwarded-For": client}).status_code for _ in range(11)
        ]
        assert statuses == [202] * 10 + [429]
    proxy.close()
