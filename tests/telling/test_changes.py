"""What is told of models and strategies that are exchanged: once, to who runs it, in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.telling.paperday import run_of

from quantlytic.model.event import Event
from quantlytic.model.forecast import Forecast, ModelChange
from quantlytic.model.strategychange import GUARD, NOBODY, StrategyChange
from quantlytic.model.time import NS_PER_S
from quantlytic.store.control import open_control
from quantlytic.store.control.records import Subscription
from quantlytic.store.log import open_log
from quantlytic.telling.changes import DAY_NS, change_cause, change_letter, of_one_bar
from quantlytic.telling.delivery import Operator
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.letter import Letter, pack, unpack

T0 = 1_790_000_000_000_000_000
RUN = run_of()
OLD, NEW = "08041ab0824a" + 52 * "0", "9f2c11d07a3e" + 52 * "1"
BOSS = Operator("boss", "mail", "boss@localhost")
SERVED, SHADOWS = "forecasts.seconds", "shadows.seconds"


def change(
    cause: str, old: str = OLD, new: str = NEW, *, at: int = 0, name: str = "", reason: str = "it raised"
) -> ModelChange:
    return ModelChange("seconds", name, T0 + at * NS_PER_S, old, new, cause, reason, at)


def bar(at: int) -> Forecast:
    end = T0 + at * NS_PER_S
    return Forecast("seconds", "box:A", end - NS_PER_S, end, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.5, OLD, "", at)


SWAP = StrategyChange(
    "paper-1", "7", T0, 3, "sma-cross", '{"fast": 4, "slow": 12}', "./rules/mine.py:Mine", "{}", "close",
    "calmer\r\nBcc: x", "ann",
)  # fmt: skip


class Office:
    """A log, a control store, and fan-outs over them."""

    def __init__(self, folder: Path) -> None:
        self.log, self.control = open_log("sqlite", folder=folder / "log"), open_control(folder)
        self.time_s = 0.0

    def write(self, stream: str, *events: Event) -> None:
        writer = self.log.writer(f"of.{stream}")
        writer.commit({stream: list(events)})
        writer.close()

    def told(self) -> list[Letter]:
        """All letters, oldest first, after a new notifier has read everything."""
        self.time_s += 2.0
        fanout = FanOut(
            self.log, self.control, lambda: [RUN], operators=(BOSS,), stale_ns=None, timer_s=lambda: self.time_s
        )
        while fanout.pump():
            pass
        fanout.close()
        history = self.control.messages.history(None, 10_000)
        assert {one.recipient for one in history} <= {"boss"}
        return [unpack(one.payload) for one in history[::-1]]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.control.close()
    made.log.close()


def test_each_change_of_what_serves_is_told_once(office: Office) -> None:
    causes = ["command", "promotion", "rollback", "refused", "demoted", "expired"]
    for at, cause in enumerate(causes):
        office.write(SERVED, change(cause, at=at), bar(at))
    first = office.told()
    assert len(first) == len(causes)
    assert {one.kind for one in first} == {"data"}
    assert [one.subject.split(":")[0] for one in first[3:]] == ["MODEL refused", "MODEL demoted", "MODEL expired"]
    assert office.told() == first
    office.control.messages.put((), "notifier", {SERVED: 0})  # as if it had died before it knew
    assert office.told() == first


def test_subscribers_hear_nothing_of_it(office: Office) -> None:
    made = office.control.subscribers.add("ann@example.com", T0, time_zone="UTC", quiet_start_min=0, quiet_end_min=0)
    office.control.subscribers.confirm(made.subscriber_id, T0)
    office.control.subscribers.put_subscription(
        Subscription(made.subscriber_id, instruments=("*",), strategies=("*",), kinds=("data",), near_bps=20.0)
    )
    office.write(SERVED, change("demoted"))
    office.write(RUN.decisions_stream, SWAP)
    assert len(office.told()) == 2  # `told` looks at who they are for


def test_one_model_taken_from_many_instruments_is_one_message(office: Office) -> None:
    office.write(SERVED, *(change("demoted", new="", name=f"box:{one}") for one in "ABC"), bar(0))
    (letter,) = office.told()
    assert letter.lines[0] == "Model 08041ab0824a of seconds was taken out of service for A, B, C."
    cut = [change("demoted", new="", name=f"box:{one}") for one in "AB"]
    assert change_cause(cut[0], SERVED) == change_cause(cut[1], SERVED) == change_cause(of_one_bar(cut)[0], SERVED)  # type: ignore[arg-type]


def test_an_ensemble_repeats_what_its_members_were_told_of(office: Office) -> None:
    office.write(SERVED, change("promotion", f"{OLD[:12]}+{OLD[:12]}", f"{OLD[:12]}+{NEW[:12]}", name="box:A"))
    assert office.told() == []


def test_trainings_and_challengers_do_not_flood(office: Office) -> None:
    for minute in range(100):  # the same training, tried again and again; challengers that come and go
        office.write(
            SHADOWS, change("failed", "", "", reason=f"no data; tried again in {minute} min"),
            change("trained", at=60 * minute), change("command", at=60 * minute), change("judged", NEW, NEW, at=60 * minute),
            change("refused", NEW, "", at=60 * minute, reason="no better"),
        )  # fmt: skip
    days = {(T0 + 60 * k * NS_PER_S) // DAY_NS for k in range(100)}
    told = office.told()
    assert sorted(one.subject for one in told) == sorted(
        ["TRAINING failed (seconds)", *["Challenger refused: 9f2c11d07a3e (seconds)"] * len(days)]
    )
    office.write(SHADOWS, change("failed", "", "", at=9_000), change("refused", "", NEW, at=9_000, reason="cut off"))
    assert len(office.told()) == len(told) + 2


def test_the_words() -> None:
    demoted = change_letter(change("demoted", reason="model 08041ab0824a raised ValueError: x"), SERVED)
    assert demoted.lines == (
        "Model 08041ab0824a of seconds was taken out of service for all its instruments.",
        "Model 08041ab0824a raised ValueError: x.",
        "Model 9f2c11d07a3e, the one before, has taken over with the very same bar.",
    )
    assert demoted.subject == "MODEL demoted: 08041ab0824a (seconds)"
    assert ("Model", NEW) in demoted.facts
    last = change_letter(change("expired", new="", reason="expired: its data ended 2 h ago"), SERVED)
    assert last.lines[-1].startswith("No other model is there: bars have no forecast from this one on")
    assert "quantlytic train" in last.small[0]
    refused = change_letter(change("refused"), SERVED)
    assert refused.lines[0] == "Model 9f2c11d07a3e was not let in for all its instruments of seconds."
    assert refused.lines[-1] == "Model 08041ab0824a goes on."
    unread = change_letter(change("refused", new="", reason="the alias is damaged"), SERVED)
    assert unread.lines[:2] == (
        "Model (unknown) was not let in for all its instruments of seconds.",
        "The alias is damaged.",
    )
    promoted = change_letter(change("promotion", reason="better by 0.01"), SERVED)
    assert promoted.subject == "New model: 9f2c11d07a3e (seconds, promotion)"
    assert (
        promoted.lines[0]
        == "Model 9f2c11d07a3e forecasts all its instruments of seconds, until now 08041ab0824a (promotion)."
    )
    assert "rollback" in promoted.small[0]
    challenger = change_letter(change("refused", NEW, ""), SHADOWS)
    assert challenger.lines[-1] == "What serves goes on."


def test_a_strategy_that_takes_over(office: Office) -> None:
    refused = msgspec.structs.replace(SWAP, request="8", refusal="mine.py: line 3 cannot be compiled")
    office.write(RUN.decisions_stream, SWAP, refused)
    done, kept = office.told()
    assert done.subject == "Strategy changed: mine.py:Mine (paper-1)"
    assert done.lines == (
        "mine.py:Mine decides paper-1 from the next bar on; what it held is sold first.",
        "Until now it was sma-cross.",
    )
    assert ("Why", "calmer Bcc: x") in done.facts
    assert done.facts[-2:] == (("Parameters", "none"), ("Those of sma-cross", "fast 4, slow 12"))
    assert kept.subject == "Strategy NOT changed: paper-1"
    assert kept.lines[1:] == ("mine.py: line 3 cannot be compiled.", "sma-cross goes on.")
    assert not any(one.is_urgent for one in (done, kept))


def test_a_strategy_that_has_raised(office: Office) -> None:
    office.write(
        RUN.decisions_stream, msgspec.structs.replace(SWAP, new=NOBODY, position=GUARD, reason="mine.py:7: IndexError")
    )
    (told,) = office.told()
    assert told.subject == "STRATEGY raised: sma-cross (paper-1)"
    assert told.lines[1:] == ("mine.py:7: IndexError.", "What it held is kept; nobody decides any more.")
    assert "quantlytic swap paper-1" in told.small[0]
    assert told.is_unlimited


@pytest.mark.parametrize("stream", [SERVED, SHADOWS])
@pytest.mark.parametrize("cause", ["command", "refused", "demoted", "expired", "failed", "unheard of"])
@pytest.mark.parametrize(("old", "new"), [("", NEW), (OLD, ""), ("", ""), (OLD, NEW)])
def test_whatever_is_there_can_be_told(stream: str, cause: str, old: str, new: str) -> None:
    letter = change_letter(change(cause, old, new, reason=""), stream)
    assert unpack(pack(letter)) == letter
    assert all(line.strip() and line[-1] in ".!?:" for line in letter.lines)


@pytest.mark.parametrize(
    ("cause", "unlimited"), [("demoted", True), ("expired", True), ("refused", False), ("promotion", False)]
)
def test_a_line_that_lost_its_model_does_not_queue_behind_signals(cause: str, unlimited: bool) -> None:
    assert change_letter(change(cause), "forecasts.seconds").is_unlimited is unlimited
