"""Where a lake's objects are: a folder or a bucket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantlytic.model.errors import StoreError
from quantlytic.store.lake.reason import one_line


def open_objects(address: str, options: Mapping[str, str] | None = None) -> Any:
    """The object store at `address`: a folder (made if missing), or a URL such as `s3://bucket/prefix`; `options` as `Lake`
    takes them. Raises StoreError when it cannot be opened."""
    from obstore.store import LocalStore, from_url

    given = dict(options or {})
    try:
        if "://" in address:
            named: Any = {name: value for name, value in given.items() if name != "allow_http"}
            plain: Any = {"allow_http": given.get("allow_http") == "true"}
            return from_url(address, config=named, client_options=plain)
        Path(address).mkdir(parents=True, exist_ok=True)
        return LocalStore(address, mkdir=True)
    except Exception as error:
        raise StoreError(f"the lake {address} cannot be opened: {one_line(error)}") from None
