"""Which model the registry's aliases ask for."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.learn.servable import BTC, ETH, LINE, artifact, promoted

from quantlytic.learn.live.swap import Wish, wishes
from quantlytic.learn.registry.registry import AliasChange, Registry

POOLED, OWN = "trend/pooled", "trend/file:BTCUSDT"


def change(number: int = 1, cause: str = "promotion", by: str = "me", time_ns: int = 1) -> AliasChange:
    return AliasChange(number, "a" * 64, "", cause, "why", by, time_ns)


def asked(*aliases: str) -> dict[str, tuple[str, ...]]:
    return {one.alias: one.instruments for one in wishes({alias: change() for alias in aliases}, LINE)}


def test_nothing_is_asked_for_without_aliases() -> None:
    assert asked() == {}
    assert asked("trend/pooled/challenger", "trend/file:ADAUSDT/champion") == {}


def test_a_pooled_champion_serves_all() -> None:
    assert asked(f"{POOLED}/champion") == {f"{POOLED}/champion": (BTC, ETH)}


def test_a_model_of_the_instrument_comes_before_a_pooled_one() -> None:
    found = asked(f"{POOLED}/champion", f"{OWN}/champion")
    assert found == {f"{POOLED}/champion": (ETH,), f"{OWN}/champion": (BTC,)}


def test_pinned_comes_before_champion() -> None:
    assert asked(f"{POOLED}/champion", f"{OWN}/champion", f"{POOLED}/pinned") == {f"{POOLED}/pinned": (BTC, ETH)}
    assert asked(f"{POOLED}/champion", f"{OWN}/pinned") == {f"{POOLED}/champion": (ETH,), f"{OWN}/pinned": (BTC,)}


def test_of_one_symbol_at_two_venues_the_one_promoted_last_counts() -> None:
    latest = {f"{OWN}/champion": change(time_ns=5), "trend/binance:BTCUSDT/champion": change(time_ns=6)}
    (wish,) = wishes(latest, LINE)
    assert wish.alias == "trend/binance:BTCUSDT/champion"


@pytest.mark.parametrize(
    ("given", "told"),
    [(change(), "command"), (change(by="gate"), "promotion"), (change(cause="rollback", by="gate"), "rollback")],
)
def test_the_cause_in_the_words_of_a_change(given: AliasChange, told: str) -> None:
    assert Wish("a/b/c", given, (), True).cause == told


def test_a_pin_that_was_withdrawn_stands_before_nothing(tmp_path: Path) -> None:
    pin, champion = f"{POOLED}/pinned", f"{POOLED}/champion"
    gone = AliasChange(2, "", "a" * 64, "withdrawal", "why", "me", 2)
    (wish,) = wishes({champion: change(), pin: gone}, LINE)
    assert (wish.alias, wish.instruments, wish.numbers) == (champion, (BTC, ETH), {champion: 1, pin: 2})
    assert wishes({pin: gone}, LINE) == []
    own, pooled = wishes({f"{OWN}/pinned": gone, f"{OWN}/champion": change(), champion: change()}, LINE)
    assert (own.alias, own.withdrawn) == (f"{OWN}/champion", ((f"{OWN}/pinned", 2),))
    assert (pooled.instruments, pooled.withdrawn) == ((ETH,), ())


def test_an_alias_that_cannot_be_read_keeps_its_instruments() -> None:
    damaged = AliasChange(3, "", "", "damaged", "cut off", "", 0)
    found = wishes({f"{POOLED}/pinned": damaged, f"{POOLED}/champion": change()}, LINE)
    assert [(one.alias, one.is_damaged, one.key) for one in found] == [(f"{POOLED}/pinned", True, f"{POOLED}/pinned/3")]


def test_the_last_change_of_each_alias_of_a_name(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    assert registry.latest("trend") == {}
    promoted(registry, artifact(1))
    second = promoted(registry, artifact(2))
    own = promoted(registry, artifact(3, trained=("file:BTCUSDT",), line=OWN))
    promoted(registry, artifact(4, line="trend2/pooled"))
    found = registry.latest("trend")
    assert {alias: (one.number, one.model_id) for alias, one in found.items()} == {
        f"{POOLED}/champion": (2, second), f"{OWN}/champion": (1, own),
    }  # fmt: skip
