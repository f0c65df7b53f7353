"""History to run over."""

from __future__ import annotations

import os

from quantlytic.engine.bars import Bars
from quantlytic.model.time import duration_ns
from quantlytic.store.barfile import read_bars


def load_bars(path: str | os.PathLike[str], symbol: str | None = None, size: str | None = None) -> Bars:
    """Bars from a CSV or Parquet file: `ts` (the open: integer ns, timestamps or ISO 8601 text), `open`, `high`, `low`,
    `close`, `volume`, and optionally `symbol`; gzip is read too.

    `symbol` picks one instrument, None takes all that the file holds. `size` ("1m", "1d") states the bar size, which is
    otherwise the most frequent step between opens. Holes are left as they are; `Result.summary()` counts them.

    Raises InputError when there is no such file or symbol, DataError, naming row and time, for what cannot be a bar.
    """
    array, instruments = read_bars(path, symbol, None if size is None else duration_ns(size))
    return Bars(array, instruments, os.path.basename(os.fspath(path)))
