"""The page's token: made once, for this user alone; a damaged file is said, and never opens the page."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from quantlytic.app.bootstrap import Bootstrap
from quantlytic.app.config import load_settings
from quantlytic.model.errors import StoreError


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bootstrap:
    monkeypatch.chdir(tmp_path)
    return Bootstrap(load_settings(home=tmp_path))


def test_it_is_made_once_for_this_user_alone(bootstrap: Bootstrap, tmp_path: Path) -> None:
    token = bootstrap.stores.token()
    assert len(token) >= 32
    assert bootstrap.stores.token() == token
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["token"]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe" * 20, b"with spaces in the middle", None])
def test_a_damaged_file_is_one_line(bootstrap: Bootstrap, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "token"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"token .* move it away for a new one"):
        bootstrap.stores.token()
