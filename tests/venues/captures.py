"""Real captured frames as the recorder would have recorded them, and their independent reading with `json`."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from quantlytic.model.frame import RawFrame
from quantlytic.venues.binance.market import BinanceMarket, spot, usdm

CAPTURES = (
    "binance_spot_btcusdt_20240808.ws.gz",
    "binance_spot_btcusdt_20240809.ws.gz",
    "binance_usdm_btcusdt_20240808.ws.gz",
    "binance_usdm_ethusdt_20240808.ws.gz",
)


def market_of(name: str) -> BinanceMarket:
    return usdm() if "usdm" in name else spot()


def symbol_of(name: str) -> str:
    return name.split("_")[2].upper()


@cache
def frames_of(folder: Path, name: str, limit: int = 10**9) -> list[RawFrame]:
    """The capture's lines; its REST snapshot gets the request's path as its channel."""
    market, symbol = market_of(name), symbol_of(name)
    frames = []
    with gzip.open(folder / "raw_ws_binance" / name) as lines:
        for line in lines:
            stamp, _, payload = line.rstrip(b"\n").partition(b" ")
            is_stream = payload.startswith(b'{"stream"')
            channel = "" if is_stream else market.depth_request(symbol).path
            frames.append(RawFrame("ws-0" if is_stream else "rest", int(stamp), channel, payload))
            if len(frames) == limit:
                break
    return frames


def data_of(frame: RawFrame) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(frame.payload)
    return message.get("data", message)


def kind_of(frame: RawFrame) -> str:
    if frame.channel:
        return "snapshot"
    stream: str = json.loads(frame.payload)["stream"]
    return stream.split("@")[1]
