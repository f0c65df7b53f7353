"""Raw objects: every frame verbatim and once, whole objects or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.store.lake.events import DAY_NS, T0
from tests.store.lake.test_table import files_of_at_most

from quantlytic.model.errors import DataError, StoreError
from quantlytic.model.frame import RawFrame
from quantlytic.store.lake import Lake


def frames(first: int, count: int, start_ns: int = T0) -> list[RawFrame]:
    return [RawFrame("ws-0", start_ns + i, "", b'{"n":%d}' % i) for i in range(first, first + count)]


@settings(max_examples=25, deadline=None)
@given(
    payloads=st.lists(
        st.tuples(st.text(max_size=9), st.text(max_size=9), st.binary(max_size=40), st.integers(1, 9)), min_size=1
    )
)
def test_frames_come_back_verbatim(
    tmp_path_factory: pytest.TempPathFactory, payloads: list[tuple[str, str, bytes, int]]
) -> None:
    given_frames = [RawFrame(name, T0 + i, channel, content) for i, (name, channel, content, _) in enumerate(payloads)]
    offsets = [sum(step for *_, step in payloads[: i + 1]) for i in range(len(payloads))]  # Kafka leaves holes
    raw = Lake(tmp_path_factory.mktemp("lake")).raw
    middle = len(payloads) // 2
    raw.append("box", offsets[:middle], given_frames[:middle])
    raw.append("box", offsets[middle:], given_frames[middle:])
    assert list(raw.frames("box")) == list(zip(offsets, given_frames, strict=True))


def test_names_say_what_is_inside(tmp_path: Path) -> None:
    raw = Lake(tmp_path).raw
    raw.append("box", range(7, 12), frames(7, 5))
    (item,) = raw.objects("box")
    assert (item.venue, item.date, item.first_offset, item.last_offset, item.frames) == ("box", "2024-08-09", 7, 11, 5)
    assert (tmp_path / item.key).stat().st_size == item.bytes
    assert raw.venues() == ["box"]
    assert Lake(tmp_path).raw.last_offset("box") == 11


def test_repeats_and_overlaps_are_read_once(tmp_path: Path) -> None:
    first, second = Lake(tmp_path).raw, Lake(tmp_path).raw
    assert second.last_offset("box") is None  # it now believes that nothing is there
    assert first.append("box", range(0, 10), frames(0, 10)) == 10
    assert first.append("box", range(0, 10), frames(0, 10)) == 0
    assert second.append("box", range(0, 10), frames(0, 10)) == 0  # the object exists: never written over
    second = Lake(tmp_path).raw
    assert second.last_offset("box") == 9
    assert first.append("box", range(10, 20), frames(10, 10)) == 10
    assert second.append("box", range(10, 25), frames(10, 15)) == 15  # cut differently by one that was behind
    assert [offset for offset, _ in Lake(tmp_path).raw.frames("box")] == list(range(25))


def test_a_clock_that_jumps_back_hides_nothing(tmp_path: Path) -> None:
    raw = Lake(tmp_path).raw
    raw.append("box", range(0, 3), frames(0, 3, T0 + 3 * DAY_NS))
    raw.append("box", range(3, 6), frames(3, 3, T0))
    again = Lake(tmp_path).raw
    assert again.last_offset("box") == 5
    assert [offset for offset, _ in again.frames("box")] == list(range(6))


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damage_is_named(tmp_path: Path, damage: str) -> None:
    raw = Lake(tmp_path).raw
    raw.append("box", range(0, 50), frames(0, 50))
    path = tmp_path / raw.objects("box")[0].key
    content = bytearray(path.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "flip":
        content[len(content) // 2] ^= 0xFF
    else:
        content.clear()
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"raw object raw/box/.* is damaged"):
        list(raw.frames("box"))


def test_a_full_disk_leaves_no_object(tmp_path: Path) -> None:
    raw = Lake(tmp_path).raw
    with files_of_at_most(64), pytest.raises(StoreError, match="cannot be written"):
        raw.append("box", range(500), frames(0, 500))
    assert raw.objects("box") == []
    assert raw.append("box", range(500), frames(0, 500)) == 500


def test_a_venue_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be a venue's name"):
        Lake(tmp_path).raw.append("../box", range(1), frames(0, 1))
