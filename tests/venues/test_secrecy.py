"""Keys are in no log, whatever its level: not ours, not a library's."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

import pytest
from tests.venues.conformance import Recording, record, trade, until
from tests.venues.conformance_rigs import AlpacaRig, BinanceRig, FinnhubRig
from tests.venues.finnhub.server import KEY

from quantlytic.model.trade import Trade
from quantlytic.venues.ccxt.library import one_line
from quantlytic.venues.quiet import SILENT


def all_that_was_logged(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(f"{entry.name} {entry.getMessage()}" for entry in caplog.records)


def test_alpacas_key_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def listen(recording: Recording) -> None:
        await until(lambda: rig.server.listeners("stocks"))
        await asyncio.to_thread(rig.server.print, "AAPL", 150.0)
        await until(lambda: recording.of(Trade))

    async def order(entry: Any) -> None:
        listening = asyncio.ensure_future(anext(entry.updates()))
        await until(lambda: rig.server.listeners("account"))
        await entry.submit(rig.order(1, 100.0), "log.1")
        await listening

    with AlpacaRig() as rig:
        rig.server.brokerage.accounts["ID-c0ffee"] = rig.server.brokerage.accounts.pop("KEY")
        rig.server.brokerage.accounts["ID-c0ffee"].secret = "SECRET-c0ffee"
        rig.keys_of = staticmethod(lambda key: ("ID-c0ffee", "SECRET-c0ffee"))  # type: ignore[method-assign]
        record(rig, listen)
        trade(rig, order)
    text = all_that_was_logged(caplog)
    assert "c0ffee" not in text
    assert "/v2/orders" in text  # so that the libraries did log


def test_finnhubs_key_is_not_logged_and_in_no_rest_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def listen(recording: Recording) -> None:
        await until(lambda: rig.server.listens("AAPL"))
        await asyncio.to_thread(rig.stir)
        await until(lambda: recording.of(Trade))

    with FinnhubRig() as rig:
        record(rig, listen)
        queries = list(rig.server.queries)
    text = all_that_was_logged(caplog)
    assert KEY not in text + "".join(queries)
    assert "profile2" in text


def test_binances_secret_and_signatures_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def order(entry: Any) -> None:
        listening = asyncio.ensure_future(anext(entry.updates()))
        await asyncio.sleep(0.3)
        await entry.submit(rig.order(0.01, rig.away()), "log.1")
        await listening

    with BinanceRig() as rig:
        key, secret = rig.box.keys()
        trade(rig, order)
    text = all_that_was_logged(caplog)
    assert secret not in text
    assert key not in text
    assert "signature=***" in text
    assert not re.search(r"signature\W+[0-9a-f]{20}", text)


def test_addresses_in_ccxts_errors_lose_their_secrets() -> None:
    error = RuntimeError("x GET https://h/p?apiKey=abc&timestamp=1&signature=def\nno")
    assert one_line(error) == "RuntimeError: x GET https://h/p?apiKey=***&timestamp=1&signature=*** no"


def test_a_server_that_configures_logging_does_not_wake_the_silent_logger(caplog: pytest.LogCaptureFixture) -> None:
    """As uvicorn does: every logger that `logging` knows is enabled again."""
    import logging.config

    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})
    with caplog.at_level(logging.DEBUG):
        SILENT.debug("token=%s", "c0ffee")
        SILENT.critical("token=%s", "c0ffee")
    assert "c0ffee" not in all_that_was_logged(caplog)
    assert not SILENT.isEnabledFor(logging.CRITICAL)
