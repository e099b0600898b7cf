"""Expected and answered classes as numbers: what accuracy by class and the confusion matrix count over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.metrics._base import Sample


@dataclass(frozen=True)
class Classes:
    """`names` are the labels that occur, then expected answers that are no label; `expected` and `answered`
    are positions in it per item, where an answer that is none of them has position len(names)."""

    names: list[str]
    expected: NDArray[np.int64]
    answered: NDArray[np.int64]


def classes(sample: Sample, all_labels: bool = False) -> Classes:
    """Reads the classes off a sample; labels that are neither expected nor answered are left out unless asked for."""
    wanted, said = set(sample.expected), set(sample.answers)
    names = [
        label for label in dict.fromkeys(sample.labels) if all_labels or label in wanted or label in said
    ]
    names += sorted(wanted - set(names))
    place: dict[str | None, int] = {name: i for i, name in enumerate(names)}
    expected = np.array([place[gold] for gold in sample.expected], dtype=np.int64)
    answered = np.array([place.get(answer, len(names)) for answer in sample.answers], dtype=np.int64)
    return Classes(names, expected, answered)


def matrix(found: Classes) -> NDArray[np.int64]:
    """How often each class (row) was answered as each class (column); the last column: as none of them."""
    size = len(found.names)
    counts = np.bincount(found.expected * (size + 1) + found.answered, minlength=size * (size + 1))
    return counts.reshape(size, size + 1)
