"""Draws the parts of a split: one byte per item. Pure; called by make_split.py.

Draws depend on the seed and the item's number only, by integer arithmetic that is the same on every machine.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.datasets.items import PART_NAMES, TEST, TRAIN, UNUSED, VALIDATION
from app.errors import Invalid

Array = Any  # numpy arrays; their element types are in the docstrings
PIECE = 65_536
_ROUND = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Drawn:
    """The parts of all items (one byte each), what was done in sentences, and groups where there are any."""

    parts: bytes
    remarks: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    group_of: list[int] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Items per part."""
        return {name: self.parts.count(code) for code, name in enumerate(PART_NAMES)}


def split_hash(dataset_sha256: str, parts: bytes) -> str:
    """SHA-256 over the dataset's hash (as hexadecimal text) and the parts."""
    return hashlib.sha256(dataset_sha256.encode() + parts).hexdigest()


def from_file(
    file_parts: Array,
    of_train: float = 0.0,
    seed: int = 1,
    strata: Array | None = None,
    same: tuple[Array, Array] | None = None,
    test_of_train: float = 0.0,
) -> Drawn:
    """The file's own parts (uint8); items without one go to train. `test_of_train` and then `of_train` of train, drawn
    by seed, become the test and validation part of a file that names none; `strata` and `same` as for seeded()."""
    parts = np.where(file_parts == UNUSED, TRAIN, file_parts).astype(np.uint8)
    remarks = ["Parts are those that the file's own split key names."]
    if lost := int((file_parts == UNUSED).sum()):
        remarks.append(f"{lost:,} rows name no split while others do; they went to train.")
    if test_of_train:
        remarks.append(_draw_part(parts, TEST, test_of_train, seed, strata, same))
    if of_train:
        remarks.append(_draw_part(parts, VALIDATION, of_train, seed, strata, same))
    elif not (parts == VALIDATION).any():
        remarks.append("The file names no validation part; an experiment can draw one from train by seed.")
    return Drawn(parts.tobytes(), remarks)


def _draw_part(
    parts: Array, code: int, share: float, seed: int, strata: Array | None, same: tuple[Array, Array] | None
) -> str:
    """Moves a share of train to another part, in place; the sentence that says so. Raises Invalid where it cannot."""
    name = PART_NAMES[code]
    if (parts == code).any():
        raise Invalid(
            f"The file names a {name} part already.",
            f"Leave the share of train empty: the file's own {name} part is taken.",
            {name: f"the file has a {name} part"},
        )
    check_shares(0.0, share)
    pool = parts == TRAIN
    followers, leaders = _twins_within(pool, same) if same is not None else (parts[:0], parts[:0])
    pool[followers] = False
    codes = np.zeros(len(parts), np.int8) if strata is None else strata
    sizes = np.bincount(codes[pool], minlength=int(codes.max(initial=0)) + 1)
    wanted = _shares(sizes, share)
    for stratum in np.flatnonzero(sizes):
        members = np.flatnonzero(pool & (codes == stratum)).astype(np.int32)
        parts[members[_smallest(lots(members, seed), int(wanted[stratum]))]] = code
    parts[followers] = parts[leaders]
    if not (parts == TRAIN).any() or not (parts == code).any():
        raise Invalid(f"The train part is too small to draw {name} from.", "Take all of it for training.")
    how = "stratified by label" if strata is not None else "without regard to the answers"
    return f"{100 * share:.4g} % of its train part, drawn by seed {seed}, {how}, are the {name} part."


def _twins_within(pool: Array, same: tuple[Array, Array]) -> tuple[Array, Array]:
    """(items of the pool that repeat the prompt of an earlier one of it, those earlier ones)."""
    inside = pool[same[0]]
    numbers, firsts = same[0][inside], same[1][inside]
    _, first, of = np.unique(firsts, return_index=True, return_inverse=True)
    leaders = numbers[first][of]
    return numbers[numbers != leaders], leaders[numbers != leaders]


def seeded(
    items: int,
    test: float,
    validation: float,
    seed: int,
    strata: Array | None = None,
    same: tuple[Array, Array] | None = None,
) -> Drawn:
    """Draws `test` and `validation` (shares of 1) by seed.

    `strata` are label codes (0, 1, ...) per item: each part then gets each label's share, by largest
    remainder. `same` is (numbers, first numbers) of items that share a prompt: they follow the first one.
    """
    check_shares(test, validation)
    parts = np.full(items, TRAIN, np.uint8)
    pool = np.ones(items, bool)
    if same is not None:
        pool[same[0][same[0] != same[1]]] = False
    codes = np.zeros(items, np.int8) if strata is None else strata
    sizes = np.bincount(codes[pool], minlength=int(codes.max(initial=0)) + 1)
    tests = _shares(sizes, test)
    validations = np.minimum(_shares(sizes, validation), sizes - tests)
    for code in np.flatnonzero(sizes):
        members = np.flatnonzero(pool & (codes == code)).astype(np.int32)
        drawn = lots(members, seed)
        parts[members[_smallest(drawn, int(tests[code] + validations[code]))]] = VALIDATION
        parts[members[_smallest(drawn, int(tests[code]))]] = TEST
    if same is not None:
        parts[same[0]] = parts[same[1]]
    return Drawn(parts.tobytes(), _seeded_remarks(test, validation, seed, strata, int((~pool).sum())))


def _seeded_remarks(
    test: float, validation: float, seed: int, strata: Array | None, followed: int
) -> list[str]:
    how = "stratified by label" if strata is not None else "without regard to the answers"
    remarks = [
        f"Drawn by seed {seed}, {how}: {test:.4g} of the items to test, {validation:.4g} to validation."
    ]
    if followed:
        remarks.append(
            f"{followed:,} items repeat the prompt of an earlier one (but for case and blanks); each went to "
            "the part of the first, so no prompt stands in two parts and shares differ a little."
        )
    return remarks


