"""The page of a sweep: right places, nothing from elsewhere, readable without colours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.engine.market import workload_bars

import quantlytic as ql
from quantlytic.model.errors import InputError
from quantlytic.strategies.sma_cross import SmaCross


@pytest.fixture(scope="module")
def swept() -> Any:
    return ql.sweep(SmaCross, workload_bars(50_000), fast=[3, 5, 500], slow=[20, 40], weight=[0.5, 0.9], jobs=1)


def cells_of(page: str) -> list[str]:
    first = page[page.index('data-map="sharpe"') :]
    body = first[first.index("<tbody>") : first.index("</tbody>")]
    return re.findall(r"<td[^>]*>([^<]*)</td>", body)


def test_every_place_has_its_figure(swept: Any, tmp_path: Path) -> None:
    path = swept.heatmap("fast", "slow", path=tmp_path / "map.html")
    page = path.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert (
        "Up to 2 runs, alike in fast and slow but not in the rest, share a place, which shows the highest of them"
        in page
    )
    ratios = swept.table["sharpe"].to_list()
    expected = []
    for slow in (40, 20):
        for fast in (3, 5):
            both = [
                ratios[cell]
                for cell, params in enumerate(swept.cells)
                if (params["fast"], params["slow"]) == (fast, slow)
            ]
            expected.append(f"{max(both):.2f}".replace("-", "−"))
        expected.append("–")
    assert [one.removeprefix("★ ") for one in cells_of(page)] == expected
    best = max(ratio for ratio in ratios if ratio is not None)
    assert [one for one in cells_of(page) if "★" in one] == [f"★ {best:.2f}".replace("-", "−")]
    assert "4 cells without a result" in page
    assert "is a whole number from 2 to 200, not 500" in page


def test_the_same_sweep_gives_the_same_bytes(swept: Any, tmp_path: Path) -> None:
    pages = [swept.heatmap("slow", "weight", "max_drawdown", path=tmp_path / name).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


def test_wrong_names_are_told(swept: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no parameter 'quick' to draw the map over: there are fast, slow, weight"):
        swept.heatmap("quick", path=tmp_path / "map.html")
    with pytest.raises(InputError, match="two different parameters"):
        swept.heatmap("fast", "fast", path=tmp_path / "map.html")
    with pytest.raises(InputError, match="no metric 'luck'"):
        swept.heatmap(metric="luck", path=tmp_path / "map.html")
    with pytest.raises(InputError, match="not a regular file"):
        swept.heatmap(path=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_many_values_are_put_into_ranges(tmp_path: Path) -> None:
    """Random draws of a number have no columns of their own."""
    found = ql.sweep(
        SmaCross, workload_bars(50_000), draws=60, seed=4, fast=(2, 200), weight=(0.1, 0.9), slow=200, jobs=1
    )
    page = found.plot(tmp_path / "map.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<th scope="col">[\d.]+–[\d.]+</th>', page[: page.index("</thead>")])) == 12
