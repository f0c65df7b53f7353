"""A real single-node Apache Kafka broker (KRaft) for tests and for trying things out; not for production.

    python deploy/kafka/broker.py FOLDER [--port 9092]

Maven fetches the jars of `pom.xml` into a cache folder once ($QUANTLYTIC_CACHE, else `.cache` in the project); the broker keeps
its data in FOLDER, listens on loopback only, and stops with Ctrl-C. Needs Java 17+, and Maven for the first start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "4.1.1"
CLUSTER_ID = "quantlyticQuantlyticQw"  # any 16 bytes in base64; the same for every broker made here
START_S = 60.0

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
offsets.topic.num.partitions=1
"""


def cache_folder() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("QUANTLYTIC_CACHE") or HERE.parents[1] / ".cache")


def tool(name: str) -> str:
    """The path of a program that must be installed. Raises RuntimeError with one line saying so."""
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"a Kafka broker needs {name}: install a JDK (17 or newer) and Maven")
    return found


def fetch_jars() -> Path:
    """The folder with the broker's jars, fetched the first time. Raises RuntimeError."""
    folder = cache_folder() / "kafka" / VERSION
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{VERSION}.partial-{os.getpid()}")
    command = [tool("mvn"), "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    done = subprocess.run(
        [*command, "-DincludeScope=runtime", f"-DoutputDirectory={partial}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        shutil.rmtree(partial, ignore_errors=True)
        raise RuntimeError(f"Maven could not fetch the broker's jars: {(done.stdout + done.stderr).strip()[:500]}")
    with contextlib.suppress(OSError):  # somebody else was quicker
        partial.rename(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A broker whose data lives in `folder`; it can be stopped, killed and started again on the same port and data."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._classpath = f"{HERE}{os.pathsep}{fetch_jars()}/*"
        self._java = tool("java")
        self._settings = folder / "server.properties"
        if not self._settings.exists():
            self._format()

    def start(self) -> None:
        """Start, and wait until clients can connect. Raises RuntimeError with the end of the broker's own log."""
        with open(self.folder / "broker.log", "ab") as output:
            self._process = subprocess.Popen(
                [*self._jvm("-Xmx512m"), "kafka.Kafka", str(self._settings)], stdout=output, stderr=output
            )
        try:
            if self._answers(self._process):
                return
        except BaseException:
            self.kill()
            raise
        self.kill()
        raise RuntimeError(f"the broker did not start:\n{(self.folder / 'broker.log').read_text()[-2000:]}")

    def stop(self) -> None:
        """A clean end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def wait(self) -> None:
        if self._process is not None:
            self._process.wait()

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
            time.sleep(0.1)
        return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _format(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        text = _PROPERTIES.format(port=self.port, controller=free_port(), logs=self.folder / "data")
        draft = self.folder / "server.properties.new"
        draft.write_text(text)
        command = [*self._jvm("-Xmx128m"), "kafka.tools.StorageTool", "format", "--standalone"]
        done = subprocess.run(
            [*command, "-t", CLUSTER_ID, "-c", str(draft)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"the broker's folder could not be made: {(done.stdout + done.stderr).strip()[-500:]}")
        draft.rename(self._settings)

    def _jvm(self, heap: str) -> list[str]:
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=log4j2.properties"]
        return [self._java, heap, *quick, "-cp", self._classpath]


def main() -> None:
    parser = argparse.ArgumentParser(description="A single-node Kafka broker on loopback.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=9092)
    options = parser.parse_args()
    try:
        broker = Broker(options.folder, options.port)
        broker.start()
    except RuntimeError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    try:
        sys.stdout.write(f"Kafka at {broker.servers}; Ctrl-C ends it\n")
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            broker.wait()
    finally:
        broker.stop()


if __name__ == "__main__":
    main()
