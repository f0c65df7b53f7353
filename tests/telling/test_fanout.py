"""From the tape to messages: who is told of what, each once, whatever is read twice."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.telling.letters import BREACH, GAP, HALT, INTENT, T0
from tests.telling.paperday import BTC, PaperDay, bars_of, events, run_of

from quantlytic.model.equity import Decided
from quantlytic.model.event import Event
from quantlytic.model.fill import Fill
from quantlytic.model.instrument import Instrument
from quantlytic.model.ledger import LedgerKind
from quantlytic.model.run import Run
from quantlytic.model.side import Side
from quantlytic.model.signal import Signal
from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.records import Message, Subscription
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log
from quantlytic.telling import replica
from quantlytic.telling.channels import Outbox
from quantlytic.telling.delivery import Courier, Operator
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.letter import Letter, pack, unpack
from quantlytic.telling.record import Records

RUN = run_of()
ALL = Operator("boss", "mail", "boss@localhost")


class Office:
    """A log with a paper run, a control store, and fan-outs over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: Log = open_log("sqlite", folder=folder / "log")
        self.control: Control = open_control(folder)
        self.runs: list[Run] = [RUN]
        self.time_s = 0.0

    def fanout(self, *operators: Operator, **more: object) -> FanOut:
        settings = {"operators": operators or (ALL,), "stale_ns": None, "timer_s": lambda: self.time_s} | more
        return FanOut(self.log, self.control, lambda: self.runs, **settings)  # type: ignore[arg-type]

    def told(self, fanout: FanOut | None = None) -> list[Message]:
        """All messages after everything has been read, oldest first."""
        fanout = fanout or self.fanout()
        self.time_s += 2.0
        while fanout.pump():
            pass
        return self.control.messages.history(None, 10_000)[::-1]

    def write(self, stream: str, *happened: Event) -> None:
        self.log.writer("test").commit({stream: list(happened)})

    def subscriber(self, address: str, **chosen: object) -> str:
        made = self.control.subscribers.add(address, T0, time_zone="UTC", quiet_start_min=0, quiet_end_min=0)
        self.control.subscribers.confirm(made.subscriber_id, T0)
        wide = {"instruments": ("*",), "strategies": ("*",), "kinds": ("signal",), "near_bps": 20.0}
        self.control.subscribers.put_subscription(Subscription(made.subscriber_id, **(wide | chosen)))  # type: ignore[arg-type]
        return made.subscriber_id


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.control.close()
    made.log.close()


@pytest.fixture
def traded(office: Office) -> Office:
    with closing(PaperDay(office.log, RUN)) as day:
        day.play(bars_of(RUN, 150))
    return office


def letters(messages: list[Message], kind: str) -> list[Letter]:
    return [unpack(message.payload) for message in messages if message.kind == kind]


def test_every_signal_and_fill_of_a_run_with_reason_and_chart(traded: Office) -> None:
    told = traded.told()
    signals, fills = events(traded.log, RUN.decisions_stream, Signal), events(traded.log, RUN.executions_stream, Fill)
    assert len(signals) > 4
    found = letters(told, "signal")
    assert [one.event_time for one in found] == [one.event_time for one in signals]
    assert len(letters(told, "fill")) == len(fills)
    for letter, signal in zip(found, signals, strict=True):
        word = "above" if signal.side > 0 else "below"
        assert letter.lines[0].startswith("SMA 5 (")
        assert f" {word} SMA 20 (" in letter.lines[0]
        assert letter.chart is not None
        assert letter.chart.closes[-1] == signal.price
        assert list(letter.chart.lines) == ["SMA 5", "SMA 20"]
        assert letter.chart.lines["SMA 5"][-1] == pytest.approx(sum(letter.chart.closes[-5:]) / 5)
    assert sum("crossed" in one.lines[0] for one in found) >= len(found) - 1
    assert not letters(told, "data")


def test_reading_again_queues_nothing_twice(traded: Office) -> None:
    first = traded.told()
    assert traded.told() == first
    traded.control.messages.put((), "notifier", {RUN.decisions_stream: 0, RUN.executions_stream: 0})
    assert traded.told() == first


