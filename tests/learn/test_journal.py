"""The journal of trials: what was finished is there again, whatever cut the writing off."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantlytic.learn.training.journal import Journal, Tried
from quantlytic.model.errors import StoreError

TRIALS = [Tried(k, {"c": 0.1 * k, "kind": "é", "flag": True}, [0.69 + k / 7, 0.7], k == 1) for k in range(4)]


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "tuning" / "search.jsonl"
    journal = Journal(path)
    assert journal.finished == {}
    for tried in TRIALS:
        journal.add(tried)
    assert Journal(path).finished == {one.number: one for one in TRIALS} == journal.finished


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 400))
def test_cut_anywhere_it_goes_on(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / "search.jsonl"
    for tried in TRIALS[:3]:
        Journal(path).add(tried)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(cut, len(whole))])
    journal = Journal(path)
    lines = whole[: min(cut, len(whole))].split(b"\n")
    assert sorted(journal.finished) == [k for k, one in enumerate(whole.split()[1::2]) if any(one in x for x in lines)]
    journal.add(TRIALS[3])
    again = Journal(path).finished
    assert again == journal.finished
    assert again[3] == TRIALS[3]


def test_a_changed_line_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    for tried in TRIALS:
        Journal(path).add(tried)
    path.write_bytes(path.read_bytes().replace(b'"c":0.2', b'"c":0.9'))
    assert sorted(Journal(path).finished) == [0, 1, 3]


def test_a_full_disk_is_one_line_and_costs_one_trial(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    journal = Journal(path)
    journal.add(TRIALS[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
        with pytest.raises(StoreError, match=r"journal of trials .* cannot be written") as found:
            journal.add(TRIALS[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "\n" not in str(found.value)
    journal.add(TRIALS[2])
    assert sorted(Journal(path).finished) == [0, 2]


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "search.jsonl").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        Journal(tmp_path / "search.jsonl")
