"""docs/alerts.md, "Signing up": its commands, one after the other, against the service and the notifier."""

from __future__ import annotations

import email
import email.policy
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "alerts.md"
SECTION = PAGE.read_text().split("\n## Signing up\n")[1].split("\n## ")[0]
BLOCKS = re.findall(r"```sh\n(.*?)```", SECTION, re.S)


class Reader:
    """Somebody who does what the page says."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.environment = {
            **os.environ, "QUANTLYTIC_HOME": str(folder / "home"), "QUANTLYTIC_ALERTS__PORT": str(self.port),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }  # fmt: skip
        self.server: subprocess.Popen[str] | None = None
        self._read: set[str] = set()

    def do(self, block: str, token: str = "") -> list[str]:
        """Run a block; returns its answers, a line each."""
        script = block.replace("127.0.0.1:8789", f"127.0.0.1:{self.port}").replace("TOKEN=... ", f"TOKEN={token} ")
        script = re.sub(r"(?m)^curl (?:.*\\\n)*.*$", r"\g<0>; echo", script)
        done = subprocess.run(
            ["bash", "-ec", script], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60,
            check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), script
        return [line for line in done.stdout.splitlines() if line]

    def start(self, line: str) -> None:
        """Run a line that ends in & until the end."""
        words = ["bash", "-c", "exec " + line.removesuffix(" &")]
        self.server = subprocess.Popen(words, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None
        while self.server.stdout.readline() not in ("notifier runs\n", ""):
            pass

    def mail(self) -> tuple[str, str]:
        """(subject, text) of the next mail that comes."""
        ends_s = time.monotonic() + 30
        while True:
            new = {path.name for path in (self.folder / "home" / "outbox").glob("*.eml")} - self._read
            if new:
                break
            assert time.monotonic() < ends_s, "no mail came"
            time.sleep(0.05)
        name = min(new)
        self._read.add(name)
        found = email.message_from_bytes(
            (self.folder / "home" / "outbox" / name).read_bytes(), policy=email.policy.default
        )
        body = found.get_body(("plain",))
        assert body is not None
        return str(found["Subject"]), body.get_content()

    def token(self, purpose: str) -> tuple[str, str]:
        """(token of that link in the next mail, the mail's text)."""
        _, text = self.mail()
        found = re.search(rf"/{purpose}\?token=([\w-]+)", text)
        assert found, text
        return found[1], text


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path)
    yield made
    if made.server is not None:
        made.server.send_signal(signal.SIGTERM)
        made.server.communicate(timeout=30)


def test_what_the_page_says_works(reader: Reader) -> None:
    operate, sign_up, confirm, mine, stop = BLOCKS
    allow, run = operate.splitlines()
    assert reader.do(allow) == ["*@example.com"]
    reader.start(run)

    assert reader.do(sign_up) == ['{"message":"If this address may be used here, a mail with a link is on its way."}']
    token, text = reader.token("confirm")
    assert "You chose the recommended strategy: its signals come as soon as the daily run has found one" in text
    assert re.search(r"The link is good until \d{4}-\d\d-\d\d \d\d:\d\d(:00)? UTC\.", text), text
    confirmed, asked = map(json.loads, reader.do(confirm, token))
    assert (confirmed["status"], confirmed["choices"]["quiet_start"]) == ("confirmed", "22:00")
    assert confirmed["notes"][0].startswith("You chose the recommended strategy")
    assert asked["message"].startswith("If this address may be used here")

    token, _ = reader.token("mine")
    before, after, tested, history = map(json.loads, reader.do(mine, token))
    assert before["choices"]["strategies"] == ["recommended"]
    assert after["choices"] | {"strategies": ["sma-cross"], "near_bps": 30.0} == after["choices"]
    assert after["notes"] == []
    assert tested == {"message": "A test message is on its way."}
    assert {one["kind"] for one in history} >= {"confirm", "mine"}

    token, text = reader.token("unsubscribe")
    assert text.startswith("This is a test")
    assert reader.do(stop, token) == ['{"message":"Unsubscribed."}']
    people = json.loads(reader.do("quantlytic alerts list --json | tr -d '\\n'")[0])
    assert [(one["email"], one["status"]) for one in people] == [("ann@example.com", "unsubscribed")]
