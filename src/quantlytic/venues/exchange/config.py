"""What an exchange in a box can be told at its start."""

from __future__ import annotations

from pathlib import Path

import msgspec

DEMO_DEPOSITS = {"USDT": "100000", "BTC": "1", "ETH": "20"}


class AccountConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An account that trades by API. Empty keys are made up; `deposits` (asset -> decimal text) open it, once.

    `read_only`: its key may look at everything and order nothing.
    """

    name: str = "demo"
    api_key: str = ""
    api_secret: str = ""
    deposits: dict[str, str] = msgspec.field(default_factory=DEMO_DEPOSITS.copy)
    read_only: bool = False


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Defaults give a synthetic market in memory. With `replay` the recorded files are served instead, at `speed` times
    their pace (0: as fast as clients take them). `port` 0 takes any free port. `folder` None: nothing is kept.
    `delisted`: those of `symbols` that take no orders any more.
    """

    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")
    delisted: tuple[str, ...] = ()
    seed: int = 7
    host: str = "127.0.0.1"
    port: int = 8788
    folder: Path | None = None
    replay: tuple[Path, ...] = ()
    speed: float = 1.0
    wait: bool = False
    faults: dict[str, float] = {}
    fault_seed: int = 1
    accounts: tuple[AccountConfig, ...] = (AccountConfig(),)
    trades_per_s: float = 40.0
    maker_bps: float = 10.0
    taker_bps: float = 10.0
    weight_limit: int = 6000
    order_limit: int = 100
    step_ms: int = 20
    keep_trades: int = 200_000
