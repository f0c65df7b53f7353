"""A predictor as a process that can be killed: `predictor_process.py FOLDER`, until SIGTERM."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

from tests.learn.servable import LINE

from quantlytic.learn.live.loading import Loader
from quantlytic.learn.registry.registry import Registry
from quantlytic.services.predictor import Predictor
from quantlytic.store.log import open_log
from quantlytic.store.log.port import Log

CHECK_S = 0.01
BUDGET_NS = 10**9  # the machine may be busy with other things


def main(folder: Path) -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())

    def log_of() -> Log:
        return open_log("sqlite", folder=folder / "log")

    with closing(log_of()) as log:
        loader = Loader(Registry(folder / "lake"), LINE, log_of, budget_ns=BUDGET_NS, compiled=False)
        with closing(Predictor(log, LINE, loader, check_s=CHECK_S)) as predictor:
            print("runs", flush=True)
            while not stopping.is_set():
                if not predictor.pump():
                    predictor.wait(0.05)
            while predictor.pump():
                pass


if __name__ == "__main__":
    main(Path(sys.argv[1]))
