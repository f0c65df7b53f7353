"""Alpaca's WebSockets through alpaca-py's own coroutines: it connects and signs in, we read, so that bytes stay bytes.

Its `run` is not used: it swallows what was lost, and hands over decoded objects.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

from quantlytic.venues.alpaca import wire
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.library import load, socket_params
from quantlytic.venues.alpaca.market import AlpacaMarket
from quantlytic.venues.answers import Refused, Unheard

KEY_WORDS = ("auth failed", "insufficient subscription", "not authenticated", "failed to authenticate")


async def _nothing(_: Any) -> None:
    """What alpaca-py wants to be given for each subscription."""


class _Socket:
    """One WebSocket of alpaca-py's, opened and read with errors sorted."""

    def __init__(self, stream: Any, name: str, keys: AlpacaKeys, open_timeout_s: float) -> None:
        self._stream = stream
        self._name = name
        self._keys = keys
        self._open_timeout_s = open_timeout_s

    async def open(self) -> None:
        """Connect and sign in. Raises Refused when the key is not accepted, Unheard for anything else."""
        await self.close()
        try:
            async with asyncio.timeout(self._open_timeout_s):
                await self._start()
        except Exception as error:
            await self.close()
            raise self._sorted(error) from None

    async def _start(self) -> None:
        await self._stream._start_ws()

    async def receive(self) -> bytes:
        """The next message's bytes. Raises Unheard when the connection is lost."""
        try:
            payload = await self._stream._ws.recv()
        except Exception as error:
            raise self._sorted(error) from None
        return payload if isinstance(payload, bytes) else payload.encode()

    async def close(self) -> None:
        """Let go of the connection, without waiting long for its goodbye."""
        with suppress(Exception):
            await self._stream.close()

    def _sorted(self, error: Exception) -> Exception:
        reason = " ".join((str(error) or type(error).__name__).split())[:160]
        text = self._keys.redacted(f"{self._name}: {reason}")
        if isinstance(error, Refused | Unheard):
            return error
        if isinstance(error, ValueError) and any(words in reason for words in KEY_WORDS):
            return Refused(f"{text}; check the key, and that its plan includes this feed", 401)
        return Unheard(text)


class DataSocket(_Socket):
    """A market data stream: shares or crypto."""

    def __init__(self, stream: Any, name: str, keys: AlpacaKeys, open_timeout_s: float) -> None:
        super().__init__(stream, name, keys, open_timeout_s)
        self.subscribed = b""
        """The venue's message that says what it will send."""

    async def _start(self) -> None:
        """Connect, sign in, subscribe, and hear that it was understood."""
        await self._stream._start_ws()
        await self._stream._send_subscribe_msg()
        self.subscribed = await self.receive()
        try:
            first = wire.messages.decode(self.subscribed)[0]
        except (msgspec.MsgspecError, IndexError):
            raise Unheard(f"{self._name}: an answer to the subscription that cannot be read") from None
        if first.kind == "error":
            raise Refused(f"{self._name} refuses the subscription: {first.msg} ({first.code})", 400, first.code)


class AccountStream(_Socket):
    """The account's own stream of trade updates."""

    def __init__(self, market: AlpacaMarket, keys: AlpacaKeys, open_timeout_s: float) -> None:
        stream = load("trading.stream").TradingStream(
            keys.api_key,
            keys.secret(),
            raw_data=True,
            url_override=market.trading_stream_url,
            websocket_params=socket_params(open_timeout_s),
        )
        stream.subscribe_trade_updates(_nothing)
        super().__init__(stream, f"{market.venue}'s account stream", keys, open_timeout_s)

    async def _start(self) -> None:
        await self._stream._start_ws()
        answer = wire.account_message.decode(await self.receive())
        if answer.stream != "listening" or "trade_updates" not in json.loads(bytes(answer.data)).get("streams", []):
            raise Unheard(f"{self._name}: the venue does not offer trade updates")

    async def next(self) -> wire.OrderRow | None:
        """The order in the next message; None for a message about something else. Raises Unheard."""
        payload = await self.receive()
        try:
            found = wire.account_message.decode(payload)
            return wire.trade_update.decode(found.data).order if found.stream == "trade_updates" else None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unheard(f"{self._name}: a message that cannot be read: {error}") from None


def data_socket(
    market: AlpacaMarket,
    keys: AlpacaKeys,
    group: str,
    symbols: Sequence[str],
    kinds: Sequence[str],
    open_timeout_s: float,
) -> DataSocket:
    """The stream of `group` ("stocks" or "crypto"), asked for those kinds ("trades", "quotes", "bars")."""
    live = load("data.live")
    build = live.StockDataStream if group == "stocks" else live.CryptoDataStream
    url = market.stock_stream_url if group == "stocks" else market.crypto_stream_url
    stream = build(
        keys.api_key,
        keys.secret(),
        raw_data=True,
        url_override=url,
        websocket_params=socket_params(open_timeout_s),
    )
    for kind in kinds:
        getattr(stream, f"subscribe_{kind}")(_nothing, *symbols)
    return DataSocket(stream, f"{market.venue}'s {group} stream", keys, open_timeout_s)
