"""The HTTP API: what it does, what it refuses in one line, and what nobody can learn from it."""

from __future__ import annotations

import statistics
import time
from typing import Any

import httpx
import pytest
from tests.web.alerts.conftest import BASE, OPERATOR, Http, Service, bearer

from quantlytic.model.errors import StoreError
from quantlytic.store.control.links import Links

FORGED = [
    "", "x", "A" * 72, "A" * 73, "a" * 100, "../../etc/passwd", "AQBpIMAQ' OR 1=1 --", "<script>alert(1)</script>", "\ud800",
    "\x00", "ü" * 72,
]  # fmt: skip


def refused(answer: httpx.Response, status: int, words: str = "") -> None:
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert answer.json()["error"].isprintable()


def test_from_sign_up_to_the_end(service: Service) -> None:
    token = service.sign_up(kinds=["signal"], instruments=["binance:BTCUSDT"], quiet_start="22:00", quiet_end="07:00")
    assert service.status() == "pending"
    answer = service.http.post("/api/confirm", json={"token": token})
    assert answer.status_code == 200
    mine = answer.json()
    assert (mine["email"], mine["status"], mine["troubles"]) == ("ann@example.com", "confirmed", [])
    who = service.control.subscribers.by_email("ann@example.com")
    assert who is not None
    link = bearer(service.token("mine", who))
    assert service.http.get("/api/mine", headers=link).json() == mine
    changed = mine["choices"] | {"kinds": ["digest"], "time_zone": "Europe/Berlin"}
    answer = service.http.put("/api/mine", json=changed, headers=link)
    assert (answer.status_code, answer.json()["choices"]) == (200, changed)
    assert [one.subscriber.time_zone for one in service.control.subscribers.for_event("digest")] == ["Europe/Berlin"]
    leave = {"token": service.token("unsubscribe", who)}
    for _ in range(2):
        answer = service.http.post("/api/unsubscribe", json=leave)
        assert (answer.status_code, answer.json()) == (200, {"message": "Unsubscribed."})
    assert service.status() == "unsubscribed"
    assert service.http.get("/api/mine", headers=link).json()["status"] == "unsubscribed"
    refused(service.http.put("/api/mine", json=changed, headers=link), 400, "the subscription has been ended")


def test_confirming_twice_is_harmless(service: Service) -> None:
    body = {"token": service.sign_up()}
    first, second = (service.http.post("/api/confirm", json=body) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())


def test_a_used_link_does_not_undo_the_end(service: Service) -> None:
    token = service.sign_up()
    service.http.post("/api/confirm", json={"token": token})
    who = service.control.subscribers.by_email("ann@example.com")
    assert who is not None
    service.control.subscribers.unsubscribe(who.subscriber_id)
    refused(service.http.post("/api/confirm", json={"token": token}), 400, "sign up once more")
    time.sleep(1.01)  # links count whole seconds
    new = service.sign_up()
    refused(service.http.post("/api/confirm", json={"token": token}), 400, "sign up once more")
    assert service.http.post("/api/confirm", json={"token": new}).status_code == 200


def test_two_mails_of_one_sign_up_are_both_good(service: Service) -> None:
    first, second = service.sign_up(), service.sign_up(kinds=["risk"])
    assert service.http.post("/api/confirm", json={"token": first}).json()["choices"]["kinds"] == ["risk"]
    assert service.http.post("/api/confirm", json={"token": second}).status_code == 200


@pytest.mark.parametrize("token", FORGED, ids=ascii)
def test_forged_tokens(service: Service, token: str) -> None:
    for path in ("/api/confirm", "/api/unsubscribe"):
        answer = service.http.request("POST", path, content=_json({"token": token}), headers=_JSON)
        refused(answer, 400 if len(token) <= 200 and token != "\ud800" else answer.status_code)
        assert answer.status_code in (400, 422)
    if token.isascii() and token.isprintable():
        refused(service.http.get("/api/mine", headers=bearer(token)), 401, "token")


