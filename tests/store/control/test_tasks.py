"""The daily run's tasks in the control store."""

from __future__ import annotations

from pathlib import Path

from quantlytic.store.control import open_control


def test_a_task_is_begun_failed_begun_again_and_done(tmp_path: Path) -> None:
    with open_control(tmp_path) as control:
        tasks = control.tasks
        assert tasks.get("2026-11-20", "pull") is None
        assert tasks.last_day("pull") is None
        assert (tasks.begin("2026-11-20", "pull", 5).attempts, tasks.begin("2026-11-20", "pull", 6).attempts) == (1, 2)
        tasks.failed("2026-11-20", "pull", 7, "nobody answers")
        failed = tasks.get("2026-11-20", "pull")
        assert failed is not None
        assert (failed.state, failed.error, failed.ended_ns) == ("failed", "nobody answers", 7)
        again = tasks.begin("2026-11-20", "pull", 8)
        assert (again.state, again.attempts, again.error) == ("running", 3, "")
        tasks.done("2026-11-20", "pull", 9, {"rows": 35, "trouble": ["a"]})
        tasks.failed("2026-11-20", "pull", 10, "too late")
        done = tasks.begin("2026-11-20", "pull", 11)
        assert (done.state, done.summary, done.begun_ns, done.ended_ns) == (
            "done",
            {"rows": 35, "trouble": ["a"]},
            8,
            9,
        )


def test_days_and_tasks_are_apart(tmp_path: Path) -> None:
    with open_control(tmp_path) as control:
        for day, task in (("2026-11-20", "pull"), ("2026-11-20", "plan"), ("2026-11-19", "pull")):
            control.tasks.begin(day, task, 1 if task == "plan" else 2)
            control.tasks.done(day, task, 3, {})
        control.tasks.begin("2026-11-21", "pull", 4)
    with open_control(tmp_path) as control:
        assert [one.task for one in control.tasks.list("2026-11-20")] == ["plan", "pull"]
        assert control.tasks.last_day("pull") == "2026-11-20"
        assert control.tasks.last_day("pull", "2026-11-19") == "2026-11-19"
        assert control.tasks.last_day("digest") is None
        control.tasks.forget("2026-11-20")
        assert control.tasks.list("2026-11-20") == []
        assert control.tasks.last_day("pull") == "2026-11-19"
