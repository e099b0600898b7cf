"""Sums up sizes while a file is read, in memory that does not grow: what the dataset page and the plan show."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

BINS = 24
CAP = 65_536


@dataclass
class Sizes:
    """How often each size came; sizes from CAP on are counted together, but summed exactly."""

    counts: Any = field(default_factory=lambda: np.zeros(CAP + 1, np.int64))
    total: int = 0
    largest: int = 0

    def add(self, values: Any) -> None:
        """Takes a batch of sizes (int64)."""
        self.total += int(values.sum())
        self.largest = max(self.largest, int(values.max()))
        found = np.bincount(np.minimum(values, CAP))
        self.counts[: len(found)] += found

    @property
    def items(self) -> int:
        """How many sizes were taken."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """The mean; 0 of nothing."""
        return self.total / max(1, self.items)

    def quantile(self, share: float) -> int:
        """The smallest size that at least `share` of all reach or stay below."""
        return int(np.searchsorted(np.cumsum(self.counts), share * self.items))

    def over(self, size: int) -> int:
        """How many are larger than `size` (below CAP)."""
        return int(self.counts[size + 1 :].sum())

    def histogram(self) -> dict[str, list[int]]:
        """{"edges": [...], "counts": [...]}, edges one more than counts, in round steps.

        Each bar holds sizes from its edge up to the next one, without it. A long tail is one last bar that
        reaches over the largest size.
        """
        end = min(self.largest, max(1, self.quantile(0.995)))
        least = int(np.argmax(self.counts > 0))
        step = _round_step((end - least) / BINS)
        edges = list(range(least // step * step, end + step + 1, step))
        if edges[-1] <= self.largest:
            edges.append(self.largest + 1)
        cumulated = np.concatenate(([0], np.cumsum(self.counts)))
        at = cumulated[np.minimum(edges, CAP + 1)]
        at[-1] = self.items
        return {"edges": edges, "counts": np.diff(at).tolist()}


def _round_step(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20, ... that is not below `least`."""
    power = 1
    while True:
        for step in (power, 2 * power, 5 * power):
            if step >= least:
                return step
        power *= 10


def long_answer(characters: Sizes) -> int:
    """The length from which an answer is far longer than the rest: ten times the median, at least 50."""
    return min(max(50, 10 * characters.quantile(0.5)), CAP - 1)


def dataset_facts(tokens: Sizes, characters: Sizes, answers: Sizes) -> dict[str, Any]:
    """The facts of a dataset; `characters` are those of prompt and answer together. Tokens are estimates."""
    return {
        "mean_tokens": round(tokens.mean, 2),
        "max_tokens": tokens.largest,
        "total_tokens": tokens.total,
        "mean_characters": round(characters.mean, 2),
        "longest_answer_characters": answers.largest,
        "mean_answer_characters": round(answers.mean, 2),
        "token_histogram": tokens.histogram(),
        "answer_histogram": answers.histogram(),
    }
