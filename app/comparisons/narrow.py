"""Filters by what an item is: label, group, length, leaked, words. Each gives item numbers; called by queries.py."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session, col, select

from app.comparisons.choice import Choice
from app.comparisons.search import matching_numbers
from app.datasets.leaks import leaked_numbers
from app.tables import Dataset, Item, Split

Numbers = NDArray[np.int32]


def narrowed(
    session: Session,
    dataset: Dataset,
    split: Split,
    choice: Choice,
    evaluation_ids: list[int],
    numbers: Numbers,
) -> Numbers:
    """Those of `numbers` (rising) that pass all filters of the choice over items."""
    if choice.group:
        numbers = numbers[_in_group(split, choice.group, numbers)]
    if choice.leaked:
        leaked = np.fromiter(leaked_numbers(session, split), np.int32)
        numbers = numbers[np.isin(numbers, leaked) == (choice.leaked == "yes")]
    if choice.label or choice.min_tokens is not None or choice.max_tokens is not None:
        numbers = _common(numbers, _by_index(session, dataset, choice))
    if choice.q and len(numbers):
        numbers = _common(numbers, matching_numbers(session, dataset, evaluation_ids, numbers, choice.q))
    return numbers


def _common(one: Numbers, other: Numbers) -> Numbers:
    return np.intersect1d(one, other, assume_unique=True)


def _in_group(split: Split, group: str, numbers: Numbers) -> Any:
    if group not in split.groups:
        return np.zeros(len(numbers), bool)
    return np.asarray(split.group_of, np.int32)[numbers] == split.groups.index(group)


def _by_index(session: Session, dataset: Dataset, choice: Choice) -> Numbers:
    where: list[Any] = [Item.dataset_id == dataset.id]
    if choice.label:
        where.append(Item.label == choice.label)
    if choice.min_tokens is not None:
        where.append(col(Item.tokens) >= choice.min_tokens)
    if choice.max_tokens is not None:
        where.append(col(Item.tokens) <= choice.max_tokens)
    found = session.exec(select(Item.number).where(*where).order_by(col(Item.number)))
    return np.fromiter(found, np.int32)
