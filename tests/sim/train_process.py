"""Trains, promotes and rolls back until all of it is done, in children that may be killed at any instant.

    python train_process.py FOLDER

For each line on its standard input it forks a child that goes on with the work from what is on disk, and writes the child's
process id; and "done" or "killed" when that has ended. Whatever is heavy is imported once, before the first fork.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from quantlytic.app.commands import models, train
from quantlytic.learn.registry.registry import Registry

ALIAS = "trend/pooled/champion"


def work(folder: Path) -> None:
    """Train A and let it be champion, then B, then roll back: each step unless it was done."""
    registry = Registry(folder / "home" / "lake")
    for number, name in enumerate(("a", "b"), 1):
        train.command.main([str(folder / f"{name}.toml"), "--json"], standalone_mode=False)
        if len(registry.history(ALIAS)) < number:
            trained = registry.list()[0]
            chosen = next(one for one in trained if one.seed == number)
            arguments = ["promote", chosen.model_id, ALIAS, "--reason", "it is new", "--json"]
            models.command.main(arguments, standalone_mode=False)
    if len(registry.history(ALIAS)) < 3:
        models.command.main(["rollback", ALIAS, "--reason", "a test", "--json"], standalone_mode=False)


def main(folder: Path) -> None:
    import onnxruntime  # noqa: F401
    import optuna  # noqa: F401
    import sklearn.linear_model  # noqa: F401

    import quantlytic.learn.pages.trainpage
    import quantlytic.store.control  # noqa: F401

    print("ready", flush=True)
    child = 0
    for _ in sys.stdin:
        if child:
            os.waitpid(child, 0)
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            try:
                work(folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(child, flush=True)
        ended = os.waitid(
            os.P_PID, child, os.WEXITED | os.WNOWAIT
        )  # its number stays its own until the next one begins
        assert ended is not None
        print("killed" if ended.si_code == os.CLD_KILLED else "failed" if ended.si_status else "done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
