"""Why a strategy acted, in its own words: for the built-in ones, and for whatever a user writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import quantlytic as ql
from quantlytic.engine.session import Session
from quantlytic.engine.strategy import Strategy
from quantlytic.strategies.catalogue import BUILT_IN, find
from quantlytic.telling.reason import Reasons
from quantlytic.telling.trace import traced
from quantlytic.telling.vocabulary import Vocabulary

BY_BAR = [name for name in BUILT_IN if find(name).handlers() <= {"on_bar", "on_fill"}]


def session_of(strategy: Strategy, bars: Any) -> Session:
    return Session(strategy, bars.instruments, cash=1e5, compiled=False)


def reasons(strategy: type[Strategy], bars: Any, most: int, **params: Any) -> list[str]:
    """`BUY: why` of the first signals of each side in turn."""
    kind, notes = traced(strategy)
    made = kind(**params)
    session, vocabulary = session_of(made, bars), Vocabulary(made)
    before: dict[int, Any] = {}
    found: list[str] = []
    side = 0
    for bar in bars.array:
        if len(found) == most:
            break
        notes.clear()
        session.execute(bar)
        signals, orders, cancels, amends = session.decide(bar)
        seen = dict(notes.seen)
        if len(signals) and int(signals[0]["side"]) != side:
            side = int(signals[0]["side"])
            why = Reasons(notes, vocabulary, before, lambda value: f"{value:,.2f}").sentence(f"{bar['close']:.2f}")
            found.append(f"{'BUY' if side > 0 else 'SELL'}: {why}")
        before = seen
        session.accept(orders, cancels, amends)
    return found


@pytest.fixture(scope="module")
def bars() -> Any:
    return ql.demo_bars(1200)


EXPECTED = {
    "sma-cross": [
        "BUY: SMA 50 (87.94) crossed above SMA 200 (87.90) at 88.12.",
        "SELL: SMA 50 (87.12) crossed below SMA 200 (87.15) at 84.98.",
    ],
    "ema-cross": [
        "BUY: EMA 20 (87.44) crossed above EMA 100 (87.42) at 88.03.",
        "SELL: EMA 20 (87.63) crossed below EMA 100 (87.79) at 85.72.",
    ],
    "macd": [
        "BUY: MACD 12, 26, 9 histogram (0.00) rose above 0.00 at 96.00.",
        "SELL: MACD 12, 26, 9 histogram (−0.03) fell below 0.00 at 94.43.",
    ],
    "adx-trend": [
        "BUY: ADX 14 +DI (26.51) crossed above ADX 14 −DI (21.84), and ADX 14 (34.80) is above 25.00 at 95.06.",
        "SELL: ADX 14 +DI (18.42) is below ADX 14 −DI (29.14) at 93.31.",
    ],
    "supertrend": ["BUY: Supertrend 10, 3 points up at 101.33.", "SELL: Supertrend 10, 3 turned down at 98.93."],
    "donchian-breakout": [
        "BUY: The close (96.82) crossed above Donchian channel 55 upper (96.44).",
        "SELL: The close (92.45) crossed below Donchian channel 20 lower (92.57).",
    ],
    "turtle": ["BUY: The close (96.82) crossed above Donchian channel 20 upper (95.08), and units is 0.00."],
    "keltner-breakout": [
        "BUY: The close (96.82) crossed above Keltner channel 20, 10, 2 upper (95.68).",
        "SELL: The close (93.70) crossed below Keltner channel 20, 10, 2 (94.19).",
    ],
    "rsi-reversion": [
        "BUY: RSI 14 (29.74) fell below 30.00 at 97.08.",
        "SELL: RSI 14 (55.08) rose above 55.00 at 95.06.",
    ],
    "connors-rsi2": [
        "BUY: RSI 2 (5.60) fell below 10.00, and the close (88.39) is above SMA 200 (87.98).",
        "SELL: The close (88.23) crossed above SMA 5 (87.88).",
    ],
    "bollinger": [
        "BUY: The close (98.30) crossed below Bollinger band 20, 2 lower (98.30).",
        "SELL: The close (95.12) crossed above Bollinger band 20, 2 (95.03).",
    ],
    "zscore-reversion": [
        "BUY: Z-score 50 (−2.61) is below −2.00 at 96.28.",
        "SELL: Z-score 50 (−0.21) rose above −0.25 at 95.06.",
    ],
    "atr-breakout": ["BUY: Move (2.51) crossed above 1.5 × ATR 14 (0.87) at 96.82."],
    "heikin-ashi": ["BUY: Rising (4.00) reached 4.00 at 101.13.", "SELL: Falling (3.00) reached 3.00 at 100.61."],
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_built_in_strategies_say_why(name: str, bars: Any) -> None:
    assert reasons(find(name), bars, len(EXPECTED[name])) == EXPECTED[name]


@pytest.mark.parametrize("name", BY_BAR)
def test_a_traced_strategy_decides_the_same_to_the_byte(name: str, bars: Any) -> None:
    strategy = find(name)
    plain, told = session_of(strategy(), bars), session_of(traced(strategy)[0](), bars)
    for bar in bars.array[:260]:
        for session in (plain, told):
            session.execute(bar)
            session.accept(*session.decide(bar)[1:])
    assert plain.save() == told.save()


MINE = '''
from quantlytic import Strategy, param
from quantlytic.indicators import EMA, SMA

LIMIT = 3

class Base(Strategy):
    width: float = param(0.01, low=0.0, high=1.0)

    def setup(self):
        self.slow_ma = SMA(10)

    def enter(self, broker):
        if broker.is_flat:
            broker.target_weight(0.5)

class Mine(Base):
    """Odd ways of writing things. They all have to go on working."""

    def setup(self):
        super().setup()
        self.fast_ma = EMA(3)
        self.count = 0
        self.armed = True

    def helper(self, a, b):
        return super().enter if False else (a - b)

    def on_bar(self, bar, broker):
        fast, slow = self.fast_ma.update(bar.close), self.slow_ma.update(bar.close)
        if not self.slow_ma.ready:
            return
        gap = fast - slow
        wide = abs(gap) > self.width * slow
        inside = bar.low < slow < bar.high
        for step in range(2):
            if step == 1 and (wide or inside) and gap > 0:
                self.count += 1 if bar.close > bar.open else 0
                self.enter(broker)
                return
        if not gap > 0.0 and broker.is_long:
            broker.close()
'''


def test_a_users_file_says_why_and_decides_the_same(tmp_path: Path, bars: Any) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    strategy = find(f"{tmp_path / 'mine.py'}:Mine")
    plain, told = session_of(strategy(), bars), session_of(traced(strategy)[0](), bars)
    for bar in bars.array[:300]:
        for session in (plain, told):
            session.execute(bar)
            session.accept(*session.decide(bar)[1:])
    assert plain.save() == told.save()
    buy, sell = reasons(strategy, bars, 2)
    assert buy.startswith("BUY: ")
    assert "EMA 3" in buy
    assert "SMA 10" in buy
    assert sell.startswith("SELL: EMA 3 (")
    assert " SMA 10 (" in sell


ODD = """
from __future__ import annotations
from typing import TYPE_CHECKING
from quantlytic import Strategy
from quantlytic.indicators import EMA
if TYPE_CHECKING:
    from nowhere import Bar

