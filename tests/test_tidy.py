"""Style is a test: imports point down, files and functions fit a screen, nothing dead lies about."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from quantlytic.app.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "quantlytic"

_BASE = {"strategies", "engine", "model"}
_RESEARCH = {"venues", "store", *_BASE}
_LEARN = {"research", *_RESEARCH}
_ACTING = {"learn", "daily", "telling", "trading", *_LEARN}
# room -> the rooms it may import; deferred imports count
MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "engine": {"model"},
    "strategies": {"engine", "model", "indicators", "__init__"},
    "store": {"model"},
    "venues": {"model"},
    "research": _RESEARCH,
    "learn": _LEARN,
    "trading": {"venues", "store", "engine", "model"},
    "telling": {"research", "store", *_BASE},
    "daily": {"telling", *_LEARN},
    "services": _ACTING,
    "web": {"store", "model"},
    "app": {"services", "web", *_ACTING},
    "indicators": {"engine"},
    "__init__": {"research", "store", "indicators", *_BASE},
    "__main__": {"app"},
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
MAX_PUBLIC_METHODS = 15
# What is longer on purpose, and why.
LONG_ON_PURPOSE: dict[str, str] = {}
# What nothing here imports, and who does.
IMPORTED_FROM_OUTSIDE: dict[str, str] = {
    "quantlytic.__main__": "python -m quantlytic",
    "quantlytic.venues.ccxt.recording": "the captures of 15 venues, read with ccxt's own handlers: their tests",
}


def source_files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@functools.cache
def imports_of(path: Path) -> frozenset[str]:
    """Every quantlytic module a file imports, at the top or deferred, by statement or by a string that names one."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import; write the whole name"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("quantlytic."):
            found.add(node.value)
    return frozenset(name for name in found if name == "quantlytic" or name.startswith("quantlytic."))


def test_imports_point_down() -> None:
    rooms = {one.stem for one in PACKAGE.iterdir() if one.is_dir() or one.suffix == ".py"}
    wrong = [
        f"{module_name(path)} must not import {name}"
        for path in source_files()
        for name in sorted(imports_of(path) - {"quantlytic"})
        if (target := room_of(name)) in rooms - {room := room_of(module_name(path))} and target not in MAY_IMPORT[room]
    ]
    assert wrong == []


def test_no_import_circles() -> None:
    graph = {module_name(p): set(imports_of(p)) for p in source_files()}
    graph = {m: {n for n in names if n in graph and n != m} for m, names in graph.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, "circle: " + " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_all_fits_a_screen() -> None:
    too_long = [
        f"{name} {what}: {count}, at most {most}"
        for path in source_files()
        for name in [str(path.relative_to(PACKAGE))]
        for what, count, most in sizes_of(path)
        if count > most and f"{name}{':' if what else ''}{what}" not in LONG_ON_PURPOSE
    ]
    assert too_long == []


def sizes_of(path: Path) -> Iterator[tuple[str, int, int]]:
    """(of what, lines or public methods, at most so many): the file (""), its functions, its classes."""
    yield "", len(path.read_text().splitlines()), MAX_FILE_LINES
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1, MAX_FUNCTION_LINES
        elif isinstance(node, ast.ClassDef):
            public = [n for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
            yield node.name, len(public), MAX_PUBLIC_METHODS


def test_every_module_is_used() -> None:
    used = set().union(*(imports_of(p) for p in source_files()))
    folders = ("strategies", "store/control/migrations", "store/control/migrations/versions")  # found by name
    by_name = {module_name(p) for folder in folders for p in (PACKAGE / folder).glob("*.py")}
    by_name |= {f"quantlytic.app.commands.{name}" for name in COMMANDS}
    for path in source_files():
        module = module_name(path)
        if path.name != "__init__.py" and module not in IMPORTED_FROM_OUTSIDE and module not in by_name:
            assert module in used, f"{module} is imported by nothing"


def test_every_module_says_what_it_is() -> None:
    for path in source_files():
        assert ast.get_docstring(tree_of(path)) or not path.read_text().strip(), f"{path} has no docstring"


def test_no_machine_paths_or_hosts() -> None:
    for path in [*source_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        if path == Path(__file__) or not path.exists():
            continue
        text = path.read_text()
        for mark in ("/work/", "/root/"):
            assert mark not in text, f"{path} names a path of one machine: {mark}"
