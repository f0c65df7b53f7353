"""msgspec 0.22 prepares a Struct when a type that holds it is decoded for the first time, and dies (SIGSEGV) when two threads do
so at once. Services run in threads: they decode by decoders made when their module is imported."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import quantlytic

PACKAGE = Path(quantlytic.__file__).parent
ROOMS = ("services", "store", "telling", "trading", "web", "venues/binance", "venues/ccxt", "engine")
PLAIN = {"dict", "list", "tuple", "str", "int", "float", "bool", "bytes", "Any", "None"}
FILES = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
FILES += [PACKAGE / "research/runs" / name for name in ("beginning.py", "released.py")]


def prepared_late(source: str) -> list[int]:
    """Lines within functions that have msgspec prepare a type that is none of Python's own."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for call in ast.walk(function):
            if not isinstance(call, ast.Call) or not ast.unparse(call.func).startswith("msgspec."):
                continue
            name = ast.unparse(call.func).rpartition(".")[2]
            kinds = [one.value for one in call.keywords if one.arg == "type"] if name in ("decode", "Decoder") else []
            kinds += call.args[1:2] if name == "convert" else call.args[:1] if name == "Decoder" else []
            names = {one.id for kind in kinds for one in ast.walk(kind) if isinstance(one, ast.Name)}
            found += [call.lineno] if names - PLAIN else []
    return found


@pytest.mark.parametrize(
    ("line", "is_late"),
    [
        ("saved = msgspec.msgpack.decode(state, type=_State)", True),
        ("saved = msgspec.json.decode(state, type=list[_State])", True),
        ("saved = msgspec.json.Decoder(_State).decode(state)", True),
        ("saved = msgspec.convert(state, _State)", True),
        ("saved = msgspec.json.decode(state, type=dict[str, int])", False),
        ("saved = _STATE.decode(state)", False),
    ],
)
def test_it_is_seen(line: str, is_late: bool) -> None:
    assert bool(prepared_late(f"def restore(state):\n    {line}")) is is_late


def test_no_thread_prepares_a_type() -> None:
    late = [f"{path.relative_to(PACKAGE)}:{line}" for path in FILES for line in prepared_late(path.read_text("utf-8"))]
    assert not late, "make a decoder beside the class, at module level"


def test_threads_restore_at_once() -> None:
    program = """
import sys, threading
from quantlytic.research.runs.released import _STATE, _State
from quantlytic.services import executor, liveexecutor, recorder, strategist, turns
import msgspec
sys.setswitchinterval(1e-6)
gate = threading.Barrier(6)
def restore():
    for module, name in ((executor, "_SNAPSHOT"), (strategist, "_SNAPSHOT"), (turns, "_STATE"), (recorder, "_SAVED"),
                         (liveexecutor, "_SNAPSHOT")):
        gate.wait()
        try:
            getattr(module, name).decode(b"\\x90")
        except msgspec.ValidationError:
            pass
    _STATE.decode(msgspec.msgpack.encode(_State([], [], None)))
threads = [threading.Thread(target=restore) for _ in range(6)]
[one.start() for one in threads]
[one.join() for one in threads]
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
