"""Trainings that hang, and those that would be refused each time: ended, told once, tried again ever later."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from tests.learn.artifacts import small_artifact
from tests.services.test_trainer import HOURLY, SPEC, World, until, world

from quantlytic.learn.labels.labelspec import LabelSpec
from quantlytic.learn.registry.artifact import Artifact
from quantlytic.learn.retraining.traininglock import Holder, TrainingLock, birth
from quantlytic.learn.retraining.trainingprocess import TrainingFailed, TrainingProcess
from quantlytic.model.time import NS_PER_S

__all__ = ["world"]  # the fixture

HANGS = """
    import subprocess
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    open({path!r}, "w").write(f"{{os.getpid()}} {{child.pid}}\\n")
    time.sleep(60)
"""


def hanging(world: World) -> list[str]:
    """A command that never ends, nor does what it began: both hold the lock."""
    return world.command(HANGS.format(path=str(world.folder / "pids")))


def pids(world: World) -> list[int]:
    """Of the two, once they are there."""
    path, end = world.folder / "pids", time.monotonic() + 10
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.01)
    return [int(one) for one in path.read_text().split()]


def is_alive(pid: int) -> bool:
    """A zombie, which nobody may be there to bury, is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_one_that_hangs_is_ended_with_all_it_began_and_the_next_one_has_its_turn(world: World) -> None:
    trainer = world.trainer(HOURLY, hanging(world), limit_s=1.0)
    until(trainer, lambda: trainer.pid > 0)
    both = pids(world)
    other = TrainingProcess(world.spec, world.folder, "trend", 2, command=world.command())
    assert not other.begin()
    assert f"the training of line 'trend' (process {trainer.pid}, since 2" in other.waits_for
    until(trainer, lambda: bool(world.words))
    assert "longer than its limit of 1s and was ended; the trials it finished are kept" in world.words[0].reason
    assert not any(is_alive(one) for one in both)
    assert other.begin()
    other.stop()
    world.now_s += 61.0
    trainer._limit_s, trainer._command = 60.0, world.command()
    until(trainer, lambda: world.challenger == world.models[0])
    assert trainer.last_failure == ""


def test_one_whose_trainer_is_dead_is_ended_by_who_waits_for_it_once_it_is_over_its_time(world: World) -> None:
    orphan = TrainingProcess(world.spec, world.folder, "other", 1, command=hanging(world), limit_s=60.0)
    world.spec.write_text(SPEC.replace('"trend"', '"other"'))
    assert orphan.begin()
    world.spec.write_text(SPEC)
    both = pids(world)
    trainer = world.trainer(HOURLY, world.command())
    trainer.pump()
    assert all(is_alive(one) for one in both), "it has its time"
    lock = world.folder / "training" / "lock"
    held = msgspec.json.decode(lock.read_bytes(), type=Holder)
    past = msgspec.structs.replace(held, until_s=time.monotonic() - 61)
    lock.write_bytes(msgspec.json.encode(msgspec.structs.replace(past, born="another")))
    world.now_s += 2.0
    trainer.pump()
    assert "line 'other'" in trainer.last_failure
    assert all(is_alive(one) for one in both), "one of its number, and another process"
    lock.write_bytes(msgspec.json.encode(past))
    world.now_s += 2.0
    trainer.pump()
    assert "line 'other'" in trainer.last_failure
    assert "has been ended" in trainer.last_failure

    def is_done() -> bool:
        world.now_s += 1.0
        return world.challenger == world.models[0]

    until(trainer, is_done)
    assert not orphan.is_running
    assert not any(is_alive(one) for one in both)


def test_who_has_the_lock_is_not_taken_for_who_had_it(tmp_path: Path) -> None:
    lock = TrainingLock(tmp_path / "lock")
    first = lock.take()
    assert first is not None
    lock.note(first, Holder("a", 2, "then", 0, 0.0))
    assert lock.take() is None
    assert lock.holder() == Holder("a", 2, "then", 0, 0.0)
    os.close(first)
    second = lock.take()
    assert second is not None
    assert lock.holder() is None
    os.close(second)


@pytest.mark.parametrize(
    "held",
    [
        b"", b"{", b"null", b"[]", b"\xff" * 10_000,
        *(f'{{"line":"x","pid":{pid},"born":"then","since_ns":0,"until_s":0}}'.encode() for pid in (0, 1, -5, 2**63, 10**30)),
        b'{"line":"x","pid":2,"born":"then","since_ns":99999999999999999999,"until_s":0}',
        b'{"line":"x","pid":2,"since_ns":0,"until_ns":0}',
    ],
)  # fmt: skip
def test_a_lock_file_that_says_nonsense_ends_nobody(world: World, held: bytes) -> None:
    path = world.folder / "training" / "lock"
    taken = TrainingLock(path).take()
    assert taken is not None
    path.write_bytes(held)
    process = TrainingProcess(world.spec, world.folder, "trend", 1, command=world.command())
    assert not process.begin()
    assert process.waits_for == "another training"
    os.close(taken)


def test_only_a_group_of_its_own_is_ended_and_never_ours() -> None:
    ours = Holder("a", os.getpgrp(), birth(os.getpgrp()), 0, 0.0)
    assert not ours.end()
    with subprocess.Popen(["sleep", "60"]) as child:
        assert not Holder("a", child.pid, birth(child.pid), 0, 0.0).end(), "it leads no group"
        child.kill()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
        assert not Holder("a", child.pid, "", 0, 0.0).end()
        assert Holder("a", child.pid, birth(child.pid), 0, 0.0).end()
        assert child.wait() == -signal.SIGKILL
    assert not Holder("a", child.pid, "then", 0, 0.0).end(), "it is gone"


