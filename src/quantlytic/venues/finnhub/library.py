"""finnhub-python itself, imported when it is used; its blocking calls made from asyncio, its errors sorted."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from quantlytic.model.errors import InputError
from quantlytic.venues.answers import Refused, Throttled, Unheard
from quantlytic.venues.budget import WeightBudget
from quantlytic.venues.finnhub.keys import FinnhubKeys

CALLS_PER_MINUTE = 50  # of the 60 that a free key has


class FinnhubRest:
    """finnhub-python's client. Its key goes into a header, not, as it would by itself, into each address: those end up in
    messages and logs. Each call waits for the budget, runs in a thread, and ends in an answer, Refused, Throttled or Unheard."""

    def __init__(
        self, rest_url: str, keys: FinnhubKeys, timeout_s: float, calls_per_minute: int = CALLS_PER_MINUTE
    ) -> None:
        try:
            library = importlib.import_module("finnhub")
        except ModuleNotFoundError:
            raise InputError("the finnhub venue needs the extra: pip install 'quantlytic[finnhub]'") from None

        class Client(library.Client):  # type: ignore[misc,name-defined]
            API_URL = f"{rest_url}/api/v1"
            DEFAULT_TIMEOUT = timeout_s

        self.client: Any = Client("")
        del self.client._session.params["token"]
        self.client._session.headers["X-Finnhub-Token"] = keys.api_key
        self._said_no = library.FinnhubAPIException
        self._unreadable = library.FinnhubRequestException
        self._keys = keys
        self._budget = WeightBudget(calls_per_minute)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="finnhub")

    def close(self) -> None:
        """Close connections; calls under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    async def call(self, what: Callable[..., Any], *arguments: Any) -> Any:
        """Make the call. Raises Refused, Throttled or Unheard, with one line that holds no key."""
        await self._budget.spend(1)
        where = f"finnhub {getattr(what, 'func', what).__name__}"
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, what, *arguments)
        except Exception as error:
            raise self._sorted(error, where) from None

    async def repeated(self, what: Callable[..., Any], *arguments: Any, tries: int = 3, pause_s: float = 0.5) -> Any:
        """The same, tried again when there was no answer. Raises Refused, or the last Unheard or Throttled."""
        for failures in range(1, tries):
            try:
                return await self.call(what, *arguments)
            except Throttled as error:
                await asyncio.sleep(error.wait_s)
            except Unheard:
                await asyncio.sleep(pause_s * 2 ** (failures - 1))
        return await self.call(what, *arguments)

    def _sorted(self, error: Exception, where: str) -> Exception:
        requests = importlib.import_module("requests.exceptions")
        reason = self._keys.redacted(" ".join(str(error).split()))[:200]
        if isinstance(error, self._said_no):
            status = int(error.status_code)
            if status == 429:
                return Throttled(f"{where}: {reason}", 1.0)
            return Unheard(f"{where}: {reason}") if status >= 500 else Refused(f"{where}: {reason}", status)
        if isinstance(error, (self._unreadable, requests.RequestException, ValueError)):
            return Unheard(f"{where}: no answer that can be read ({type(error).__name__}: {reason[:160]})")
        return error
