"""The answers of the most similar training items by character n-grams: what memory alone scores."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ._base import (
    CLASSIFICATION,
    NUMBER,
    Answer,
    Baseline,
    Example,
    Features,
    Setting,
    check_not_empty,
    class_answer,
    most_characters,
    most_features,
    number_answer,
    number_examples,
)

# Similarities held at once: 64 texts x 100,000 training items are 51 MB.
TEXTS_AT_ONCE = 64


class _Nearest:
    """Keeps the training matrix; similarity is the cosine of the TF-IDF rows."""

    def __init__(self, texts: Sequence[str], answers: Sequence[Any], setting: Setting) -> None:
        values = setting.values
        self._features = Features(
            "char", values["ngram_max"], values["max_features"], values["max_characters"]
        )
        self._matrix = self._features.fit(texts)
        self._answers, self._setting = answers, setting
        self._k = min(values["k"], len(answers))
        self._shares: Mapping[str, float] = {}
        if setting.task == CLASSIFICATION:
            self._shares = {name: count / len(answers) for name, count in Counter(answers).items()}

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        found = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            rows = self._features.transform(texts[start : start + TEXTS_AT_ONCE])
            # Dense on one side: five times as fast as sparse by sparse, since common n-grams meet all items.
            found += [self._answer(similarities) for similarities in (self._matrix @ rows.T.toarray()).T]
        return found

    def _answer(self, similarities: Any) -> Answer:
        # Rounded, so that items alike up to the last bits are equal; among equals the earlier item wins.
        similarities = similarities.round(9)
        near = (-similarities).argsort(kind="stable")[: self._k]
        if self._setting.task == CLASSIFICATION:
            votes: dict[str, float] = defaultdict(float, self._shares)
            for place in near:
                votes[self._answers[place]] += float(similarities[place])
            return class_answer(self._setting.labels, votes)
        if self._setting.task == NUMBER:
            weights = [float(similarities[place]) + 1e-9 for place in near]
            total = sum(weight * self._answers[place] for weight, place in zip(weights, near, strict=True))
            return number_answer(total / sum(weights))
        return Answer(self._answers[near[0]])


def _fit(train: Sequence[Example], setting: Setting) -> _Nearest:
    check_not_empty(train)
    if setting.task == NUMBER:
        return _Nearest(*number_examples(train), setting)
    return _Nearest([example.text for example in train], [example.answer for example in train], setting)


def _estimate(train_items: int, mean_characters: float, cores: int) -> float:
    # Fitting, then every test item (taken as a fifth of the training items) against every training item.
    size = train_items * min(mean_characters, 4000)
    return 2 + size * 1e-6 + size * train_items / 5 * 1e-9


BASELINE = Baseline(
    name="nearest",
    label="Nearest neighbour",
    description="the answer of the most similar training item",
    tasks=("classification", "number", "list", "json", "text"),
    seed_matters=False,
    hyperparameters=(
        {
            "name": "k",
            "label": "Neighbours",
            "kind": "int",
            "default": 1,
            "minimum": 1,
            "maximum": 1000,
            "help": "items that vote, weighted by similarity; lists, JSON and text take the first",
            "simple": True,
        },
        {
            "name": "ngram_max",
            "label": "Longest n-gram",
            "kind": "int",
            "default": 4,
            "minimum": 1,
            "maximum": 8,
            "unit": "characters",
        },
        most_features(50_000),
        most_characters(4_000),
    ),
    estimate=_estimate,
    fit=_fit,
)
