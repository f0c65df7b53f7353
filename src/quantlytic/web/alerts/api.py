"""The HTTP API of the alert service."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field

from quantlytic.model.errors import InputError
from quantlytic.model.time import iso
from quantlytic.store.control.records import Addressee, Message
from quantlytic.web.alerts.choices import EXAMPLE, Choices, choices_of, notes_of
from quantlytic.web.alerts.desk import Desk

CHECK_MAIL = "If this address may be used here, a mail with a link is on its way."
_TOKEN_EXAMPLE = "AQBpIMAQq6urq6urq6urq6urq6urq0D_6p8bWYRylwjmlge_PbrsexQPJMtXjwIJvyZu0fsb"


class Problem(BaseModel):
    """Why it cannot be done, in one line."""

    error: str = Field(examples=["this is no e-mail address such as ann@example.com"])


class Answer(BaseModel):
    """What was done, in one line."""

    message: str = Field(examples=[CHECK_MAIL])


class EmailBody(BaseModel):
    """An address."""

    email: str = Field(max_length=300, examples=["ann@example.com"])


class SignUpBody(Choices):
    """An address, and what it is to be told about."""

    model_config = ConfigDict(json_schema_extra={"example": {"email": "ann@example.com", **EXAMPLE}})

    email: str = Field(max_length=300, examples=["ann@example.com"])


class TokenBody(BaseModel):
    """The token of a mailed link: what follows `?token=`."""

    token: str = Field(max_length=200, examples=[_TOKEN_EXAMPLE])


class Recipient(BaseModel):
    """Whom to send a test to; only for operators."""

    recipient: str | None = Field(
        default=None, max_length=300, description="A subscriber's address or id, or a channel's name.",
        examples=["ann@example.com"],
    )  # fmt: skip


class Mine(BaseModel):
    """A subscription. `confirmed`: since when, ISO 8601. `troubles`: instruments that are not tracked yet, or cannot be.
    `notes`: what is to be known of the choices."""

    email: str
    status: str = Field(examples=["confirmed"])
    confirmed: str | None
    choices: Choices
    troubles: list[str]
    notes: list[str]


class Told(BaseModel):
    """A message and how far it is; `sent` is when it was sent, failed or was dropped, ISO 8601. What is None is not for you."""

    kind: str = Field(examples=["signal"])
    subject: str
    state: str = Field(examples=["sent"], description="queued, sending, sent, failed or dropped")
    created: str
    sent: str | None
    attempts: int
    recipient: str | None = None
    channel: str | None = None
    last_error: str | None = None


_bearer = HTTPBearer(
    auto_error=False, scheme_name="token",
    description='The token of a mailed link to "your alerts", or an operator\'s (made by `quantlytic alerts token`).',
)  # fmt: skip
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
_COMMON: dict[int, str] = {
    400: "It cannot be done, for the reason given.",
    403: "Not from there: another site's form, or a name that this server does not answer to.",
    408: "The request did not come to its end within ten seconds.",
    413: "The request is longer than 64 KiB.",
    422: "The request is not as described here.",
    429: "Too often; `Retry-After` says after how many seconds to try again.",
    503: "The store cannot be used just now.",
}
_NO_TOKEN = "The token is missing, wrong, too old or of another kind."


def _problems(**more: str) -> dict[int | str, dict[str, Any]]:
    texts = _COMMON | {int(status.removeprefix("x")): text for status, text in more.items()}
    return {status: {"model": Problem, "description": text} for status, text in sorted(texts.items())}


def make_api(desk: Desk) -> APIRouter:
    """The routes under /api."""
    router = APIRouter(prefix="/api", responses=_problems())

    @router.post("/subscriptions", status_code=202, tags=["subscribing"])
    def subscribe(body: SignUpBody) -> Answer:
        """Sign up. Nothing is sent but one mail, whose link has to be followed before anything else is.

        The answer is the same whether or not the address is known or may sign up. For one that is subscribed already
        nothing changes: its owner gets a link to see and change the subscription.
        """
        desk.sign_up(body.email, Choices.model_validate(body.model_dump(exclude={"email"})))
        return Answer(message=CHECK_MAIL)

    @router.post("/confirm", tags=["subscribing"])
    def confirm(body: TokenBody) -> Mine:
        """Confirm with the token of the first mail, within two days. Again is harmless."""
        return _mine(desk, desk.confirm(body.token))

    @router.post("/unsubscribe", tags=["subscribing"])
    def unsubscribe(body: TokenBody) -> Answer:
        """Stop, with the token of any mail's unsubscribe link. What is queued is dropped. Again is harmless."""
        desk.unsubscribe(body.token)
        return Answer(message="Unsubscribed.")

    _add_mine(router, desk)
    _add_telling(router, desk)
    return router


