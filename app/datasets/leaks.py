"""What the test part shares with train, and what contradictions cost: read off the index of a dataset.

Called when a split is drawn, when predictions are scored, and by pages that tell of the best possible score.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlmodel import Session

from app.datasets.index_table import raw_rows
from app.datasets.items import PART_NAMES
from app.tables import Dataset, Split

_REPEATED = np.dtype([("number", "i4"), ("key", "i8")])


@dataclass(frozen=True)
class Ceiling:
    """The best accuracy that any model can reach on a part: `right` of `items`, as `contradictory` items share
    their prompt with another item of the part whose answer differs."""

    right: int
    items: int
    contradictory: int

    @property
    def accuracy(self) -> float:
        """0 to 1."""
        return self.right / self.items


def leaked_numbers(session: Session, split: Split, part: str = "test", of: str = "train") -> frozenset[int]:
    """Numbers of the items of `part` whose very prompt also stands in the part `of`.

    Prompts that differ by case or blanks are other prompts here: in a formula case has a meaning.
    """
    parts = np.frombuffer(split.parts, np.uint8)
    rows = raw_rows(session, split.dataset_id, "number, content_key", "AND same_as IS NOT NULL")
    found = np.fromiter(rows, _REPEATED)
    own = parts[found["number"]]
    known = found["key"][own == PART_NAMES.index(of)]
    inside = found[own == PART_NAMES.index(part)]
    return frozenset(inside["number"][np.isin(inside["key"], known)].tolist())


def find_ceiling(codes: Any, numbers: Any, keys: Any, parts: Any, part: str = "test") -> Ceiling | None:
    """The ceiling of a part: for each prompt that stands in it more than once, only the items with its most
    frequent answer can be right, as a model gives one answer to one prompt.

    `codes` are all items' labels, `numbers` and `keys` the items that share a prompt; None for no labels or no
    items. Answers are compared as the file has them, before any answer rule.
    """
    code = PART_NAMES.index(part)
    items = int((parts == code).sum())
    if codes is None or not items:
        return None
    inside = parts[numbers] == code
    if not inside.any():
        return Ceiling(items, items, 0)
    _, prompt = np.unique(keys[inside], return_inverse=True)
    answers = codes[numbers[inside]].astype(np.int64)
    pairs, times = np.unique(prompt * (int(answers.max()) + 2) + answers + 1, return_counts=True)
    of = pairs // (int(answers.max()) + 2)
    size, most = np.bincount(prompt), np.zeros(int(prompt.max()) + 1, np.int64)
    np.maximum.at(most, of, times)
    several = np.bincount(of, minlength=len(size)) > 1
    return Ceiling(items - int((size - most).sum()), items, int(size[several].sum()))


def ceiling_of(dataset: Dataset, split: Split) -> Ceiling | None:
    """The ceiling of the split's test part; None when answers are no closed set or nothing contradicts itself."""
    facts = split.facts.get("ceiling")
    if dataset.task != "classification" or not facts or not facts["contradictory"]:
        return None
    return Ceiling(**facts)


def ceiling_sentence(ceiling: Ceiling | None) -> str:
    """ "No model can exceed 96.4 % accuracy here (482 of 500 test items): ..."; empty without a ceiling."""
    if ceiling is None:
        return ""
    return (
        f"No model can exceed {100 * ceiling.accuracy:.1f} % accuracy here ({ceiling.right:,} of {ceiling.items:,} "
        f"test items): {ceiling.contradictory:,} of them share their prompt with another one whose answer differs."
    )
