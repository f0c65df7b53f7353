"""What a person says of a challenger is heard, also where the trainer takes the alias before the shadow has looked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.learn.servable import promoted
from tests.services.test_shadow import CHALLENGER, GATE, Stage, knowing

from quantlytic.learn.contest.shadowrecord import read_records
from quantlytic.model.forecast import ModelChange

TRAINED, NAMED, NEWER = knowing(0.2), knowing(0.4), knowing(0.6)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.log.close()


def test_a_persons_challenger_that_the_trainer_overtook_takes_the_place_of_all(stage: Stage) -> None:
    shadow = stage.start(GATE)
    promoted(stage.registry, TRAINED, CHALLENGER, by="trainer")
    stage.run(5)
    assert list(shadow.challenges) == [TRAINED.model_id]
    promoted(stage.registry, NAMED, CHALLENGER, by="ann")
    promoted(stage.registry, NEWER, CHALLENGER, by="trainer")
    stage.run(5)
    assert list(shadow.challenges) == [NAMED.model_id, NEWER.model_id]
    said = [(one.old, one.new) for one in stage.words]
    assert said == [("", TRAINED.model_id), (TRAINED.model_id, NAMED.model_id), ("", NEWER.model_id)]
    stage.run(5)
    assert len(stage.words) == 3, "it is heard once"
    assert list(stage.start(GATE).challenges) == [NAMED.model_id, NEWER.model_id]
    stage.run(5)
    assert len(stage.words) == 3, "also after a restart"


def test_what_a_person_took_back_is_asked_no_more(stage: Stage) -> None:
    shadow = stage.start(GATE)
    promoted(stage.registry, TRAINED, CHALLENGER, by="trainer")
    stage.run(5)
    promoted(stage.registry, NAMED, CHALLENGER, by="ann")
    stage.registry.withdraw(CHALLENGER, "no more of these", "ann", 2)
    promoted(stage.registry, NEWER, CHALLENGER, by="trainer")
    stage.run(5)
    assert list(shadow.challenges) == [NEWER.model_id]
    assert "withdrawn: no more of these" in [one.reason for one in stage.words]


def test_a_damaged_change_between_is_told_and_holds_up_nobody(stage: Stage) -> None:
    shadow = stage.start(GATE)
    stage.run(2)
    for one, by in ((TRAINED, "trainer"), (NAMED, "ann"), (NEWER, "trainer")):
        promoted(stage.registry, one, CHALLENGER, by=by)
    (stage.folder / "lake" / "aliases" / CHALLENGER / "00000002.json").write_bytes(b"{")
    stage.feed(1)
    shadow.pump()
    assert list(shadow.challenges) == [NEWER.model_id]
    stage.run(3)
    assert shadow.last_failure == ""


def test_one_that_is_withdrawn_before_it_began_is_told_once(stage: Stage) -> None:
    stage.start(GATE)
    stage.run(2)
    promoted(stage.registry, TRAINED, CHALLENGER, by="trainer")
    stage.registry.withdraw(CHALLENGER, "no good", "ann", 2)
    stage.run(5)
    stage.start(GATE)
    stage.run(5)
    assert [(one.old, one.new, one.reason) for one in stage.words] == [(TRAINED.model_id, "", "withdrawn: no good")]


def test_the_record_says_who_is_at_work_who_has_ended_and_who_never_began(stage: Stage) -> None:
    stage.start(GATE)
    promoted(stage.registry, TRAINED, CHALLENGER, by="ann")
    stage.run(5)
    promoted(stage.registry, NAMED, CHALLENGER, by="ann")
    stage.run(5)
    with closing(stage.log.writer("trainer.trend")) as writer:
        for old, new in (("a" * 64, "b" * 64), ("b" * 64, "c" * 64)):
            writer.commit({"shadows.trend": [ModelChange("trend", "", 1, old, new, "trained", "1 new bar")]})
    records, _ = read_records(stage.log, "trend", stage.registry.manifest)
    assert {(one.model_id, one.state, one.passed_by) for one in records} == {
        (TRAINED.model_id, "ended", ""), (NAMED.model_id, "at work", ""), ("b" * 64, "ended", "c" * 64),
        ("c" * 64, "about to begin", ""),
    }  # fmt: skip
