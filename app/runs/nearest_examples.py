"""The train items whose text is nearest to an item's: cosine of TF-IDF over words. Pure. Used by prompts.py.

Weights: (1 + ln tf) (1 + ln((1 + N) / (1 + df))), N train items, rows of length 1 (the smoothed form of scikit-learn's
TfidfTransformer with sublinear_tf). Words are runs of letters, digits and "_", in lower case.
"""

import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

WORD = re.compile(r"\w+")
# Similarities closer than this are equal: the earlier train item goes before.
DIGITS = 9


def words(text: str) -> Counter[str]:
    """How often each word stands in the text."""
    return Counter(WORD.findall(text.casefold()))


class Index:
    """The train texts, ready to be asked for the nearest of one text."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [words(text) for text in texts]
        found = Counter(word for count in counts for word in count)
        total = len(texts)
        self.weight = {word: 1 + np.log((1 + total) / (1 + df)) for word, df in found.items()}
        places: dict[str, array[int]] = {word: array("l") for word in found}
        values: dict[str, array[float]] = {word: array("d") for word in found}
        for place, count in enumerate(counts):
            for word, value in self._row(count).items():
                places[word].append(place)
                values[word].append(value)
        self.postings = {
            word: (np.asarray(places[word], dtype=np.int64), np.asarray(values[word])) for word in found
        }
        self.size = total

    def _row(self, count: Mapping[str, int]) -> dict[str, float]:
        row = {word: (1 + np.log(n)) * self.weight[word] for word, n in count.items() if word in self.weight}
        length = float(np.sqrt(sum(value * value for value in row.values())))
        return {word: float(value) / length for word, value in row.items()}

    def nearest(self, text: str, k: int) -> list[int]:
        """The places of the k nearest train texts, the nearest first."""
        similar = np.zeros(self.size)
        for word, value in self._row(words(text)).items():
            places, values = self.postings[word]
            similar[places] += value * values
        order = np.argsort(-similar.round(DIGITS), kind="stable")
        return [int(place) for place in order[:k]]