def grouped(
    group_of: Array,
    groups: Sequence[str],
    test: float,
    validation: float,
    seed: int,
    test_groups: Sequence[str] = (),
    validation_groups: Sequence[str] = (),
) -> Drawn:
    """Holds out whole groups: those named, or where none is named, groups drawn by seed until the share is met.

    `group_of` is each item's index in `groups`, -1 for none (such items go to train). Raises Invalid for
    groups that do not exist or when nothing would be left to train on.
    """
    check_shares(test, validation)
    sizes = np.bincount(group_of[group_of >= 0], minlength=len(groups))
    known = {name: index for index, name in enumerate(groups)}
    tests = _named(test_groups, known, "test_groups")
    validations = _named(validation_groups, known, "validation_groups")
    if both := set(tests) & set(validations):
        raise Invalid(
            f"The group {groups[min(both)]!r} is named for test and for validation.", "Name it once."
        )
    free = [i for i in sorted(known.values(), key=lambda i: _lot_of(groups[i], seed)) if i not in validations]
    tests = tests or _draw(free, sizes, test, len(group_of))
    free = [i for i in free if i not in tests]
    validations = validations or _draw(free, sizes, validation, len(group_of))
    part_of = np.zeros(len(groups) + 1, np.uint8)
    part_of[tests], part_of[validations] = TEST, VALIDATION
    # Index -1 is the last place, which stays TRAIN.
    parts = part_of[group_of]
    if not (parts == TRAIN).any():
        raise Invalid("No item would be left to train on.", "Hold out fewer groups, or group more finely.")
    remarks = _grouped_remarks(
        [groups[i] for i in tests],
        [groups[i] for i in validations],
        "" if test_groups else f" by seed {seed}",
    )
    if lost := int((group_of < 0).sum()):
        remarks.append(f"{lost:,} items belong to no group; they went to train.")
    return Drawn(parts.tobytes(), remarks, list(groups), group_of.tolist())


def _grouped_remarks(tests: list[str], validations: list[str], how: str) -> list[str]:
    named = ", ".join(tests[:10]) + (f" and {len(tests) - 10} more" if len(tests) > 10 else "")
    remarks = [f"Whole groups are held out for test{how or ', as chosen'}: {named}."]
    if validations:
        remarks.append(
            f"{len(validations)} other groups are held out for validation: {', '.join(validations[:10])}."
        )
    return remarks


def _named(names: Sequence[str], known: dict[str, int], field_name: str) -> list[int]:
    strangers = [name for name in names if name not in known]
    if strangers:
        some = ", ".join(list(known)[:10])
        raise Invalid(
            f"There is no group {strangers[0]!r}.",
            f"Groups are {some}{' ...' if len(known) > 10 else ''}.",
            {field_name: f"no such group: {strangers[0]}"},
        )
    return [known[name] for name in dict.fromkeys(names)]


def _draw(free: list[int], sizes: Array, share: float, items: int) -> list[int]:
    """Groups in the order of their lots, each taken while it brings the sum nearer to the share."""
    wanted, held = share * items, 0
    taken: list[int] = []
    for index in free[:-1] if share else []:
        size = int(sizes[index])
        if not taken or abs(held + size - wanted) < abs(held - wanted):
            taken.append(index)
            held += size
        if held >= wanted:
            break
    return taken


def check_shares(test: float, validation: float) -> None:
    """Raises Invalid unless both shares are in 0..1 and leave something to train on."""
    for name, share in (("test", test), ("validation", validation)):
        if not 0 <= share < 1:
            raise Invalid(
                f"The share of {name} is {share:g}.",
                "Write a share from 0 to below 1, for example 0.1 for 10 %.",
                {name: "a share from 0 to below 1"},
            )
    if test + validation >= 1:
        raise Invalid(
            f"Test and validation together are {test + validation:.4g}: nothing is left to train on.",
            "Make them smaller.",
            {"test": "together below 1"},
        )


def _shares(sizes: Array, share: float) -> Array:
    """How many of each stratum: in sum `share` of all (at least 1 of 3 or more), by largest remainder."""
    total = round(float(sizes.sum()) * share)
    if share and not total and sizes.sum() > 2:
        total = 1
    exact = sizes * (total / max(1, int(sizes.sum())))
    given = np.floor(exact + 1e-9).astype(np.int64)
    rest = np.argsort(-(exact - given), kind="stable")[: max(0, total - int(given.sum()))]
    given[rest] += 1
    return np.minimum(given, sizes)


def lots(numbers: Array, seed: int) -> Array:
    """A lot (uint32) for each number, by SplitMix64 (Steele, Lea and Flood 2014): the same on every machine."""
    first = np.uint64(int.from_bytes(hashlib.sha256(str(seed).encode()).digest()[:8], "little"))
    drawn = np.empty(len(numbers), np.uint32)
    # In pieces, as each step makes an array of 8 bytes an item.
    for start in range(0, len(numbers), PIECE):
        state = (numbers[start : start + PIECE].astype(np.uint64) + np.uint64(1)) * _ROUND + first
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        drawn[start : start + PIECE] = (state ^ (state >> np.uint64(31))) >> np.uint64(32)
    return drawn


def _smallest(drawn: Array, count: int) -> Array:
    """Which `count` lots are the smallest (bool); of equal lots the earlier ones."""
    if not count:
        return np.zeros(len(drawn), bool)
    edge = np.partition(drawn, count - 1)[count - 1]
    chosen = drawn < edge
    chosen[np.flatnonzero(drawn == edge)[: count - int(chosen.sum())]] = True
    return chosen


def _lot_of(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\x00{name}".encode()).hexdigest()
