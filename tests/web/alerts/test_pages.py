"""The pages: a GET changes nothing, a POST does what its button says, and nothing that was written into a form is run."""

from __future__ import annotations

import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.web.alerts.conftest import BASE, Service

from quantlytic.store.control.records import Message, message_id_of

PEOPLE = {"Accept": "text/html"}
FORM = {
    "email": "ann@example.com", "instruments": ["binance:BTCUSDT"], "others": "yahoo:TSLA, kraken:BTC/USD",
    "strategies": ["recommended", "macd"], "kinds": ["signal", "risk"], "near_percent": "0,25", "time_zone": "Asia/Kolkata",
    "quiet_start": "22:00", "quiet_end": "06:30",
}  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page: (name, attributes)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def rows(service: Service) -> dict[str, list[tuple[object, ...]]]:
    """Everything in the store."""
    import sqlalchemy as sa

    from quantlytic.store.control.schema import metadata

    with service.control.messages._database.reading() as connection:  # type: ignore[attr-defined]
        return {
            name: [tuple(row) for row in connection.execute(sa.select(table))]
            for name, table in metadata.tables.items()
        }


def test_signing_up_by_the_page(service: Service) -> None:
    answer = service.http.post("/", data=FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sent")
    assert "a mail with a link is on its way" in service.http.get("/sent").text
    [message] = service.work()
    url = urlsplit(service.links.url("confirm", message.recipient, time.time_ns()))
    page = service.http.get(f"{url.path}?{url.query}")
    assert "Send alerts to ann@example.com?" in page.text
    assert "yahoo:TSLA" in page.text
    done = service.http.post("/confirm", data={"token": url.query.removeprefix("token=")})
    assert (done.status_code, "You are subscribed" in done.text) == (200, True)
    [(who, what)] = service.control.subscribers.for_event("risk", "kraken:BTC/USD", "macd")
    assert (who.time_zone, who.quiet_start_min, who.quiet_end_min) == ("Asia/Kolkata", 1320, 390)
    assert what.instruments == ("binance:BTCUSDT", "yahoo:TSLA", "kraken:BTC/USD")
    assert (what.strategies, what.kinds, what.near_bps) == (("recommended", "macd"), ("signal", "risk"), 25.0)


def test_no_get_changes_anything(service: Service) -> None:
    """Mail scanners and browsers follow links before anybody reads the mail."""
    pending = service.sign_up("pending@example.com", instruments=["yahoo:TSLA"])
    who = service.subscribe()
    before = rows(service)
    paths = [f"/confirm?token={pending}", "/", "/sent", "/link", "/docs", "/openapi.json", "/health"]
    paths += [f"/{purpose}?token={service.token(purpose, who)}" for purpose in ("mine", "unsubscribe", "confirm")]
    paths += [f"/mine?token={service.token('mine', who)}&done=saved"]
    for path in paths:
        for method in ("GET", "HEAD"):
            answer = service.http.request(method, path, headers=PEOPLE)
            assert answer.status_code == 200, path
    service.work()
    assert rows(service) == before
    assert service.new_instruments == []


@pytest.mark.parametrize("query", ["token={}", "token={}&x=1"])
def test_one_click_of_a_mail_program(service: Service, query: str) -> None:
    who = service.subscribe()
    service.control.messages.put([a_message(who.subscriber_id)])
    answer = service.http.post(
        "/unsubscribe?" + query.format(service.token("unsubscribe", who)), data={"List-Unsubscribe": "One-Click"}
    )
    assert (answer.status_code, answer.text) == (200, "Unsubscribed.\n")
    assert service.status() == "unsubscribed"
    assert service.control.messages.due(2**62, 9) == []


def test_one_click_as_multipart(service: Service) -> None:
    who = service.subscribe()
    path = f"/unsubscribe?token={service.token('unsubscribe', who)}"
    answer = service.http.post(path, files={"List-Unsubscribe": (None, "One-Click")})
    assert (answer.status_code, answer.text) == (200, "Unsubscribed.\n")
    assert service.status() == "unsubscribed"


def test_unsubscribing_by_the_page(service: Service) -> None:
    who = service.subscribe()
    token = service.token("unsubscribe", who)
    for _ in range(2):
        answer = service.http.post("/unsubscribe", data={"token": token})
        assert (answer.status_code, "You are unsubscribed" in answer.text) == (200, True)
    assert service.status() == "unsubscribed"
    forged = service.http.post("/unsubscribe?token=x", data={"List-Unsubscribe": "One-Click"})
    assert (forged.status_code, list(forged.json())) == (400, ["error"])


def test_choices_are_shown_and_saved(service: Service) -> None:
    who = service.subscribe(kinds=["risk"], time_zone="Europe/Berlin", quiet_start="22:00", instruments=["yahoo:TSLA"])
    service.control.messages.put([a_message(who.subscriber_id, subject="<b>Buy</b>")])
    token = service.token("mine", who)
    page = service.http.get(f"/mine?token={token}")
    assert "yahoo:TSLA: its history is being fetched" in page.text
    assert "&lt;b&gt;Buy&lt;/b&gt;" in page.text
    elements = Elements(page.text)
    ticked = [(one["name"], one["value"]) for one in elements.of("input") if "checked" in one]
    assert ticked == [("kinds", "risk"), ("strategies", "recommended")]
    assert [one["value"] for one in elements.of("option") if "selected" in one] == ["Europe/Berlin"]
    values = {str(one["name"]): one.get("value") for one in elements.of("input") if one.get("type") != "checkbox"}
    assert values | {"token": "", "near_percent": 0} == {
        "token": "", "near_percent": 0, "others": "yahoo:TSLA", "quiet_start": "22:00", "quiet_end": "00:00"
    }  # fmt: skip
    answer = service.http.post(
        "/mine", data={key: value for key, value in FORM.items() if key != "email"} | {"token": token}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, f"/mine?token={token}&done=saved")
    assert "Saved." in service.http.get(answer.headers["location"]).text
    assert len(service.control.subscribers.for_event("risk", "binance:BTCUSDT", "macd")) == 1
    assert service.http.post("/mine/test", data={"token": token}).headers["location"].endswith("done=tested")
    assert service.control.messages.history(who.subscriber_id, 1)[0].kind == "test"
    assert "You are unsubscribed" in service.http.post("/mine/leave", data={"token": token}).text
    gone = service.http.get(f"/mine?token={token}", headers=PEOPLE)
    assert (gone.status_code, "This subscription has been ended" in gone.text) == (410, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"email": ""}, "E-mail: this is no e-mail address"),
        ({"email": "ann@example.com\r\nBcc: x@y.zz"}, "E-mail: this is no e-mail address"),
        ({"kinds": []}, "Kinds of alerts: choose at least one"),
        ({"kinds": ["nope"]}, "Kinds of alerts: choose at least one"),
        ({"instruments": [], "others": " , "}, "Instruments: choose at least one"),
        ({"instruments": ["*", "binance:BTCUSDT"]}, "all of them and single ones were ticked"),
        ({"others": "TSLA"}, "&#39;TSLA&#39; is no instrument"),
        ({"others": "<script>alert(1)</script>"}, "is no instrument"),
        ({"strategies": []}, "Strategies: choose at least one"),
        ({"strategies": ["nope"]}, "there is no strategy"),
        ({"near_percent": "much"}, "Look-ahead: write a number of percent"),
        ({"near_percent": "nan"}, "Look-ahead: write a number of percent"),
        ({"near_percent": "1e999"}, "Look-ahead: write a number of percent"),
        ({"near_percent": ""}, "Look-ahead: write a number of percent"),
        ({"time_zone": "Mars/Olympus"}, "time_zone is none that is known"),
        ({"time_zone": ""}, "Time zone: choose one of the list"),
        ({"quiet_start": "25:00"}, "Quiet hours: write times such as 22:00"),
    ],
    ids=str,
)
def test_what_is_to_be_mended_is_said_and_nothing_is_lost(
    service: Service, changes: dict[str, object], words: str
) -> None:
    form = FORM | changes
    answer = service.http.post("/", data=form)
    assert answer.status_code == 422
    assert words in answer.text
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    elements = Elements(answer.text)
    ticked = {one["value"] for one in elements.of("input") if "checked" in one}
    assert {"signal", "risk"} <= ticked or "kinds" in changes
    assert {"recommended", "macd"} <= ticked or "strategies" in changes
    assert next(one for one in elements.of("input") if one["name"] == "email")["value"] == str(form["email"]).strip()
    assert service.control.sign_ups.waiting(9) == []


