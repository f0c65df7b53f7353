"""The account that orders go to: its limits, its rules, its latch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from quantlytic.app.config import Settings
from quantlytic.app.wiring.stores import Stores
from quantlytic.model.errors import InputError
from quantlytic.model.instrument import Instrument

if TYPE_CHECKING:
    from quantlytic.trading.deadman import DeadManRules
    from quantlytic.trading.latch import Latch
    from quantlytic.trading.limits import Limits
    from quantlytic.trading.risk import RiskGate
    from quantlytic.trading.rules import LiveRules

Struct = TypeVar("Struct", bound=msgspec.Struct)


class TradedAccount:
    """What the settings say about the account."""

    def __init__(self, settings: Settings, stores: Stores) -> None:
        self._given, self._stores = settings.account, stores
        self.name = settings.account.name

    def rules(self) -> LiveRules:
        """How it is traded."""
        from quantlytic.trading.rules import LiveRules

        if "keep" in self._given.rules:
            raise InputError(
                "setting account.rules: keep is a setting of the account itself, where the kill switch sees it"
            )
        return _struct_of(LiveRules, {"keep": self._given.keep, **self._given.rules}, "account.rules")

    def gate(self, instruments: Sequence[Instrument]) -> RiskGate:
        """What stands before every order."""
        from quantlytic.trading.risk import RiskGate

        limits = self.limits()
        unknown = sorted(set(limits.instruments) - {one.id for one in instruments})
        if unknown:
            raise InputError(
                f"setting account.limits.instruments: {unknown[0]} is not traded: its limits would bind nothing"
            )
        return RiskGate(self.name, limits, instruments)

    def limits(self) -> Limits:
        """What no order may pass."""
        from quantlytic.trading.limits import Limits

        return _struct_of(Limits, self._given.limits, "account.limits")

    def check(self, instruments: Sequence[Instrument] | None = None) -> None:
        """Raise InputError for what is wrong with rules, limits and watch, before anything is started. `instruments`: those
        that are traded, where they are known."""
        self.rules()
        if instruments is None:
            self.limits()
        else:
            self.gate(instruments)
        self.deadman()

    def deadman(self) -> DeadManRules:
        """What may be silent for how long."""
        from quantlytic.trading.deadman import DeadManRules

        return _struct_of(DeadManRules, self._given.deadman, "account.deadman")

    def latch(self) -> Latch:
        """What stops all of them."""
        from quantlytic.trading.latch import Latch

        return Latch(self._stores.home / "halts", self.name)


def _struct_of(kind: type[Struct], given: Mapping[str, Any], section: str) -> Struct:
    """A section of the settings as what it is about. "none" stands for None, which TOML cannot write."""
    try:
        return msgspec.convert(_with_none(given), kind, strict=False)
    except msgspec.ValidationError as error:
        raise InputError(f"setting {section}: {error}; see docs/live.md and docs/risk.md") from None


def _with_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_none(one) for name, one in value.items()}
    return None if value == "none" else value
