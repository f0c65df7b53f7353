"""What people are told of challengers."""

from __future__ import annotations

from quantlytic.learn.contest.shadowrecord import told_cause
from quantlytic.model.forecast import ModelChange


def word(cause: str, reason: str) -> ModelChange:
    return ModelChange("trend", "", 1, "", "a" * 64, cause, reason)


def test_nobody_has_commanded_what_the_trainer_made() -> None:
    made, seated = word("trained", "new data: 100 bars"), word("command", "new data: 100 bars")
    named, judged = word("command", "better, said Ann"), word("judged", "new data: 100 bars")
    words = [made, seated, named, judged]
    assert [told_cause(one, words) for one in words] == ["trained", "trained", "command", "judged"]
    assert told_cause(seated, [seated, named]) == "command"
