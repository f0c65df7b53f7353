"""Finnhub's messages as msgspec structs. Source: Finnhub's documentation, "Trades" (WebSocket), "Company News", "Market News"."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

Ms = Annotated[int, Meta(ge=0, le=9_000_000_000_000)]
Seconds = Annotated[int, Meta(ge=0, le=9_000_000_000)]
Price = Annotated[float, Meta(ge=0, le=1e300)]


class Print(msgspec.Struct, gc=False):
    """A last-price update. Some currency and crypto sources send quotes as updates of volume 0. There is no id."""

    symbol: str = field(name="s")
    price: Price = field(name="p")
    time_ms: Ms = field(name="t")
    volume: Price | None = field(name="v", default=None)


class Article(msgspec.Struct, gc=False):
    """One item of news."""

    id: Annotated[int, Meta(ge=-(2**62), le=2**62)]
    headline: str = ""
    summary: str = ""
    source: str = ""
    url: str = ""
    published_s: Seconds = field(name="datetime", default=0)
    related: str = ""


class Envelope(msgspec.Struct):
    """Any message of the stream."""

    type: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    msg: str = ""


envelope = msgspec.json.Decoder(Envelope)
prints = msgspec.json.Decoder(list[Print])
articles = msgspec.json.Decoder(list[Article])