def test_tokens_of_another_purpose_person_or_secret(service: Service) -> None:
    who = service.subscribe()
    tokens = {purpose: service.token(purpose, who) for purpose in ("confirm", "mine", "unsubscribe")}
    for purpose, token in tokens.items():
        if purpose != "unsubscribe":
            refused(service.http.post("/api/unsubscribe", json={"token": token}), 400, "not one of ours")
        if purpose != "confirm":
            refused(service.http.post("/api/confirm", json={"token": token}), 400, "not one of ours")
        if purpose != "mine":
            refused(service.http.get("/api/mine", headers=bearer(token)), 401)
    other = Links(b"o" * 32, BASE).token("mine", who.subscriber_id, time.time_ns())
    refused(service.http.get("/api/mine", headers=bearer(other)), 401)
    old = service.links.token("confirm", who.subscriber_id, time.time_ns() - 3 * 86400 * 10**9)
    refused(service.http.post("/api/confirm", json={"token": old}), 400, "too old")
    service.control.subscribers.erase(who.subscriber_id)
    refused(service.http.get("/api/mine", headers=bearer(tokens["mine"])), 401)
    refused(service.http.post("/api/confirm", json={"token": tokens["confirm"]}), 400, "gone")
    assert service.http.post("/api/unsubscribe", json={"token": tokens["unsubscribe"]}).status_code == 200


# ---- nobody learns who is subscribed


def test_the_answer_is_the_same_for_everybody(service: Service) -> None:
    people = {"confirmed": "c@example.com", "left": "l@example.com", "bad": "s@example.com", "pending": "p@example.com"}
    for email in people.values():
        (service.sign_up if email.startswith("p") else service.subscribe)(email)
    ids = {
        email: getattr(service.control.subscribers.by_email(email), "subscriber_id", "") for email in people.values()
    }
    service.control.subscribers.unsubscribe(ids["l@example.com"])
    service.control.subscribers.suppress(ids["s@example.com"])
    for path in ("/api/subscriptions", "/api/mine/link"):
        answers = set()
        for number, email in enumerate((*people.values(), "new@example.com")):
            http = Http(service.shielded, f"192.0.2.{number + 10}")
            answer = http.post(path, json={"email": email})
            answers.add((answer.status_code, answer.content, tuple(sorted(answer.headers.items()))))
            http.close()
        assert len(answers) == 1
        assert next(iter(answers))[0] == 202


def test_the_time_is_the_same_for_everybody(service: Service) -> None:
    """Whoever asks, one row is entered before the answer: medians of many askings lie close together."""
    service.subscribe("known@example.com")
    times: dict[str, list[float]] = {"known@example.com": [], "fresh@example.com": []}
    service.ask_without_limit()
    for _ in range(40):
        for email, spent in times.items():
            began = time.perf_counter()
            service.http.post("/api/subscriptions", json={"email": email})
            spent.append(time.perf_counter() - began)
    known, fresh = (statistics.median(spent) for spent in times.values())
    print(f"median: known {known * 1e3:.2f} ms, fresh {fresh * 1e3:.2f} ms")
    assert abs(known - fresh) < 0.5 * max(known, fresh)
    assert len(service.control.sign_ups.waiting(1000)) == 80


def test_a_stranger_changes_nothing_of_a_subscriber(service: Service) -> None:
    who = service.subscribe(kinds=["risk"], time_zone="Europe/Berlin")
    service.http.post("/api/subscriptions", json={"email": "ANN@Example.com", "kinds": ["fill"], "time_zone": "UTC"})
    [message] = service.work()
    assert (message.kind, message.recipient) == ("mine", who.subscriber_id)
    assert service.control.subscribers.get(who.subscriber_id) == who
    assert len(service.control.subscribers.for_event("risk")) == 1


# ---- instruments that are not tracked


