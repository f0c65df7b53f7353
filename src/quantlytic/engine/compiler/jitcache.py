"""Compiled code kept on disk, keyed by the fingerprint of all it depends on (Numba's own cache looks at one file only).

Whatever is wrong with the folder or a file in it means compiling again, never an error: at most one line of warning. Files
carry a checksum, since machine code that was damaged would end the process. The folder is kept below a size; what was not
used for longest goes first.
"""

# mypy: disable-error-code="call-arg, no-untyped-call, arg-type, override, misc, unused-ignore, assignment"
# Numba describes its own interfaces only in part.

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding as llvm
from numba.core.caching import Cache, CompileResultCacheImpl, _CacheLocator
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

LIMIT_BYTES = 512 * 2**20
"""How large the folder may become."""

LARGE = ("run", "run_trades", "run_tape", "attend")
"""The engine's loops and the rest of the broker: those that a person waits for. Before one of them is compiled, the logger
`quantlytic.compiler` is told so, at level INFO."""


def cache_folder() -> Path:
    """`QUANTLYTIC_CACHE`, else `NUMBA_CACHE_DIR`, else the user's cache folder."""
    for variable in ("QUANTLYTIC_CACHE", "NUMBA_CACHE_DIR"):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / "compiled"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "quantlytic" / "compiled"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "quantlytic" / "compiled"


@functools.cache
def _toolchain() -> str:
    """What turns code into machine code: versions, and our own part of the compiler."""
    digest = hashlib.sha256()
    for name in (
        "coldlink.py",
        "compilable.py",
        "intrinsics.py",
        "jit.py",
        "outcall.py",
        "part.py",
        "record.py",
        "recordtype.py",
    ):
        digest.update((Path(__file__).parent / name).read_bytes())
    return f"{sys.version} {numba.__version__} {llvmlite.__version__} {np.__version__} {digest.hexdigest()}"


class _Locator(_CacheLocator):
    def __init__(self, py_func: types.FunctionType, py_file: str) -> None:
        self._py_file = py_file
        self._key: str = py_func.__dict__["fingerprint"]

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return f"{self._key} {_toolchain()}"

    def get_disambiguator(self) -> str:
        return self._key[:24]

    @classmethod
    def from_function(cls, py_func: types.FunctionType, py_file: str) -> _Locator | None:
        self = cls(py_func, py_file)
        try:
            self.ensure_cache_path()
        except OSError as error:
            _warn(error)
            return self if cache_folder().is_dir() else None  # what is there may still be read
        return self


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012 - Numba's own way

    def reduce(self, compiled: Any) -> Any:
        module = compiled.library._final_module
        symbols = [one.name for one in module.functions if one.is_declaration and not one.name.startswith("llvm.")]
        packed = dumps((super().reduce(compiled), symbols))
        return hashlib.sha256(packed).digest(), packed

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        """Loaded code needs nothing of the compiler but the symbols it calls. Only when one is not there yet, the whole
        compiler is imported, which takes longer than all else: a missing symbol would end the process."""
        checksum, packed = payload
        if hashlib.sha256(packed).digest() != checksum:
            raise ValueError("damaged")
        rtsys.initialize(target_context)
        compiled, symbols = pickle.loads(packed)
        if any(llvm.address_of_symbol(name) is None for name in symbols):
            target_context.refresh()
        return super().rebuild(target_context, compiled)

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{fullname.rpartition('.')[2][:40]}-{self.locator.get_disambiguator()}"


def prune(folder: Path, limit: int) -> None:
    """Delete what was not used for longest until at most `limit` bytes are left: whole entries, index and code."""
    entries: dict[str, list[os.stat_result]] = {}
    with os.scandir(folder) as files:
        for file in files:
            with contextlib.suppress(OSError):  # another process was quicker
                entries.setdefault(file.name.partition(".")[0], []).append(file.stat())
    sizes = {name: sum(one.st_size for one in stats) for name, stats in entries.items()}
    total = sum(sizes.values())
    for name in sorted(entries, key=lambda name: max(one.st_mtime for one in entries[name])):
        if total <= limit:
            return
        for path in folder.glob(f"{name}.*"):
            path.unlink(missing_ok=True)
        total -= sizes[name]


@functools.cache
def _warn_once(reason: str) -> None:
    logging.getLogger("quantlytic").warning(
        "compiled code cannot be kept in %s (%s): each start compiles anew", cache_folder(), reason
    )


def _warn(error: OSError) -> None:
    if not _warn_once.cache_info().currsize:
        _warn_once(error.strerror or str(error))


def _tell(function: Any) -> None:
    if function.__name__ in LARGE and function.__module__.startswith("quantlytic.engine."):
        logging.getLogger("quantlytic.compiler").info("compiling %s.%s", function.__module__, function.__name__)


class FingerprintCache(Cache):
    """A function's compiled forms. Anything wrong with the files means compiling again, never an error."""

    _impl_class = _Impl

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        return sig, codegen.magic_tuple(), self._impl.locator.get_source_stamp()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # Numba's own method begins with `refresh`, which imports all that the compiler knows; `rebuild` does, if need be.
        try:
            found = self._load_overload(sig, target_context)
            if found is not None:
                with contextlib.suppress(OSError):
                    os.utime(self._cache_file._index_path)
            else:
                _tell(self._py_func)
            return found
        except Exception:  # unpickling what is damaged raises anything
            with contextlib.suppress(OSError):
                self.flush()  # an index that cannot be read could not be added to either
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
            prune(cache_folder(), LIMIT_BYTES)
        except OSError as error:  # read-only, or full
            _warn(error)
        except Exception:  # what cannot be packed is compiled each time
            return


def attach_cache(dispatcher: Any) -> None:
    """Give a dispatcher, whose Python function carries `fingerprint`, its place on disk, where there is one."""
    try:
        dispatcher._cache = FingerprintCache(dispatcher.py_func)
    except RuntimeError:
        return