class Odd(Strategy):
    STEP = 1

    def setup(self):
        self.ema = EMA(5)
        self.__hidden = 0.0

    def on_bar(self, bar: Bar, broker: Broker) -> Nothing:
        self.step(bar)
        above = [k for k in range(int(bar.close > self.ema.value) + 1)]
        if len(above) > 1 and broker.is_flat:
            broker.target_weight(0.5)
        elif bar.close < self.ema.value and broker.is_long:
            broker.close()

    def step(self, bar: Bar, *, by: int = STEP) -> None:
        self.__hidden += by
        self.ema.update(bar.close)
"""


def test_a_file_with_odd_definitions_decides_the_same(tmp_path: Path, bars: Any) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    strategy = find(f"{tmp_path / 'odd.py'}:Odd")
    plain, told = session_of(strategy(), bars), session_of(traced(strategy)[0](), bars)
    for bar in bars.array[:100]:
        for session in (plain, told):
            session.execute(bar)
            session.accept(*session.decide(bar)[1:])
    assert plain.save() == told.save()


def test_a_strategy_without_source_is_left_alone(bars: Any) -> None:
    scope: dict[str, Any] = {}
    exec(MINE, scope)  # as typed into a shell: nobody can read it again
    kind, notes = traced(scope["Mine"])
    session = session_of(kind(), bars)
    for bar in bars.array[:40]:
        session.execute(bar)
        session.accept(*session.decide(bar)[1:])
    assert not notes.seen


def test_what_says_nothing_of_the_market_is_not_told(bars: Any) -> None:
    assert reasons(find("buy-and-hold"), bars, 1) == ["BUY: "]
