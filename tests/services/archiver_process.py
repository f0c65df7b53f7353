"""An archiver in a process of its own, to be killed: `python -m tests.services.archiver_process HOME BATCH_ROWS`."""

from __future__ import annotations

import sys
from pathlib import Path

from quantlytic.services.archiver import Archiver
from quantlytic.store.lake import Lake
from quantlytic.store.log import open_log


def main(home: Path, batch_rows: int) -> None:
    log = open_log("sqlite", folder=home / "log")
    archiver = Archiver(log, Lake(home / "lake"), batch_rows=batch_rows, batch_s=0.0)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        if archiver.pump() == 0:
            archiver.wait(1.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