def test_who_chose_nothing_but_the_recommended_strategy_is_told_of_the_silence(service: Service) -> None:
    assert "Of the recommended one alone you hear nothing until" in service.http.get("/").text
    token = service.sign_up()
    said = "You chose the recommended strategy: its signals come as soon as the daily run has found one"
    assert said in service.http.get(f"/confirm?token={token}").text
    assert said in service.http.post("/confirm", data={"token": token}).text
    for number, chosen in enumerate(
        ({"strategies": ["recommended", "macd"]}, {"strategies": ["*"]}, {"kinds": ["digest"]})
    ):
        token = service.sign_up(f"bob{number}@example.com", **chosen)
        assert said not in service.http.get(f"/confirm?token={token}").text


def test_a_link_is_asked_for_by_the_page(service: Service) -> None:
    service.subscribe()
    for email in ("ann@example.com", "stranger@example.com"):
        answer = service.http.post("/link", data={"email": f" {email} "})
        assert (answer.status_code, answer.headers["location"]) == (303, "/sent")
    assert [one.kind for one in service.work()] == ["mine"]
    bad = service.http.post("/link", data={"email": '"><script>'})
    assert (bad.status_code, "this is no e-mail address" in bad.text, "<script>" in bad.text) == (422, True, False)


@pytest.mark.parametrize("path", ["/confirm", "/mine", "/unsubscribe"])
@pytest.mark.parametrize("token", ["", "x", "A" * 72, "A" * 300, "%00", "<script>", "%ff"])
def test_forged_links_get_a_page_with_one_sentence(service: Service, path: str, token: str) -> None:
    for method in ("GET", "POST"):
        answer = service.http.request(
            method, f"{path}?token={token}", headers=PEOPLE, data={"token": token} if method == "POST" else None
        )
        assert answer.status_code in (400, 422)
        assert "<h1>That did not work</h1>" in answer.text
        assert "<script>" not in answer.text


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"a" * 60_000, b"&".join([b"a=1"] * 2000), b"", b"=", b"%zz=%00&email"]
)
def test_what_is_no_form(service: Service, content: bytes) -> None:
    for path in ("/", "/link", "/confirm", "/mine", "/mine/test", "/mine/leave", "/unsubscribe"):
        answer = service.http.post(path, content=content, headers=PEOPLE)
        assert answer.status_code in (400, 422), path


