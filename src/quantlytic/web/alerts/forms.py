"""The pages: what each shows on GET, and what it does on POST. A GET changes nothing, for mail scanners follow links."""

from __future__ import annotations

import math
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso
from quantlytic.store.control.address import clean_address
from quantlytic.store.control.records import EVERY, Message
from quantlytic.web.alerts.choices import Choices, Offer, choices_of, notes_of
from quantlytic.web.alerts.desk import Desk
from quantlytic.web.alerts.pages import form_page, page, problem_page

Fields = dict[str, list[str]]
Token = Annotated[str, Query(max_length=200)]
_MAX_FIELDS = 1000
_ONE_CLICK = {"List-Unsubscribe": ["One-Click"]}


async def _fields(request: Request) -> Fields:
    """A form's fields; nothing for what is no form. Ours are urlencoded; RFC 8058's one field may come as multipart."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        return _ONE_CLICK if b"List-Unsubscribe" in body and b"One-Click" in body else {}
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return {}


Form = Annotated[Fields, Depends(_fields)]


def make_pages(desk: Desk, offer: Offer) -> APIRouter:
    """The routes of the pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def sign_up() -> Response:
        return form_page("signup", offer, Choices(), [])

    @router.post("/")
    def signed_up(form: Form) -> Response:
        email = _one(form, "email").strip()
        choices, problems = _choices(form)
        try:
            clean_address(email)
        except InputError as error:
            problems.insert(0, f"E-mail: {error}")
        if not problems:
            try:
                desk.sign_up(email, choices)
            except InputError as error:
                problems.append(str(error))
        if problems:
            return form_page("signup", offer, choices, problems, email=email)
        return RedirectResponse("/sent", 303)

    @router.get("/sent")
    def sent() -> Response:
        return page("sent")

    @router.get("/link")
    def link() -> Response:
        return page("link", problem="", email="")

    @router.post("/link")
    def asked_for_link(form: Form) -> Response:
        email = _one(form, "email").strip()
        try:
            desk.ask_for_link(email)
        except InputError as error:
            return page("link", 422, problem=str(error), email=email)
        return RedirectResponse("/sent", 303)

    @router.get("/confirm")
    def confirm(token: Token = "") -> Response:
        found = desk.see_pending(token)
        return page("confirm", email=found.subscriber.email, choices=choices_of(found), token=token)

    @router.post("/confirm")
    def confirmed(form: Form) -> Response:
        found = desk.confirm(_one(form, "token"))
        troubles, notes = desk.troubles(found.subscription.instruments), notes_of(choices_of(found))
        return page("confirmed", email=found.subscriber.email, troubles=troubles, notes=notes)

    _add_stopping(router, desk)
    _add_mine(router, desk, offer)
    return router


def _add_stopping(router: APIRouter, desk: Desk) -> None:
    @router.get("/unsubscribe")
    def unsubscribe(token: Token = "") -> Response:
        desk.see_unsubscribe(token)
        return page("unsubscribe", token=token)

    @router.post("/unsubscribe")
    def unsubscribed(form: Form, token: Token = "") -> Response:
        desk.unsubscribe(token or _one(form, "token"))
        if form.get("List-Unsubscribe") == ["One-Click"]:  # RFC 8058: a mail program, not a person
            return PlainTextResponse("Unsubscribed.\n")
        return page("unsubscribed")


def _add_mine(router: APIRouter, desk: Desk, offer: Offer) -> None:
    def shown(token: str, problems: list[str], choices: Choices | None = None, note: str = "") -> Response:
        found = desk.mine(token)
        if found.subscriber.status != "confirmed":
            return problem_page(410, "This subscription has been ended: sign up once more.")
        history = [_told(one) for one in desk.history_of_mine(token, 10)]
        return form_page(
            "mine", offer, choices or choices_of(found), problems, token, found.subscriber.email, note=note,
            history=history, troubles=desk.troubles(found.subscription.instruments),
        )  # fmt: skip

    @router.get("/mine")
    def mine(token: Token = "", done: str = "") -> Response:
        notes = {"saved": "Saved.", "tested": "A test message is on its way."}
        return shown(token, [], note=notes.get(done, ""))

    @router.post("/mine")
    def change(form: Form) -> Response:
        token = _one(form, "token")
        desk.mine(token)
        choices, problems = _choices(form)
        if not problems:
            try:
                desk.change(token, choices)
            except InputError as error:
                problems.append(str(error))
        return shown(token, problems, choices) if problems else RedirectResponse(f"/mine?token={token}&done=saved", 303)

    @router.post("/mine/test")
    def test(form: Form) -> Response:
        token = _one(form, "token")
        desk.test_mine(token)
        return RedirectResponse(f"/mine?token={token}&done=tested", 303)

    @router.post("/mine/leave")
    def leave(form: Form) -> Response:
        desk.leave(_one(form, "token"))
        return page("unsubscribed")


def _told(message: Message) -> dict[str, str]:
    return {"time": iso(message.created_ns)[:16].replace("T", " "), "subject": message.subject, "state": message.state}


def _one(form: Fields, name: str) -> str:
    return form.get(name, [""])[0]


def _choices(form: Fields) -> tuple[Choices, list[str]]:
    """What was chosen, as far as it can be read, and what is wrong with it."""
    others = [name.strip() for name in _one(form, "others").replace("\n", ",").split(",")]
    ticked = form.get("instruments", [])
    is_unclear = EVERY in ticked and len(ticked) > 1
    if is_unclear:
        ticked = [name for name in ticked if name != EVERY]
    raw = {
        "instruments": [*ticked, *(name for name in others if name)],
        "strategies": form.get("strategies", []),
        "kinds": form.get("kinds", []),
        "near_bps": _bps(_one(form, "near_percent")),
        "time_zone": _one(form, "time_zone"),
        "quiet_start": _one(form, "quiet_start") or "00:00",
        "quiet_end": _one(form, "quiet_end") or "00:00",
    }
    try:
        return Choices.model_validate(raw), [_UNCLEAR] if is_unclear else []
    except ValidationError as error:
        problems = {str(one["loc"][0]): _PROBLEMS.get(str(one["loc"][0]), one["msg"]) for one in error.errors()}
        good = {name: value for name, value in raw.items() if name not in problems}
        empty: dict[str, object] = {name: [] for name in problems if isinstance(raw[name], list)}
        return Choices().model_copy(update=good | empty), list(problems.values())


_UNCLEAR = "Instruments: all of them and single ones were ticked. Now only the single ones are: right?"
_PROBLEMS = {
    "instruments": "Instruments: choose at least one, at most 50.",
    "strategies": "Strategies: choose at least one, at most 50.",
    "kinds": "Kinds of alerts: choose at least one.",
    "near_bps": "Look-ahead: write a number of percent from 0 to 10.",
    "time_zone": "Time zone: choose one of the list.",
    "quiet_start": "Quiet hours: write times such as 22:00.",
    "quiet_end": "Quiet hours: write times such as 22:00.",
}


def _bps(percent: str) -> float:
    try:
        return round(float(percent.replace(",", ".")) * 100.0, 6)
    except ValueError:
        return math.nan
