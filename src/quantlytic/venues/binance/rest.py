"""REST calls to Binance: within the request budget, tried again where that is safe, errors sorted by what they mean."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import TracebackType

import httpx
import msgspec

from quantlytic.venues.answers import Refused, Throttled, Unheard
from quantlytic.venues.binance import wire
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.quiet import mask_logger

MAX_THROTTLES = 10
MAX_REPLY_BYTES = 64 * 2**20
PATIENCE = 3  # a reply that comes in drips may take this many times as long as one that does not come


class RestClient:
    """One venue's REST interface. `tries` and `backoff_s` (doubled each time, with seeded jitter) are for `get`."""

    def __init__(
        self,
        base_url: str,
        *,
        budget: WeightBudget,
        timeout_s: float = 10.0,
        tries: int = 5,
        backoff_s: float = 0.25,
        seed: int = 0,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._budget = budget
        self._tries = tries
        self._backoff_s = backoff_s
        self._random = random.Random(seed)
        self._blocked_until = 0.0
        self._timeout_s = timeout_s
        mask_logger("httpx")
        has_tls = self._base_url.startswith("https:")  # else reading all certificates would cost 50 ms for nothing
        self._client = httpx.AsyncClient(timeout=timeout_s, headers={"User-Agent": "quantlytic"}, verify=has_tls)

    async def __aenter__(self) -> RestClient:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def get(self, path: str, weight: int) -> bytes:
        """Fetch, trying again where there was no answer or too much traffic. Raises Refused, or the last error."""
        return await self.repeat("GET", lambda: path, weight)

    async def repeat(
        self, method: str, path: Callable[[], str], weight: int, headers: dict[str, str] | None = None
    ) -> bytes:
        """The same for any request that may be done twice."""
        throttles = failures = 0
        while True:
            try:
                return await self.once(method, path, weight, headers)
            except Throttled:
                throttles += 1
                if throttles > MAX_THROTTLES:
                    raise
            except Unheard:
                failures += 1
                if failures >= self._tries:
                    raise
                await asyncio.sleep(self.backoff(failures))

    async def once(
        self, method: str, path: Callable[[], str], weight: int, headers: dict[str, str] | None = None
    ) -> bytes:
        """Send one request when the budget and the venue's Retry-After allow. Raises Refused, Throttled or Unheard.

        `path` is called after the waiting, so that a time stamp in it is fresh.
        """
        await self._budget.spend(weight)
        loop = asyncio.get_running_loop()
        if (wait := self._blocked_until - loop.time()) > 0:
            await asyncio.sleep(wait)
        target = path()
        where = f"{method} {self._base_url}{target.partition('?')[0]}"
        try:
            async with (
                asyncio.timeout(PATIENCE * self._timeout_s),
                self._client.stream(method, self._base_url + target, headers=headers) as response,
            ):
                content = await _content(response, where)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise Unheard(f"no answer from {where}: {str(error) or type(error).__name__}") from None
        except TimeoutError:
            raise Unheard(f"no whole answer from {where} within {PATIENCE * self._timeout_s:g} s") from None
        status = response.status_code
        if status == httpx.codes.OK:
            return content
        if status in (418, 429):
            wait = _retry_after(response)
            self._blocked_until = max(self._blocked_until, loop.time() + wait)
            raise Throttled(f"{where}: too many requests ({status})", wait)
        if status >= 500:
            raise Unheard(f"{where}: {status} {response.reason_phrase}")
        refusal = _refusal(content)
        raise Refused(f"{where}: {status} {refusal.msg or response.reason_phrase}", status, refusal.code)

    def backoff(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row: doubling, at most 30 s, times 0.5 to 1.5."""
        return float(min(30.0, self._backoff_s * 2 ** min(failures, 16)) * (0.5 + self._random.random()))


async def _content(response: httpx.Response, where: str) -> bytes:
    """The whole reply, if it has an end."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_REPLY_BYTES:
            raise Unheard(f"{where}: a reply of over {MAX_REPLY_BYTES:,} bytes")
    return bytes(content)


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(max(float(response.headers.get("Retry-After", "1")), 0.0), 3600.0)
    except ValueError:
        return 1.0


def _refusal(content: bytes) -> wire.ApiError:
    try:
        return wire.api_error.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return wire.ApiError()