def test_a_new_instrument_is_wanted_when_it_is_confirmed(service: Service) -> None:
    token = service.sign_up(instruments=["yahoo:TSLA", "yahoo:AAPL"])
    assert service.control.wanted.list() == []
    mine = service.http.post("/api/confirm", json={"token": token}).json()
    assert [one.instrument for one in service.control.wanted.list()] == ["yahoo:TSLA"]
    assert service.new_instruments == ["yahoo:TSLA"]
    assert mine["troubles"] == ["yahoo:TSLA: its history is being fetched; alerts begin when it is there"]
    who = service.control.subscribers.by_email("ann@example.com")
    assert who is not None
    link = bearer(service.token("mine", who))
    service.http.put("/api/mine", json={"instruments": ["yahoo:TSLA", "yahoo:NOPE"]}, headers=link)
    assert service.new_instruments == ["yahoo:TSLA", "yahoo:NOPE"]
    service.control.wanted.done("yahoo:TSLA", 5)
    service.control.wanted.done("yahoo:NOPE", 5, "Yahoo has no such symbol")
    assert service.http.get("/api/mine", headers=link).json()["troubles"] == ["yahoo:NOPE: Yahoo has no such symbol"]


# ---- tests and history


def test_a_subscriber_tests_and_reads_his_own(service: Service) -> None:
    ann, bob = service.subscribe(), service.subscribe("bob@example.com")
    link = bearer(service.token("mine", ann))
    for _ in range(3):
        assert service.http.post("/api/test", headers=link).status_code == 202
    answer = service.http.post("/api/test", headers=link, json={})
    refused(answer, 429, "enough test messages")
    assert 1 <= int(answer.headers["Retry-After"]) <= 1200
    history = service.http.get("/api/history", headers=link).json()
    assert [one["kind"] for one in history] == ["test", "test", "test", "confirm"]
    assert all(one["recipient"] is None and one["last_error"] is None for one in history)
    assert len(service.http.get("/api/history?limit=2", headers=link).json()) == 2
    refused(service.http.get(f"/api/history?recipient={bob.subscriber_id}", headers=link), 400, "only operators")
    refused(service.http.post("/api/test", headers=link, json={"recipient": "bob@example.com"}), 400, "only operators")


def test_an_operator_tests_and_reads_everybody(service: Service) -> None:
    ann = service.subscribe()
    service.sign_up("pending@example.com")
    service.ask_without_limit()
    operator = bearer(OPERATOR)
    for recipient in ("ann@example.com", ann.subscriber_id, "desk"):
        answer = service.http.post("/api/test", headers=operator, json={"recipient": recipient})
        assert answer.status_code == 202, answer.text
    for recipient in ("bob@example.com", "pending@example.com", "no-channel", "x\ud800", "a\x00b", ""):
        answer = service.http.request(
            "POST", "/api/test", headers=operator | _JSON, content=_json({"recipient": recipient})
        )
        assert answer.status_code in (400, 422)
    everything = service.http.get("/api/history", headers=operator).json()
    assert [(one["kind"], one["channel"]) for one in everything[:3]] == [
        ("test", "apprise"),
        ("test", "mail"),
        ("test", "mail"),
    ]
    assert {one["recipient"] for one in everything} >= {"desk", ann.subscriber_id}
    one = service.http.get("/api/history", params={"recipient": "ann@example.com"}, headers=operator).json()
    assert [each["kind"] for each in one] == ["test", "test", "confirm"]
    assert len(service.http.get("/api/history?recipient=desk", headers=operator).json()) == 1
    refused(service.http.get("/api/mine", headers=operator), 401)
    service.control.tokens.remove("op")
    refused(service.http.get("/api/history", headers=operator), 401)