def test_every_page_is_whole(service: Service) -> None:
    """A language, a title, one first heading, labelled fields, and nothing from elsewhere."""
    who = service.subscribe("o'brien@example.com", instruments=["yahoo:TSLA"])
    paths = ["/", "/sent", "/link", "/docs", "/nothing"]
    paths += [f"/{purpose}?token={service.token(purpose, who)}" for purpose in ("mine", "unsubscribe", "confirm")]
    for path in paths:
        elements = Elements(service.http.get(path, headers=PEOPLE).text)
        assert elements.of("html") == [{"lang": "en"}]
        assert len(elements.of("main")) == 1
        assert len(elements.of("h1")) == (3 if path == "/docs" else 1)
        labelled = {one.get("for") for one in elements.of("label")}
        fields = elements.of("select") + [
            one for one in elements.of("input") if one.get("type") not in ("hidden", "checkbox")
        ]
        assert all(one["id"] in labelled for one in fields)
        ids = [one["id"] for _, one in elements.found if "id" in one]
        assert len(ids) == len(set(ids))
        assert not any("style" in one or any(name.startswith("on") for name in one) for _, one in elements.found)
        for _, attributes in elements.found:
            for name in ("src", "href", "action"):
                assert not urlsplit(str(attributes.get(name) or "")).netloc
        for one in elements.of("link") + elements.of("script") + elements.of("img"):
            assert service.http.get(str(one.get("href") or one.get("src"))).status_code == 200


def test_files_of_the_page_name_no_other_host() -> None:
    import quantlytic.web.alerts.pages as pages

    for path in [*Path(pages.FOLDER / "static").iterdir(), *Path(pages.FOLDER / "templates").iterdir()]:
        text = path.read_text()
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace(BASE, "") or path.suffix == ".js", (
            path
        )
        assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), path


def a_message(recipient: str, subject: str = "Buy") -> Message:
    return Message(
        message_id=message_id_of("c", recipient, "signal"), recipient=recipient, channel="mail", kind="signal", cause="c",
        subject=subject, payload=b"", created_ns=time.time_ns(),
    )  # fmt: skip
