"""What a person says of a challenger is heard, also where the trainer takes the alias before the shadow has looked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.learn.servable import promoted
from tests.services.test_shadow import CHALLENGER, GATE, Stage, knowing

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
