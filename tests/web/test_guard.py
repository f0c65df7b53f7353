"""Who may see the page, asked of a real server."""

from __future__ import annotations

import httpx
import pytest
from tests.web.conftest import TOKEN, Served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PRIVATE = ["", "api/snapshot", "metrics", "api/mails/x.eml", "api/mails/x.eml/html", "nothing-here"]


@pytest.mark.parametrize("path", PRIVATE)
def test_without_a_token_nothing_is_shown(served: Served, path: str) -> None:
    answer = httpx.get(served.address + path)
    assert answer.status_code == 401
    assert "paper-1" not in answer.text
    for bad in (TOKEN[:-1], TOKEN + "x"):
        assert httpx.get(served.address + path, headers={"Authorization": f"Bearer {bad}"}).status_code == 401


def test_a_person_is_told_where_to_find_the_address(served: Served) -> None:
    answer = httpx.get(served.address, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "prints the address with the token when it starts" in answer.text


def test_the_tokened_address_sets_a_cookie_and_leaves_no_token(served: Served) -> None:
    with httpx.Client() as browser:
        answer = browser.get(served.server.url)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert TOKEN not in cookie
        page = browser.get(served.address)
        assert page.status_code == 200
        assert TOKEN not in page.text
        assert browser.get(served.address + "?token=wrong").status_code == 401  # even with the cookie
    name, _, value = cookie.partition(";")[0].partition("=")
    assert httpx.get(served.address, headers={"Cookie": f"{name}={value[:-1]}0"}).status_code == 401
    assert httpx.get(served.address, headers={"Cookie": f'{name}="{value}; ;;=,'}).status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "localhost; x", "", "[::2]"]
)
def test_a_rebound_name_is_refused(served: Served, host: str) -> None:
    for path in ("", "health", "static/app.js"):
        assert served.get(path, Host=host).status_code in (400, 403)


def test_loopback_names_are_answered(served: Served) -> None:
    for host in ("127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:99"):
        assert served.get("api/snapshot", Host=host).status_code == 200


def test_an_origin_that_is_no_address_is_foreign(served: Served) -> None:
    for origin in ("http://[", "null", "http://[::1"):
        headers = {"Authorization": f"Bearer {TOKEN}", "Origin": origin}
        assert httpx.post(served.address, headers=headers).status_code == 403
        with pytest.raises(InvalidStatus) as caught:
            connect(served.address.replace("http", "ws") + "stream", additional_headers=headers)
        assert caught.value.response.status_code == 403


def test_other_methods_need_our_own_origin(served: Served) -> None:
    url, bearer = served.address + "api/snapshot", {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client() as browser:
        browser.get(served.server.url)
        assert browser.post(url).status_code == 403
        assert browser.post(url, headers={"Origin": "https://evil.example"}).status_code == 403
        assert browser.post(url, headers={"Origin": "null"}).status_code == 403
        assert browser.post(url, headers={"Origin": served.address.rstrip("/")}).status_code == 405
    assert httpx.post(url, headers={**bearer, "Origin": "https://evil.example"}).status_code == 403
    assert httpx.post(url, headers=bearer).status_code == 405


def test_the_stream_is_guarded_too(served: Served) -> None:
    address = served.address.replace("http", "ws") + "stream"
    own, bearer = served.address.rstrip("/"), {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client() as browser:
        browser.get(served.server.url)
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.cookies.items())}
    refused = [
        (None, {}, 403), (own, {}, 401), (None, cookie, 403), ("http://127.0.0.1:1", cookie, 403),
        ("https://evil.example", bearer, 403), (own, {"Authorization": "Bearer wrong"}, 401),
    ]  # fmt: skip
    for origin, headers, status in refused:
        with pytest.raises(InvalidStatus) as caught:
            connect(address, origin=origin, additional_headers=headers)
        assert caught.value.response.status_code == status, (origin, headers)
    for origin, headers in ((own, cookie), (None, bearer), (own, bearer)):
        with connect(address, origin=origin, additional_headers=headers) as socket:
            assert socket.recv()


def test_every_answer_carries_safe_headers(served: Served) -> None:
    for path in ("", "api/snapshot", "health", "static/app.js", "nothing-here"):
        for answer in (served.get(path), httpx.get(served.address + path)):
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == (
                "no-cache" if answer.is_success and "static" in path else "no-store"
            )
            assert "server" not in answer.headers


def test_a_mail_has_no_power(served: Served) -> None:
    name = served.get("api/snapshot").json()["notices"][0]["mail"]
    answer = served.get(f"api/mails/{name}/html")
    assert "<script>" in answer.text  # as it was written; the policy disarms it
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