def test_a_replica_goes_on_where_it_was_saved_and_explains_the_same(office: Office) -> None:
    """Restarted after every few bars, with its own saved state or without any: the same letters."""
    bars = bars_of(RUN, 150)
    with closing(PaperDay(office.log, RUN)) as day:
        for k in range(0, len(bars), 13):
            day.play(bars[k : k + 13])
            fanout = office.fanout()
            office.told(fanout)
            if k % 2:
                fanout.close()
    restarted = {one.message_id: pack(unpack(one.payload)) for one in office.told()}
    with closing(open_control(office.folder / "other")) as office.control:
        assert {one.message_id: pack(unpack(one.payload)) for one in office.told()} == restarted


def test_subscribers_get_what_they_chose(traded: Office) -> None:
    all_kinds = traded.subscriber("all@example.com", kinds=("*",))
    traded.subscriber("other@example.com", instruments=("demo:ETHUSDT",))
    traded.subscriber("turtles@example.com", strategies=("turtle",))
    fills = traded.subscriber("fills@example.com", kinds=("fill",), instruments=(BTC.id,))
    told = traded.told(traded.fanout(Operator("quiet", "webhook", kinds=("risk",))))
    assert {message.recipient for message in told} == {all_kinds, fills}
    assert {message.channel for message in told} == {"mail"}
    assert {message.kind for message in told if message.recipient == fills} == {"fill"}
    assert len({message.message_id for message in told}) == len(told)


def test_accounts_are_told_at_once_and_a_breach_once(office: Office) -> None:
    later = [msgspec.structs.replace(BREACH, event_time=T0 + k * 1_000_000_000, order_id=k) for k in range(130)]
    office.write("account.spot", *later, HALT)
    told = office.told(office.fanout(stale_ns=1))
    assert [message.subject for message in told] == [
        f"REFUSED by max_order_notional: {BTC.id}", "HALTED: spot (kill)",
    ]  # fmt: skip
    assert all(unpack(message.payload).is_urgent for message in told)


def test_data_trouble_is_told_once_an_hour_from_now_on(office: Office) -> None:
    office.write("market.demo", GAP)
    fanout = office.fanout()
    assert office.told(fanout) == [], "that was before anybody listened"
    office.write("market.demo", *[msgspec.structs.replace(GAP, event_time=T0 + k) for k in range(1, 50)])
    office.write("bars.demo", msgspec.structs.replace(GAP, kind=LedgerKind.LATE, stream="bars"))
    office.write("market.demo", msgspec.structs.replace(GAP, event_time=T0 + 3_600_000_000_000))
    told = office.told(fanout)
    assert [message.subject for message in told] == ["Data missing: BTCUSDT, trades"] * 2


def test_look_ahead_is_told_to_those_for_whom_it_is_near(office: Office) -> None:
    """64,466.84 is 40 bps above 64,210."""
    far = office.subscriber("far@example.com", kinds=("look-ahead",), near_bps=50.0)
    office.subscriber("near@example.com", kinds=("look-ahead",), near_bps=10.0)
    again = [msgspec.structs.replace(INTENT, intent_id=k, event_time=T0 + k) for k in range(20)]
    office.write(f"intents.{RUN.run_id}", *again)
    told = office.told(office.fanout(Operator("x", "hook", near_bps=1.0)))
    assert [message.recipient for message in told] == [far]
    assert told[0].subject == "SOON? BTCUSDT: buys if the 1-hour close is above 64,466.84 (+0.4 %) (sma-cross, paper)"


def test_old_news_is_not_told(traded: Office) -> None:
    assert traded.told(traded.fanout(stale_ns=1)) == []
    assert traded.told() == [], "and not later either: it has been read"


def test_what_cannot_be_followed_is_told_without_a_reason(traded: Office) -> None:
    traded.runs = [msgspec.structs.replace(RUN, params={"fast": 5.0, "slow": 21.0, "nonsense": 1.0})]
    found = letters(traded.told(), "signal")
    assert len(found) > 4
    assert all(one.lines[0].startswith("Its rule: Long while the fast average is above") for one in found)
    assert all(one.chart is not None and not one.chart.lines for one in found[2:])


