"""A tape served again: every message, byte for byte, in order, once; and a book that joins up."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from quantlytic.model.errors import DataError
from quantlytic.venues.exchange.server import ExchangeServer
from quantlytic.venues.exchange.tape import Tape

Serve = Callable[..., tuple[ExchangeServer, Any]]
CAPTURES = {
    "spot": "binance_spot_btcusdt_20240808.ws.gz",
    "spot without snapshot": "binance_spot_btcusdt_20240809.ws.gz",
    "futures": "binance_usdm_ethusdt_20240808.ws.gz",
}
LINES = 3000


@pytest.fixture(params=CAPTURES)
def capture(request: pytest.FixtureRequest, market_data: Path, tmp_path: Path) -> Path:
    """The first lines of a real capture."""
    path = tmp_path / "capture.ws.gz"
    with gzip.open(market_data / "raw_ws_binance" / CAPTURES[request.param]) as file, gzip.open(path, "wb", 1) as cut:
        for _ in range(LINES):
            cut.write(file.readline())
    return path


def write(path: Path, *messages: tuple[int, Any]) -> Path:
    path.write_text("".join(f"{stamp} {json.dumps(message, separators=(',', ':'))}\n" for stamp, message in messages))
    return path


def trade(number: int, stamp: int) -> tuple[int, Any]:
    data = {"e": "trade", "E": stamp, "s": "BTCUSDT", "t": number, "p": "100.10", "q": "0.5", "T": stamp, "m": True}
    return stamp * 1_000_000, {"stream": "btcusdt@trade", "data": data}


def diff(first: int, last: int, stamp: int, bids: Any = (), asks: Any = ()) -> tuple[int, Any]:
    data = {"e": "depthUpdate", "E": stamp, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    return stamp * 1_000_000, {"stream": "btcusdt@depth@100ms", "data": data}


def take(socket: ClientConnection, count: int) -> list[str]:
    return [str(socket.recv(timeout=10)) for _ in range(count)]


def test_every_message_byte_for_byte_in_order_once(serve: Serve, capture: Path) -> None:
    with gzip.open(capture, "rt") as file:
        lines = [line.rstrip("\n").partition(" ")[2] for line in file]
    wanted = [line for line in lines if line.startswith('{"stream"')]
    names = list(dict.fromkeys(json.loads(text)["stream"] for text in wanted))
    server, client = serve(replay=(capture,), speed=0)
    with connect(f"{server.stream_url}/stream?streams={'/'.join(names)}", max_queue=None) as socket:
        assert take(socket, len(wanted)) == wanted
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.2)  # nothing more, and the connection stays open
    replay = client.http.get("/box/state").json()["replay"]
    counts = dict(Counter(json.loads(text)["stream"] for text in wanted))
    assert (replay["ended"], replay["played"], replay["on_tape"]) == (True, counts, counts)
    trades = [json.loads(text)["data"] for text in wanted if "@trade" in text[:40]]
    symbol = trades[0]["s"]
    rows = client.get("historicalTrades", symbol=symbol, fromId=trades[0]["t"], limit=1000).json()
    told = [(t["t"], float(t["p"]), float(t["q"]), t["T"], t["m"]) for t in trades[:1000]]
    assert told == [(r["id"], float(r["price"]), float(r["qty"]), r["time"], r["isBuyerMaker"]) for r in rows]
    assert client.get("exchangeInfo").json()["symbols"][0]["symbol"] == symbol
    book = client.get("depth", symbol=symbol, limit=5).json()
    assert float(book["bids"][0][0]) < float(book["asks"][0][0])
    assert replay["partial_books"] == ([] if len(wanted) < len(lines) else [symbol])


def test_the_book_joins_snapshot_and_diffs(serve: Serve, market_data: Path, tmp_path: Path) -> None:
    """A client that subscribes, then fetches the snapshot, finds the diff that spans it, at any speed."""
    path = market_data / "raw_ws_binance" / CAPTURES["spot"]
    cut = tmp_path / "cut.gz"
    with gzip.open(path) as file, gzip.open(cut, "wb", 1) as out:
        for _ in range(LINES):
            out.write(file.readline())
    server, client = serve(replay=(cut,), speed=0)
    with connect(f"{server.stream_url}/ws/btcusdt@depth@100ms", max_queue=None) as socket:
        early = client.get("depth", symbol="BTCUSDT", limit=5000).json()["lastUpdateId"]
        first = json.loads(socket.recv(timeout=10))
        late = client.get("depth", symbol="BTCUSDT", limit=5000).json()["lastUpdateId"]
        spans = [(first["U"], first["u"])]
        while not server.state()["replay"]["ended"]:
            time.sleep(0.02)
        while len(spans) < server.state()["replay"]["played"]["btcusdt@depth@100ms"]:
            message = json.loads(socket.recv(timeout=10))
            spans.append((message["U"], message["u"]))
    for snapshot in (early, late):
        following = [span for span in spans if span[1] > snapshot]
        assert not following or following[0][0] <= snapshot + 1


def test_snapshot_in_the_middle_is_brought_up_to_date(serve: Serve, tmp_path: Path) -> None:
    snapshot = (3_000_000, {"lastUpdateId": 12, "bids": [["10.0", "1"], ["9.0", "1"]], "asks": [["11.0", "1"]]})
    tape = write(
        tmp_path / "tape",
        diff(10, 11, 1, bids=[["8.0", "5"]]),
        diff(12, 14, 2, bids=[["10.0", "0"]], asks=[["12.0", "2"]]),
        snapshot,
        diff(15, 15, 4, asks=[["11.0", "0"]]),
    )
    server, client = serve(replay=(tape,), speed=0)
    assert client.get("depth", symbol="BTCUSDT").json()["lastUpdateId"] == 12  # before it begins: the snapshot
    with connect(f"{server.stream_url}/ws/btcusdt@depth@100ms") as socket:
        take(socket, 3)
    book = client.get("depth", symbol="BTCUSDT").json()
    assert book["lastUpdateId"] == 15
    assert [price for price, _ in book["bids"]] == ["9.00000000"]
    assert [price for price, _ in book["asks"]] == ["12.00000000"]
    assert server.state()["replay"]["partial_books"] == []


def test_after_a_break_only_what_is_known(serve: Serve, tmp_path: Path) -> None:
    tape = write(
        tmp_path / "tape",
        diff(1, 2, 1, bids=[["10.0", "5"]], asks=[["11.0", "1"]]),
        diff(9, 9, 2, bids=[["12.0", "5"]], asks=[["13.0", "1"]]),
    )
    server, client = serve(replay=(tape,), speed=0)
    with connect(f"{server.stream_url}/ws/btcusdt@depth@100ms") as socket:
        take(socket, 2)
    book = client.get("depth", symbol="BTCUSDT").json()
    assert (book["lastUpdateId"], book["bids"], book["asks"][0][0]) == (
        9,
        [["12.00000000", "5.00000000"]],
        "13.00000000",
    )
    assert server.state()["replay"]["partial_books"] == ["BTCUSDT"]


def test_pace(serve: Serve, tmp_path: Path) -> None:
    tape = write(tmp_path / "tape", *(trade(number, 1000 + 100 * number) for number in range(1, 11)))
    server, _ = serve(replay=(tape,), speed=3)
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        socket.recv(timeout=5)
        start = time.monotonic()
        take(socket, 9)
        assert 0.2 < time.monotonic() - start < 1.5  # 900 ms of tape at three times its pace


def test_streams_that_it_does_not_read_pass_as_they_stand(serve: Serve, tmp_path: Path) -> None:
    texts = [
        '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","a":7,"p":"1.0","q":"2","T":1}}',
        '{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker"}]}',
        '{"stream":"btcusdt@kline_1m","data": {"e":"kline", "k":{}} }',
    ]
    tape = tmp_path / "tape"
    tape.write_text("".join(f"{number} {text}\n" for number, text in enumerate(texts, 1)))
    server, _ = serve(replay=(tape,), speed=0)
    names = "btcusdt@aggTrade/!miniTicker@arr/btcusdt@kline_1m"
    with connect(f"{server.stream_url}/stream?streams={names}") as socket:
        heard = take(socket, 3)
    assert heard[:2] == texts[:2]
    assert json.loads(heard[2]) == json.loads(texts[2])  # an envelope with blanks is written anew


def test_several_files_are_one_tape(serve: Serve, tmp_path: Path) -> None:
    one = write(tmp_path / "one", trade(1, 10), trade(3, 30))
    two = write(tmp_path / "two", trade(2, 20), trade(4, 40))
    server, _ = serve(replay=(one, two), speed=0)
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        assert [json.loads(text)["t"] for text in take(socket, 4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("by_request", [True, False])
def test_it_waits_for_the_signal_and_takes_no_orders(serve: Serve, tmp_path: Path, by_request: bool) -> None:
    server, client = serve(replay=(write(tmp_path / "tape", trade(1, 10)),), speed=0, wait=True)
    with connect(f"{server.stream_url}/ws/btcusdt@trade") as socket:
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
        if by_request:
            client.http.post("/box/start", headers={"X-Box-Token": server.control_token})
        else:
            server.begin_replay()
        assert json.loads(socket.recv(timeout=5))["t"] == 1
    answer = client.order("BUY", type="MARKET", quantity="1")
    assert (answer.status_code, answer.json()["code"]) == (400, -1013)


def test_another_depth_rate_stands_in(market_data: Path) -> None:
    tape = Tape([market_data / "raw_ws_binance" / CAPTURES["futures"]])
    assert tape.resolve("ethusdt@depth@100ms") == "ethusdt@depth@0ms"
    assert tape.resolve("ethusdt@trade") == "ethusdt@trade"
    assert tape.resolve("btcusdt@depth@100ms") == "btcusdt@depth@100ms"


def test_a_slow_reader_is_waited_for(serve: Serve, tmp_path: Path) -> None:
    count, padding = 3000, "x" * 6000  # 18 MB: more than the system's socket buffers hold
    messages = [trade(number, number) for number in range(1, count + 1)]
    for _, message in messages:
        message["data"]["padding"] = padding
    server, _ = serve(replay=(write(tmp_path / "tape", *messages),), speed=0)
    with connect(f"{server.stream_url}/ws/btcusdt@trade", max_queue=4) as socket:
        socket.recv(timeout=5)
        time.sleep(1)
        assert server.state()["replay"]["played"]["btcusdt@trade"] < count
        assert [json.loads(text)["t"] for text in take(socket, count - 1)] == list(range(2, count + 1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no messages"),
        (b"hello\n", "line 1"),
        (b'1 {"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":1,"p":"1","q":"1"}}\nx {}\n', "line 2"),
        (gzip.compress(b'1 {"stream":"a@trade","data":{"s":"A"}}\n' * 1000)[:-20], "whole"),
    ],
)
def test_a_bad_tape_is_named_before_anything_starts(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        Tape([path])
    assert str(path) in str(error.value)
