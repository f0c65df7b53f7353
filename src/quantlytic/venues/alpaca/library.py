"""alpaca-py itself, unmodified, imported when it is used; its blocking calls made from asyncio, its errors sorted."""

from __future__ import annotations

import asyncio
import importlib
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from quantlytic.model.errors import InputError, VenueError
from quantlytic.venues.alpaca.keys import AlpacaKeys
from quantlytic.venues.alpaca.market import AlpacaMarket
from quantlytic.venues.answers import Refused, Throttled, Unheard
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.quiet import SILENT

PATIENCE = 3  # an answer that comes in drips may take this many times as long as one that does not come
MAX_THREADS = 4


class _Refusal(msgspec.Struct):
    code: int = 0
    message: str = ""


def load(module: str) -> Any:
    """A module of alpaca-py. Raises InputError when it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it uses an old part of websockets
        try:
            return importlib.import_module(f"alpaca.{module}")
        except ModuleNotFoundError:
            raise InputError("the alpaca venue needs the extra: pip install 'quantlytic[alpaca]'") from None


def socket_params(open_timeout_s: float) -> dict[str, Any]:
    """How alpaca-py is to open a WebSocket: pinged, so that a dead one is noticed, and nothing of it logged."""
    return {
        "ping_interval": 10,
        "ping_timeout": 20,
        "max_queue": 1024,
        "max_size": 16 * 2**20,
        "open_timeout": open_timeout_s,
        "close_timeout": 1,
        "logger": SILENT,
    }


class AlpacaRest:
    """alpaca-py's REST clients of one account. Each call waits for the budget, runs in a thread, and ends in an answer:
    JSON as it came, or Refused, Throttled, Unheard. Nothing is tried again here: what may be repeated is for the caller."""

    def __init__(self, market: AlpacaMarket, keys: AlpacaKeys, timeout_s: float) -> None:
        self._keys = keys
        self._timeout_s = timeout_s
        self._budget = WeightBudget(market.calls_per_minute)
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="alpaca")
        self._blocked_until = 0.0
        named = (keys.api_key, keys.secret())
        url = market.data_url
        self.trading = self._bounded(
            load("trading.client").TradingClient(*named, raw_data=True, url_override=market.trading_url)
        )
        historical = load("data.historical")
        self.stocks = self._bounded(historical.StockHistoricalDataClient(*named, raw_data=True, url_override=url))
        self.crypto = self._bounded(historical.CryptoHistoricalDataClient(*named, raw_data=True, url_override=url))

    def _bounded(self, client: Any) -> Any:
        """Give the client's session a timeout, which alpaca-py does not, and leave repeating to us."""
        adapters = importlib.import_module("requests.adapters")
        timeout_s = self._timeout_s

        class Bounded(adapters.HTTPAdapter):  # type: ignore[misc,name-defined]
            def send(self, request: Any, **how: Any) -> Any:
                how["timeout"] = how.get("timeout") or timeout_s
                return super().send(request, **how)

        client._session.mount("http://", Bounded())
        client._session.mount("https://", Bounded())
        client._retry = 0
        return client

    def close(self) -> None:
        """Close connections; calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in (self.trading, self.stocks, self.crypto):
            client._session.close()

    async def call(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """Make the call. Raises Refused, Throttled or Unheard, with one line that holds no key."""
        await self._budget.spend(1)
        loop = asyncio.get_running_loop()
        if (wait := self._blocked_until - loop.time()) > 0:
            await asyncio.sleep(wait)
        where = f"alpaca {what.__name__}"
        try:
            async with asyncio.timeout(PATIENCE * self._timeout_s):
                return await loop.run_in_executor(self._threads, what, *arguments)
        except TimeoutError:
            raise Unheard(f"{where}: no whole answer within {PATIENCE * self._timeout_s:g} s") from None
        except Exception as error:
            raise self._sorted(error, where, loop) from None

    def _sorted(self, error: Exception, where: str, loop: asyncio.AbstractEventLoop) -> Exception:
        """What an exception of alpaca-py, or of requests below it, means."""
        requests = importlib.import_module("requests.exceptions")
        if isinstance(error, load("common.exceptions").APIError):
            status = error.status_code or 0
            refusal = _refusal(str(error))
            text = self._keys.redacted(f"{where}: {status} {refusal.message}".strip())[:300]
            if status == 429:
                wait_s = _reset_s(error.response)
                self._blocked_until = max(self._blocked_until, loop.time() + wait_s)
                return Throttled(text, wait_s)
            return Unheard(text) if status >= 500 or status < 400 else Refused(text, status, refusal.code)
        if isinstance(error, requests.RequestException | ValueError | AttributeError | TypeError):
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            return Unheard(self._keys.redacted(f"{where}: no answer that can be read ({reason[:160]})"))
        return error


async def repeated(
    rest: AlpacaRest, what: Callable[..., Any], *arguments: Any, tries: int = 4, pause_s: float = 0.25
) -> Any:
    """For calls that may be made twice. Raises Refused, or the last Unheard or Throttled."""
    for failures in range(1, tries + 1):
        try:
            return await rest.call(what, *arguments)
        except (Unheard, Throttled) as error:
            if failures == tries:
                raise
            await asyncio.sleep(error.wait_s if isinstance(error, Throttled) else pause_s * 2 ** (failures - 1))
    raise VenueError("unreachable")  # pragma: no cover


def _refusal(text: str) -> _Refusal:
    try:
        return msgspec.json.decode(text, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Refusal(message="an answer that is no JSON: " + " ".join(text.split())[:80])


def _reset_s(response: Any) -> float:
    """How long to wait after a 429, by Retry-After, or by when the budget is renewed, on the venue's own clock."""
    try:
        headers = response.headers
        if "Retry-After" in headers:
            wait = float(headers["Retry-After"])
        else:
            wait = float(headers["X-RateLimit-Reset"]) - parsedate_to_datetime(headers["Date"]).timestamp()
        return min(max(wait, 0.05), 60.0)
    except (AttributeError, KeyError, TypeError, ValueError):
        return 1.0
