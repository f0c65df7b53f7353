"""What libraries below us would write into logs, and must not: keys and signatures."""

from __future__ import annotations

import logging
import re

_SECRETS = re.compile(r"(?i)\b(signature|sign|apikey|api_key|access_?key|token|passphrase)=[^&\s\"']+")

SILENT = logging.Logger("quantlytic.wire", logging.CRITICAL + 1)
"""For sockets that carry keys: at level DEBUG websockets writes each message it sends, and the address. `logging` itself does
not know it: a server that configures logging (uvicorn does) would enable it again."""


def masked(text: str) -> str:
    """Addresses in the text lose their signatures and keys."""
    return _SECRETS.sub(r"\1=***", text)


class _Mask(logging.Filter):
    """Masks addresses among a record's arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(masked(str(each)) if "=" in str(each) else each for each in record.args)
        return True


_MASK = _Mask()


def mask_logger(name: str) -> None:
    """From now on that library's records show no secret: httpx writes each address at level INFO."""
    logging.getLogger(name).addFilter(_MASK)  # adding it again changes nothing