def _add_mine(router: APIRouter, desk: Desk) -> None:
    refused = _problems(x401=_NO_TOKEN)

    @router.post("/mine/link", status_code=202, tags=["your alerts"])
    def ask_for_link(body: EmailBody) -> Answer:
        """Have a link to your alerts mailed; its token is good for a day. The answer is the same for every address."""
        desk.ask_for_link(body.email)
        return Answer(message=CHECK_MAIL)

    @router.get("/mine", tags=["your alerts"], responses=refused)
    def mine(bearer: Bearer) -> Mine:
        """What you chose."""
        return _mine(desk, desk.mine(_subscriber(desk, bearer)))

    @router.put("/mine", tags=["your alerts"], responses=refused)
    def change(body: Choices, bearer: Bearer) -> Mine:
        """Choose anew: what is not given gets its default."""
        return _mine(desk, desk.change(_subscriber(desk, bearer), body))


def _add_telling(router: APIRouter, desk: Desk) -> None:
    refused = _problems(x401=_NO_TOKEN)

    @router.post("/test", status_code=202, tags=["delivery"], responses=refused)
    def test(bearer: Bearer, body: Recipient | None = None) -> Answer:
        """Send a test message: to yourself, or, as an operator, to whom you name. At most three in an hour each."""
        recipient = body.recipient if body else None
        token = _own_token(desk, bearer, recipient)
        if token is not None:
            desk.test_mine(token)
        elif recipient is not None:
            desk.test(recipient)
        else:
            raise InputError("name the recipient: a subscriber's address or id, or a channel")
        return Answer(message="A test message is on its way.")

    @router.get("/history", tags=["delivery"], responses=refused)
    def history(
        bearer: Bearer,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        recipient: Annotated[
            str | None, Query(max_length=300, description="For operators: an address, id or channel; none for all.")
        ] = None,
    ) -> list[Told]:
        """What was sent, newest first: to you, or, as an operator, to anybody."""
        token = _own_token(desk, bearer, recipient)
        if token is not None:
            return [_told(one, is_operator=False) for one in desk.history_of_mine(token, limit)]
        return [_told(one, is_operator=True) for one in desk.history(recipient, limit)]


def _own_token(desk: Desk, bearer: HTTPAuthorizationCredentials | None, recipient: str | None) -> str | None:
    """A subscriber's token, None for an operator: only that one may name a recipient."""
    if bearer is not None and desk.operator_of(bearer.credentials) is not None:
        return None
    token = _subscriber(desk, bearer)
    if recipient is not None:
        raise InputError("only operators may name a recipient")
    return token


def _subscriber(desk: Desk, bearer: HTTPAuthorizationCredentials | None) -> str:
    """The token, which is of a link to somebody's choices."""
    try:
        desk.mine(bearer.credentials if bearer else "")
    except InputError:
        raise HTTPException(401, _NO_TOKEN, {"WWW-Authenticate": "Bearer"}) from None
    return bearer.credentials if bearer else ""


def _mine(desk: Desk, addressee: Addressee) -> Mine:
    who, what = addressee
    confirmed = iso(who.confirmed_ns) if who.confirmed_ns else None
    return Mine(
        email=who.email, status=who.status, confirmed=confirmed, choices=choices_of(addressee),
        troubles=desk.troubles(what.instruments), notes=notes_of(choices_of(addressee)),
    )  # fmt: skip


def _told(one: Message, *, is_operator: bool) -> Told:
    told = Told(
        kind=one.kind, subject=one.subject, state=one.state, created=iso(one.created_ns),
        sent=iso(one.sent_ns) if one.sent_ns else None, attempts=one.attempts,
    )  # fmt: skip
    more = {"recipient": one.recipient, "channel": one.channel, "last_error": one.last_error}
    return told.model_copy(update=more) if is_operator else told
