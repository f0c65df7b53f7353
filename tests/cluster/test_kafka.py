"""The log on a real Kafka broker: the conformance suite, and what only brokers can do wrong."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Producer
from deploy.kafka.broker import Broker, free_port
from tests.store.log.actors import trade
from tests.store.log.conformance import Actor, LogConformance, opened, read_all

from quantlytic.model.errors import StoreError
from quantlytic.store.log import open_log, topics
from quantlytic.store.log.kafka import KafkaLog
from quantlytic.store.log.kafkawriter import KafkaWriter
from quantlytic.store.log.port import Writer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
_numbers = itertools.count()


class KafkaTape:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.spec: dict[str, Any] = {"kind": "kafka", "servers": broker.servers, "prefix": f"t{next(_numbers)}."}

    @contextlib.contextmanager
    def failing(self, writer: Writer, patch: pytest.MonkeyPatch) -> Iterator[None]:
        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        with patch.context() as patched:
            patched.setattr(KafkaWriter, "_commit_until", fail)
            with pytest.raises(KeyboardInterrupt):
                yield


@pytest.fixture
def tape(broker: Broker) -> KafkaTape:
    return KafkaTape(broker)


class TestKafka(LogConformance):
    """The whole suite on a broker."""

    kills = 4


def test_a_broker_that_is_killed_and_started_again(broker: Broker, tape: KafkaTape) -> None:
    """Writer and reader live through it; nothing acknowledged is lost, nothing is doubled."""
    with Actor("write", tape) as numbers, Actor("copy", tape) as copier, opened(tape) as log:
        copier.lines()
        for end in (broker.kill, broker.stop):
            numbers.lines(at_least=10)
            end()
            time.sleep(0.5)
            broker.start()
        acknowledged = int(numbers.lines(at_least=10)[-1])
        assert numbers.process.poll() is None
        numbers.kill()
        total = log.writer("numbers").positions["source"]
        assert total >= acknowledged
        assert [event.trade_id for event in read_all(log, "market.n", total)[0]] == list(range(total))
        assert [event.trade_id for event in read_all(log, "bars.copy", total)[0]] == list(range(total))


def test_no_broker_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "REPLY_S", 1.0)
    servers = f"127.0.0.1:{free_port()}"
    started = time.monotonic()
    with pytest.raises(StoreError, match=servers) as caught:
        open_log("kafka", servers=servers)
    assert time.monotonic() - started < 5
    assert "\n" not in str(caught.value)


def test_a_snapshot_beyond_the_limit_is_refused_whole(tape: KafkaTape) -> None:
    with opened(tape) as log:
        writer = log.writer("w")
        writer.commit({"bars.a": [trade(1)]}, {"in": 1}, b"x" * topics.MAX_VALUE_BYTES)
        with pytest.raises(StoreError, match="make it smaller; nothing was written"):
            writer.commit({"bars.a": [trade(2)]}, {"in": 2}, b"x" * (topics.MAX_VALUE_BYTES + 1))
        writer.commit({"bars.a": [trade(3)]}, {"in": 3})
    with opened(tape) as log:
        assert len(log.writer("w").snapshot or b"") == topics.MAX_VALUE_BYTES
        assert [event.trade_id for event in read_all(log, "bars.a", 2)[0]] == [1, 3]


def test_an_open_transaction_hides_what_follows(tape: KafkaTape) -> None:
    """A writer that hangs in a commit: readers see nothing of it, and its heir undoes it."""
    with opened(tape) as log:
        log.writer("w").commit({"bars.a": [trade(1)]}, {"in": 1})
        producer = Producer(
            {"bootstrap.servers": tape.broker.servers, "transactional.id": f"{tape.spec['prefix']}w", "log_level": 0}
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        producer.produce(f"{tape.spec['prefix']}stream.bars.a", b"half a commit", partition=0)
        producer.flush(20)
        _, end = log.bounds("bars.a")
        events, offsets = read_all(log, "bars.a", 1)
        assert [event.trade_id for event in events] == [1]
        assert not log.wait({"bars.a": offsets[-1] + 1}, 0.3)
        heir = log.writer("w")
        assert dict(heir.positions) == {"in": 1}
        heir.commit({"bars.a": [trade(2)]}, {"in": 2})
        assert [event.trade_id for event in read_all(log, "bars.a", 2)[0]] == [1, 2]
        assert log.bounds("bars.a")[1] > end


def test_a_record_that_is_no_event(tape: KafkaTape) -> None:
    with opened(tape) as log:
        last = log.writer("w").commit({"bars.a": [trade(1)]})["bars.a"][-1]
        producer = Producer({"bootstrap.servers": tape.broker.servers})
        producer.produce(f"{tape.spec['prefix']}stream.bars.a", b"\xff\xff")
        producer.flush(20)
        assert log.wait({"bars.a": last + 1}, 10)
        for _ in range(2):  # and again: it is not skipped
            with pytest.raises(StoreError, match=r"'bars\.a' cannot be read at offset"):
                log.read("bars.a", last + 1)


def test_a_stream_nobody_reads_does_not_fill_the_memory(tape: KafkaTape, monkeypatch: pytest.MonkeyPatch) -> None:
    from quantlytic.store.log import kafkareader

    monkeypatch.setattr(kafkareader, "_BUFFERED", 1000)
    with opened(tape) as log:
        assert isinstance(log, KafkaLog)
        writer = log.writer("w")
        given: list[int] = []
        for first in range(0, 30_000, 3000):
            given += writer.commit(
                {"bars.big": [trade(n) for n in range(first, first + 3000)], "bars.small": [trade(first)]}
            )["bars.big"]
        log.read("bars.big", given[0], 1)
        read_all(log, "bars.small", 10)
        events, offsets = read_all(log, "bars.big", 29_999, given[0] + 1)
        assert [event.trade_id for event in events] == list(range(1, 30_000))
        assert offsets == given[1:]