def test_a_portfolio_is_told_with_its_bars_and_its_idea(office: Office) -> None:
    """Its bars are not executed in the order of the tape: all of one time are taken together."""
    run = run_of("equal-weight", BTC, Instrument("demo:ETHUSDT", "ETH", "USDT"), run_id="both", rebalance=20.0)
    bars = bars_of(run, 60)
    office.write(run.bars_stream, *[bar for k in range(0, len(bars), 2) for bar in (bars[k + 1], bars[k])])
    offset, at = 81, bars[81].close_time
    bought = Signal("both", 1, BTC.id, at, Side.BUY, 1.0, bars[80].close, offset)
    office.write(run.decisions_stream, *[Decided("both", k) for k in (0, 40, 30, offset)], bought)
    office.runs = [run]
    (letter,) = letters(office.told(), "signal")
    assert letter.lines[0].startswith("Its rule: Holds every instrument at the same share")
    assert letter.chart is not None
    assert letter.chart.close_times[-1] == at
    assert len(letter.chart.closes) == 41


def test_what_cannot_be_put_into_words_is_told_all_the_same(traded: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise TypeError("nobody thought of this")

    monkeypatch.setattr("quantlytic.telling.fanout.fill_letter", fail)
    told = traded.told()
    fills = events(traded.log, RUN.executions_stream, Fill)
    assert [message.subject for message in told if message.kind == "fill"] == ["FILL: BTCUSDT"] * len(fills)


def test_a_market_that_is_trimmed_before_it_is_read_is_left_behind(office: Office) -> None:
    fanout = office.fanout()
    office.told(fanout)
    for k in range(50):
        office.write("market.demo", msgspec.structs.replace(GAP, event_time=T0 + k * 3_600_000_000_000))
        if k == 0:
            fanout.pump()
            office.told(fanout)
    office.log.trim("market.demo", 40)
    assert 2 <= len(office.told(fanout)) <= 12


def test_a_long_past_is_not_followed_but_shown(traded: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "LONGEST_BARS", 100)
    monkeypatch.setattr(replica, "CHART_BARS", 20)
    found = letters(traded.told(), "signal")
    assert all(one.lines[0].startswith("Its rule: ") for one in found)
    assert found[0].chart is None
    assert found[-1].chart is not None
    assert found[-1].event_time == found[-1].chart.close_times[-1]


def test_a_run_on_several_instruments_and_one_that_has_gone(office: Office) -> None:
    run = run_of("rsi-reversion", BTC, Instrument("demo:ETHUSDT", "ETH", "USDT"), run_id="two", period=5.0, low=35.0)
    with closing(PaperDay(office.log, run)) as day:
        day.play(bars_of(run, 120))
    office.runs = [run, run_of("/gone/away.py:Mine", run_id="gone")]
    office.write(
        "decisions.gone", msgspec.structs.replace(events(office.log, run.decisions_stream, Signal)[0], run="gone")
    )
    found = letters(office.told(), "signal")
    assert {one.chart.symbol for one in found if one.chart} == {"BTCUSDT", "ETHUSDT"}
    assert all("RSI 5 (" in one.lines[0] for one in found if one.run == "two")
    (gone,) = [one for one in found if one.run == "gone"]
    assert gone.subject.endswith("(away.py:Mine, paper)")


def test_all_the_way_into_the_outbox_with_the_record(traded: Office) -> None:
    fanout = traded.fanout(records=Records(traded.control, traded.folder))
    told = traded.told(fanout)
    courier = Courier(
        traded.log,
        traded.control,
        "mail",
        Outbox(traded.folder / "outbox"),
        sender="q@localhost",
        operators={"boss": ALL},
    )
    while courier.pump():
        pass
    written = sorted((traded.folder / "outbox").iterdir())
    assert len(written) == len(told)
    name = next(one.message_id for one in told if one.kind == "signal")
    (path,) = [one for one in written if name in one.name]
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = mail.get_body(("plain",))
    assert body is not None
    assert "No back-test of sma-cross with these parameters on BTCUSDT is on record" in body.get_content()
    assert mail["To"] == "boss@localhost"
