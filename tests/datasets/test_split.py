"""The pure draws: exact shares, the same on every machine, whole groups, prompts kept together."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.items import TEST, TRAIN, UNUSED, VALIDATION
from app.datasets.split import from_file, grouped, lots, seeded, split_hash
from app.errors import Invalid

LABELS = np.array([0] * 70 + [1] * 20 + [2] * 10)


def test_seeded_split_is_the_same_on_every_machine() -> None:
    drawn = seeded(1000, 0.1, 0.1, seed=1)
    assert lots(np.arange(3), 1).tolist() == FIRST_LOTS
    assert hashlib.sha256(drawn.parts).hexdigest() == THOUSAND
    assert seeded(1000, 0.1, 0.1, seed=1).parts == drawn.parts
    assert seeded(1000, 0.1, 0.1, seed=2).parts != drawn.parts


# SplitMix64 worked out by hand for the numbers 0, 1, 2 and the seed's first state, top 32 bits.
MASK = 2**64 - 1


def lot(number: int, seed: int) -> int:
    """The same lot in plain Python whole numbers."""
    state = int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little")
    state = (state + (number + 1) * 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return (state ^ (state >> 31)) >> 32


FIRST_LOTS = [lot(number, 1) for number in range(3)]
THOUSAND = "5e10fda0ce516baded42fc1be74815e5ab69af037a9477296bd861628037781c"


@given(
    items=st.integers(1, 400), test=st.floats(0, 0.5), validation=st.floats(0, 0.45), seed=st.integers(0, 99)
)
def test_seeded_shares_are_exact(items: int, test: float, validation: float, seed: int) -> None:
    counts = seeded(items, test, validation, seed).counts
    wanted = round(items * test) or (1 if test and items > 2 else 0)
    assert counts["test"] == wanted
    assert counts["unused"] == 0
    assert sum(counts.values()) == items
    if items > 2:
        assert counts["train"] >= 1


def test_seeded_split_is_stratified_by_label() -> None:
    parts = np.frombuffer(seeded(100, 0.1, 0.2, 3, LABELS).parts, np.uint8)
    assert Counter(LABELS[parts == TEST].tolist()) == {0: 7, 1: 2, 2: 1}
    assert Counter(LABELS[parts == VALIDATION].tolist()) == {0: 14, 1: 4, 2: 2}


@given(st.lists(st.integers(0, 6), min_size=3, max_size=200), st.integers(0, 50))
def test_seeded_split_keeps_prompts_together(keys: list[int], seed: int) -> None:
    first = {key: keys.index(key) for key in keys}
    same = (np.arange(len(keys)), np.array([first[key] for key in keys]))
    drawn = seeded(len(keys), 0.2, 0.2, seed, None, same)
    parts_of: dict[int, set[int]] = {}
    for key, part in zip(keys, drawn.parts, strict=True):
        parts_of.setdefault(key, set()).add(part)
    assert all(len(parts) == 1 for parts in parts_of.values())
    assert len(set(keys)) == len(keys) or any("repeat the prompt" in remark for remark in drawn.remarks)


@pytest.mark.parametrize(("test", "validation"), [(1, 0), (-0.1, 0), (0.6, 0.4), (float("nan"), 0)])
def test_shares_that_leave_nothing_are_refused(test: float, validation: float) -> None:
    with pytest.raises(Invalid):
        seeded(100, test, validation, 1)


def test_file_split_is_honoured_and_says_what_is_missing() -> None:
    drawn = from_file(np.array([TRAIN, TEST, UNUSED, TRAIN], np.uint8))
    assert drawn.parts == bytes([TRAIN, TEST, TRAIN, TRAIN])
    assert any("no validation part" in remark for remark in drawn.remarks)
    assert any("1 rows name no split" in remark for remark in drawn.remarks)


GROUPS = ["a", "b", "c", "d", "e"]
GROUP_OF = np.array([0] * 40 + [1] * 30 + [2] * 15 + [3] * 10 + [4] * 3 + [-1] * 2)


@pytest.mark.parametrize("seed", range(8))
def test_grouped_split_holds_out_whole_groups(seed: int) -> None:
    drawn = grouped(GROUP_OF, GROUPS, 0.2, 0.1, seed)
    parts = np.frombuffer(drawn.parts, np.uint8)
    for group in range(len(GROUPS)):
        assert len(set(parts[group == GROUP_OF].tolist())) == 1
    assert (parts[GROUP_OF < 0] == TRAIN).all()
    assert drawn.counts["test"] > 0
    assert drawn.counts["train"] > 0
    assert drawn.group_of == GROUP_OF.tolist()
    assert any("2 items belong to no group" in remark for remark in drawn.remarks)


def test_named_groups_are_held_out() -> None:
    drawn = grouped(GROUP_OF, GROUPS, 0.2, 0, 1, test_groups=["b", "e"], validation_groups=["c"])
    parts = np.frombuffer(drawn.parts, np.uint8)
    assert set(GROUP_OF[parts == TEST].tolist()) == {1, 4}
    assert set(GROUP_OF[parts == VALIDATION].tolist()) == {2}
    assert "as chosen: b, e" in drawn.remarks[0]


@pytest.mark.parametrize(
    ("tests", "validations"), [(["z"], []), (["a"], ["a"]), (["a", "b", "c", "d", "e"], [])]
)
def test_groups_that_cannot_be_held_out_are_refused(tests: list[str], validations: list[str]) -> None:
    codes = np.maximum(GROUP_OF, 0)
    with pytest.raises(Invalid):
        grouped(codes, GROUPS, 0.1, 0, 1, tests, validations)


def test_hash_covers_dataset_and_parts() -> None:
    hashes = {split_hash("a" * 64, b"\0\1"), split_hash("b" * 64, b"\0\1"), split_hash("a" * 64, b"\1\0")}
    assert len(hashes) == 3
    assert split_hash("ab", b"\0\2") == hashlib.sha256(b"ab\0\2").hexdigest()
