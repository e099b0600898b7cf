"""Deals a dataset's items into folds, and nests subsets of train. Pure; called by make_folds.py.

Depends on the seed and the items' numbers only, by integer arithmetic that is the same on every machine.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.datasets.items import TEST, TRAIN, UNUSED
from app.datasets.split import lots

Array = Any  # numpy arrays; their element types are in the docstrings
# In fold_of: an item that no fold tests, so that it is trained on in all of them.
NEVER = -1


def deal(items: int, folds: int, seed: int, strata: Array | None = None, same: Any = None) -> Array:
    """The fold (int32, from 0) in which each item is tested, every item in exactly one.

    Each stratum (a label's code per item) is dealt out by lot, one item to each fold in turn, and the next
    stratum goes on where the last one stopped: sizes of folds differ by one item at most, and so do a label's.
    `same` is (numbers, first numbers) of items that share a prompt: they follow the first, and sizes differ
    by that much more.
    """
    fold_of = np.full(items, NEVER, np.int32)
    pool = np.ones(items, bool)
    if same is not None:
        pool[same[0][same[0] != same[1]]] = False
    numbers = np.flatnonzero(pool).astype(np.int32)
    codes = np.zeros(len(numbers), np.int64) if strata is None else np.asarray(strata)[numbers]
    order = np.lexsort((numbers, lots(numbers, seed), codes))
    fold_of[numbers[order]] = np.arange(len(order)) % folds
    if same is not None:
        fold_of[same[0]] = fold_of[same[1]]
    return fold_of


def deal_groups(group_of: Array, groups: Sequence[str], folds: int, seed: int) -> Array:
    """The fold (int32) of each item, whole groups together: the largest group first, each into the fold that
    is smallest so far (as scikit-learn's GroupKFold does); equal ones by lot. Items without a group: NEVER.
    """
    sizes = np.bincount(group_of[group_of >= 0], minlength=len(groups))
    lot = [hashlib.sha256(f"{seed}\x00{name}".encode()).hexdigest() for name in groups]
    fold_of_group = np.full(len(groups) + 1, NEVER, np.int32)
    held = [0] * folds
    for group in sorted(range(len(groups)), key=lambda index: (-int(sizes[index]), lot[index])):
        fold = held.index(min(held))
        fold_of_group[group] = fold
        held[fold] += int(sizes[group])
    # Index -1 is the last place, which stays NEVER.
    return fold_of_group[group_of]


def parts_of_fold(fold_of: Array, fold: int) -> bytes:
    """One byte an item: the fold's items are test, all others train."""
    return np.where(fold_of == fold, TEST, TRAIN).astype(np.uint8).tobytes()


def pooled_parts(fold_of: Array) -> bytes:
    """One byte an item: those that some fold tests are test, the others unused."""
    return np.where(fold_of == NEVER, UNUSED, TEST).astype(np.uint8).tobytes()


def nested(parts: Array, share: float, seed: int, strata: Array | None = None) -> bytes:
    """The parts with only `share` of train left (the rest unused); validation and test stay.

    Of the same seed, the items of a smaller share are all in a larger one. Within train, items stand in an
    order in which every beginning has each stratum's share, to within one item.
    """
    train = np.flatnonzero(parts == TRAIN).astype(np.int32)
    codes = np.zeros(len(train), np.int64) if strata is None else np.asarray(strata)[train].astype(np.int64)
    lot = lots(train, seed)
    by_stratum = np.lexsort((train, lot, codes))
    sorted_codes = codes[by_stratum]
    _, starts, sizes = np.unique(sorted_codes, return_index=True, return_counts=True)
    rank = np.arange(len(train)) - np.repeat(starts, sizes)
    place = (rank + 0.5) / np.repeat(sizes, sizes)
    order = by_stratum[np.lexsort((lot[by_stratum], place))]
    kept = train[order[: max(1, round(share * len(train)))]] if len(train) else train
    fresh = np.where(parts == TRAIN, UNUSED, parts).astype(np.uint8)
    fresh[kept] = TRAIN
    return fresh.tobytes()