@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer"}], ids=str
)
@pytest.mark.parametrize("call", ["GET /api/mine", "PUT /api/mine", "POST /api/test", "GET /api/history"])
def test_without_a_token_nothing(service: Service, call: str, headers: dict[str, str]) -> None:
    method, path = call.split()
    answer = service.http.request(method, path, headers=headers, json={} if method == "PUT" else None)
    refused(answer, 401, "token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


# ---- bad input


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "email"),
        ({"email": "ann"}, "no e-mail address"),
        ({"email": "ann@example.com\r\nBcc: eve@example.com"}, "printable ASCII"),
        ({"email": ["ann@example.com"]}, "email"),
        ({"email": "ann@example.com", "kinds": []}, "kinds"),
        ({"email": "ann@example.com", "kinds": ["\ud800"]}, "kinds.0"),
        ({"email": "ann@example.com", "more": 1}, "more"),
        ({"email": "ann@example.com", "\ud800\n": 1}, ""),
        ({"email": "ann@example.com", "near_bps": "much"}, "near_bps"),
        ({"email": "ann@example.com", "strategies": ["nope"]}, "no strategy 'nope'"),
        ([], ""),
        (None, ""),
    ],
    ids=ascii,
)
def test_bad_bodies_are_one_line(service: Service, body: Any, words: str) -> None:
    answer = service.http.request("POST", "/api/subscriptions", content=_json(body), headers=_JSON)
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code, words)
    assert service.control.sign_ups.waiting(9) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"nul\x00l", b"[" * 9, b'{"email": NaN}', b"1e999"], ids=ascii
)
def test_what_is_no_json(service: Service, content: bytes) -> None:
    answer = service.http.post("/api/subscriptions", content=content, headers=_JSON)
    assert answer.status_code in (400, 422)
    refused(answer, answer.status_code)


def test_what_is_not_there(service: Service) -> None:
    refused(service.http.get("/api/nothing"), 404, "nothing at this address")
    refused(service.http.get("/api/confirm"), 405)
    assert service.http.post("/api/mine").headers["Allow"] == "GET, PUT"
    refused(service.http.get("/static/../api.py"), 404)
    refused(service.http.get("/static/%2e%2e/app.py"), 404)


def test_a_store_that_fails_is_one_line(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object) -> None:
        raise StoreError("the control store /secret/place/control.db cannot be used: disk I/O error")

    monkeypatch.setattr(service.control.sign_ups, "add", fail)
    monkeypatch.setattr(service.control.messages, "positions", fail)
    answer = service.http.post("/api/subscriptions", json={"email": "ann@example.com"})
    refused(answer, 503, "try again later")
    assert "secret" not in answer.text
    refused(service.http.get("/health"), 503)


# ---- its documentation


def test_it_describes_itself(service: Service) -> None:
    described = service.http.get("/openapi.json").json()
    calls = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert calls == {
        "POST /api/subscriptions", "POST /api/confirm", "POST /api/unsubscribe", "POST /api/mine/link", "GET /api/mine",
        "PUT /api/mine", "POST /api/test", "GET /api/history",
    }  # fmt: skip
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            assert len(call["description"]) > 10, path
            assert {"400", "422", "429", "503"} <= set(call["responses"]), path
            needs_token = (path, method) in {("/api/mine", "get"), ("/api/mine", "put")} or path in (
                "/api/test",
                "/api/history",
            )
            assert ("401" in call["responses"]) == needs_token == ("security" in call)
    assert "HTTPValidationError" not in described["components"]["schemas"]
    docs = service.http.get("/docs")
    assert docs.status_code == 200
    assert all(path in docs.text for path in described["paths"])


def test_the_examples_of_the_documentation_work(service: Service) -> None:
    schemas = service.http.get("/openapi.json").json()["components"]["schemas"]
    assert service.http.post("/api/subscriptions", json=schemas["SignUpBody"]["example"]).status_code == 202
    service.work()
    link = bearer(service.token("mine", service.subscribe("bob@example.com")))
    assert service.http.put("/api/mine", json=schemas["Choices"]["example"], headers=link).status_code == 200


_JSON = {"Content-Type": "application/json"}


def _json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode()
