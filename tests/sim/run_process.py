"""A run as a process that can be killed: `run_process.py FOLDER`, with the run in FOLDER/run.json, until SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

import msgspec

from quantlytic.model.run import Run
from quantlytic.research.runs.beginning import start_session
from quantlytic.services.chain import Chain
from quantlytic.services.executor import PaperExecutor
from quantlytic.services.recovery import recover_executor, recover_strategist
from quantlytic.services.strategist import Strategist
from quantlytic.services.swaps import Means
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log


def main(folder: Path) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def log_of() -> Log:
        return open_log("sqlite", folder=folder / "log")

    run, sources = msgspec.json.decode((folder / "run.json").read_bytes(), type=Run), folder / "strategies"
    means = Means(log_of, None, sources)
    with closing(log_of()) as log:
        first, second = (start_session(run, log, None, now_ns=0, sources=sources) for _ in range(2))
        recover_executor(log, run, first)
        recover_strategist(log, run, second, None, means)
        with closing(Chain([PaperExecutor(log, run, first), Strategist(log, run, second, means)])) as chain:
            print("runs", flush=True)
            while not stopping.is_set():
                if not chain.pump():
                    chain.wait(0.02)
            while chain.pump():
                pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