def test_a_clock_that_leaps_makes_no_training_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it does when the machine slept."""
    young = TrainingProcess(world.spec, world.folder, "trend", 1, command=("sleep", "60"), limit_s=60.0)
    other = TrainingProcess(world.spec, world.folder, "trend", 2, command=world.command())
    assert young.begin()
    later_ns = time.time_ns() + 7200 * NS_PER_S
    monkeypatch.setattr(time, "time_ns", lambda: later_ns)
    assert not other.begin()
    assert "has been ended" not in other.waits_for
    assert young.is_running
    young.stop()


def test_a_trainer_killed_before_it_said_who_has_the_lock_leaves_no_training(world: World, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    command = ("sh", "-c", f"echo > {begun}; sleep 60")
    code = f"""
import os, pathlib
from quantlytic.learn.retraining.traininglock import TrainingLock
from quantlytic.learn.retraining.trainingprocess import TrainingProcess
TrainingLock.note = lambda *_: os._exit(9)
TrainingProcess(pathlib.Path({str(world.spec)!r}), pathlib.Path({str(world.folder)!r}), "trend", 1, command={command!r}).begin()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    lock, end = TrainingLock(world.folder / "training" / "lock"), time.monotonic() + 5
    while (taken := lock.take()) is None:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.close(taken)
    assert not begun.exists()


def refusing(world: World) -> list[str]:
    """Ends as a training does whose file the gate does not let out, with other numbers each time."""
    return world.command("print(f'quantlytic: 0.{os.getpid()} and not 0.5: it is not kept', file=sys.stderr)", code=6)


def test_what_is_refused_is_told_once_and_tried_again_ever_later_up_to_a_day(world: World) -> None:
    trainer = world.trainer(HOURLY, refusing(world))
    until(trainer, lambda: len(world.words) == 1)
    assert "it is not kept; tried again in 1 min, ever later, or when the spec" in world.words[0].reason
    for times in range(2, 13):
        wait_s = min(60.0 * 2 ** (times - 2), 86_400.0)
        world.now_s += wait_s - 1.0
        trainer.pump()
        assert world.ran == times - 1
        if times == 5:  # what it knows lives through a restart, but for how long it waits
            trainer.close()
            trainer = world.trainer(HOURLY, refusing(world))
        world.now_s += 2.0
        until(trainer, lambda: world.ran == times and trainer.pid == 0 and trainer._process is None)  # noqa: B023
    assert "tried again in 1.44e+03 min" in trainer.last_failure
    assert len(world.words) == 1


def test_what_is_refused_is_tried_again_at_once_when_it_was_mended(world: World) -> None:
    trainer = world.trainer(HOURLY, refusing(world))
    until(trainer, lambda: len(world.words) == 1)
    trainer._command = world.command()
    world.now_s += 10.0
    trainer.pump()
    assert world.ran == 1
    (world.folder / "mine.py").write_text("# exported now")
    world.now_s += 10.0
    until(trainer, lambda: world.challenger == world.models[0])
    assert world.ran == 2


def answering(world: World, answer: dict[str, object]) -> list[str]:
    """A training that ends well and says this."""
    return world.command(f"print({json.dumps(answer)!r}, flush=True)\nsys.exit(0)")


def test_a_model_that_is_not_kept_is_no_challenger(world: World) -> None:
    answer: dict[str, object] = {
        "model_id": "0" * 64,
        "line": "trend/pooled",
        "kept": False,
        "why_not": "it has no to_onnx()",
    }
    trainer = world.trainer(HOURLY, answering(world, answer))
    until(trainer, lambda: len(world.words) == 1)
    assert "its model cannot be served: it has no to_onnx()" in world.words[0].reason
    assert world.challenger is None


@pytest.mark.parametrize(
    ("line", "horizon", "bar_size_ns", "told"),
    [
        ("trent/pooled", 1, 0, "is of the line 'trent/pooled', not of 'trend': mend the spec's name"),
        ("trend/pooled", 1, 60 * NS_PER_S, "was trained on bars of 1h, and the line's are of 1m"),
        ("trend/pooled", 7, 0, "forecast different labels"),
    ],
)
def test_a_model_that_is_not_the_lines_is_refused(
    world: World, line: str, horizon: int, bar_size_ns: int, told: str
) -> None:
    world.registry.promote(world.models[1], "trend/pooled/champion", "by hand", "me", 1)
    made = small_artifact(4, line=line)
    manifest = msgspec.structs.replace(made.manifest, label=LabelSpec(horizon=horizon), horizon=horizon)
    model_id = world.registry.put(Artifact(manifest, made.content))
    trainer = world.trainer(HOURLY, answering(world, {"model_id": model_id, "line": line}), bar_size_ns=bar_size_ns)
    until(trainer, lambda: len(world.words) == 1)
    assert told in world.words[0].reason
    assert world.words[0].cause == "failed"
    assert world.challenger is None


def test_a_limit_is_told_only_of_one_that_is_over_it(world: World) -> None:
    process = TrainingProcess(
        world.spec, world.folder, "trend", 1, command=world.command("time.sleep(60)"), limit_s=0.2
    )
    assert process.begin()
    process.check_time()
    time.sleep(0.25)
    with pytest.raises(TrainingFailed, match="limit of 1s") as found:
        process.check_time()
    assert found.value.lasting
    assert not process.is_running
    process.check_time()
