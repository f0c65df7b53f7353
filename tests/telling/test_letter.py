"""Letters to bytes and back, by several threads at once."""

from __future__ import annotations

import subprocess
import sys

TOGETHER = """
import sys, threading
sys.setswitchinterval(1e-6)
from quantlytic.telling.letter import pack, unpack
from quantlytic.telling.words import check_letter
payload, start, done = pack(check_letter(0)), threading.Barrier(8), []
def first_time():
    start.wait()
    done.append(unpack(payload))
threads = [threading.Thread(target=first_time) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert done == [check_letter(0)] * 8
"""


def test_couriers_may_read_their_first_letters_at_the_same_moment() -> None:
    """With the type given to `msgspec.msgpack.decode` instead of a decoder made at import, one in six crashes."""
    for _ in range(3):
        subprocess.run([sys.executable, "-c", TOGETHER], check=True, timeout=60)
