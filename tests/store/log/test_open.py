"""Choosing an adapter."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from quantlytic.model.errors import InputError
from quantlytic.store.log import open_log
from quantlytic.store.log.sqlite import SqliteLog


def test_sqlite_makes_its_folder(tmp_path: Path) -> None:
    log = open_log("sqlite", folder=tmp_path / "a" / "b")
    assert isinstance(log, SqliteLog)
    log.close()
    assert (tmp_path / "a" / "b" / "market.db").exists()


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"kind": "sqlite"}, "folder"),
        ({"kind": "kafka"}, "host:port"),
        ({"kind": "paper", "folder": Path("x")}, "choose sqlite or kafka"),
        ({"kind": "sqlite", "folder": Path("x"), "durability": "eternal"}, "choose process or power"),
    ],
)
def test_an_unusable_choice(choice: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_log(**choice)


def test_kafka_without_its_client(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("kafka", "kafkareader", "kafkawriter", "topics"):
        monkeypatch.delitem(sys.modules, f"quantlytic.store.log.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    with pytest.raises(InputError, match=r"quantlytic\[cluster\]"):
        open_log("kafka", servers="127.0.0.1:1")


def test_sqlite_does_not_load_kafka(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, quantlytic.store.log.sqlite; assert not any('kafka' in name for name in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
