"""Fan-out and couriers in processes of their own, to be killed: `python -m tests.sim.notifier_process HOME SMTP_PORT HOOK_URL`.

All that is slow to import is imported once; each line on standard input forks one child, whose id is answered, with how
the one before has ended. A child is an
ordinary process: it opens its own handles, and it dies alone.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from pathlib import Path

import httpx
from tests.sim.mailday import LEASE_NS, OPERATORS, RUN

from quantlytic.store.control import open_control
from quantlytic.store.control.control import Control
from quantlytic.store.control.messages import SqlMessages
from quantlytic.store.log import open_log
from quantlytic.telling.channels import Channel, Smtp, Webhook
from quantlytic.telling.delivery import Bell, Courier
from quantlytic.telling.fanout import FanOut
from quantlytic.telling.mail import Envelope, mail_of
from quantlytic.telling.words import check_letter


def serve(home: Path, smtp_port: int, hook_url: str) -> None:
    """All of the notifier, a thread each, until somebody kills it."""
    bell = Bell()
    channels: dict[str, Channel] = {
        "mail": Smtp("127.0.0.1", smtp_port, starttls=False, timeout_s=0.4, deadline_s=0.6),
        "hook": Webhook(hook_url, timeout_s=0.4, deadline_s=0.6),
    }
    threads = [threading.Thread(target=carry, args=(home, name, channel, bell)) for name, channel in channels.items()]
    for thread in threads:
        thread.start()
    log, control = open_log("sqlite", folder=home / "log"), control_of(home)
    fanout = FanOut(log, control, lambda: [RUN], operators=tuple(OPERATORS.values()), bell=bell, stale_ns=None)
    while True:
        if fanout.pump() == 0:
            fanout.wait(0.05)


def carry(home: Path, name: str, channel: Channel, bell: Bell) -> None:
    log, control = open_log("sqlite", folder=home / "log"), control_of(home)
    courier = Courier(
        log, control, name, channel, sender="q@localhost", operators=OPERATORS, bell=bell, per_hour=10**9,
        longest_retry_ns=LEASE_NS, longest_pause_ns=LEASE_NS // 4,
    )  # fmt: skip
    while True:
        if courier.pump() == 0:
            courier.wait(0.02)


def control_of(home: Path) -> Control:
    control = open_control(home)
    control.messages = SqlMessages(control._database, lease_ns=LEASE_NS)
    return control


def main(home: Path, smtp_port: int, hook_url: str) -> None:
    mail_of(check_letter(0), Envelope("a@b", "c@d", "warm"))  # what is loaded when it is first needed is loaded now
    assert httpx.Client
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    child, ended = 0, 0
    for _ in sys.stdin:
        if child:
            ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        child = os.fork()
        if child == 0:
            try:
                serve(home, smtp_port, hook_url)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        sys.stdout.write(f"{child} {ended}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
