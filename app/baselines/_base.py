"""The contract of a baseline, and what the four share. This package travels in bundles, so its files import
nothing of ours but this one, and scikit-learn only inside functions.

Each file gives one object named BASELINE.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

CLASSIFICATION, NUMBER = "classification", "number"
# Rows turned into features at a time, and the characters of text from which a vocabulary is drawn: both keep
# memory flat however large the data set is.
ROWS_AT_ONCE = 1000
VOCABULARY_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class Example:
    """One training item: the prompt's text and the wanted answer."""

    text: str
    answer: str


@dataclass(frozen=True)
class Answer:
    """What a model says for one text; `p` maps every label to its probability, None where there are none."""

    text: str
    p: dict[str, float] | None = None


@dataclass(frozen=True)
class Setting:
    """How a baseline is fitted: the task (classification, number, ...), its labels, the values of its
    hyperparameters by name, the seed and the number of threads."""

    task: str
    labels: tuple[str, ...]
    values: Mapping[str, Any]
    seed: int
    threads: int


class Fitted(Protocol):
    """A fitted model."""

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """One answer per text, in order; an answer depends on its own text alone."""
        ...


@dataclass(frozen=True)
class Baseline:
    """One classical model. `hyperparameters` are the fields of app.hyperparameters.Hyperparameter as dicts;
    `estimate(train_items, mean_characters, cores)` gives seconds; `fit` is deterministic by seed, whatever
    the number of threads, and raises ValueError with a sentence for data that it cannot learn from."""

    name: str
    label: str
    description: str
    tasks: tuple[str, ...]
    seed_matters: bool
    hyperparameters: tuple[dict[str, Any], ...]
    estimate: Callable[[int, float, int], float]
    fit: Callable[[Sequence[Example], Setting], Fitted]


def most_features(default: int) -> dict[str, Any]:
    """The hyperparameter that bounds the vocabulary, and with it the memory."""
    return {
        "name": "max_features", "label": "Most features", "kind": "int", "default": default,
        "minimum": 100, "maximum": 1_000_000, "help": "the commonest n-grams are kept; bounds the memory",
    }  # fmt: skip


def most_characters(default: int) -> dict[str, Any]:
    """The hyperparameter that cuts long texts."""
    return {
        "name": "max_characters", "label": "Characters read", "kind": "int", "default": default,
        "minimum": 10, "maximum": 1_000_000, "unit": "characters", "help": "a longer text is cut at its end",
    }  # fmt: skip


def number_examples(train: Sequence[Example]) -> tuple[list[str], list[float]]:
    """Texts and answers of the training items whose answer is a finite number; the others are left out.

    Raises ValueError when there is none.
    """
    pairs = [(example.text, number) for example in train if (number := _number(example.answer)) is not None]
    if not pairs:
        raise ValueError(f"none of the {len(train)} training answers is a number")
    texts, numbers = zip(*pairs, strict=True)
    return list(texts), list(numbers)


def _number(text: str) -> float | None:
    try:
        value = float(text.strip().replace("\u2212", "-"))
    except ValueError:
        return None
    return value if abs(value) < 1e300 else None


def number_answer(value: float) -> Answer:
    """A number as its answer, six significant digits."""
    return Answer(f"{value:.6g}")


def check_not_empty(train: Sequence[Example]) -> None:
    """Raises ValueError when there is nothing to learn from."""
    if not train:
        raise ValueError("the training part has no items")


def class_answer(labels: Iterable[str], masses: Mapping[str, float]) -> Answer:
    """The most probable label, with a probability for each of `labels` and for each label seen in training.

    `masses` need not sum to 1. A label without mass gets probability 0; equal masses go to the label that
    comes first in `labels`, then to the one that comes first by name.
    """
    names = [*dict.fromkeys(labels)]
    names += sorted(set(masses) - set(names))
    total = sum(masses.values())
    p = {name: masses.get(name, 0.0) / total for name in names}
    return Answer(max(names, key=lambda name: p[name]), p)


class Constant:
    """A fitted model that says the same for every text."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """The one answer, once per text."""
        return [self._answer] * len(texts)


class Features:
    """TF-IDF of n-grams of words or characters as a sparse matrix, case kept, rows of unit length.

    `analyzer` is word or char; `token_pattern` is the regular expression of a word. The vocabulary is the
    `most` commonest n-grams, counted on rows spread evenly over the training part. Weights are those of
    scikit-learn's TfidfTransformer: term frequency x (ln((1 + n) / (1 + df)) + 1).
    """

    def __init__(
        self, analyzer: str, longest: int, most: int, characters: int, token_pattern: str = ""
    ) -> None:
        self._keywords = {"analyzer": analyzer, "ngram_range": (1, longest), "lowercase": False}
        if analyzer == "word":
            self._keywords["token_pattern"] = token_pattern
        self._most, self._characters = most, characters
        self._counter: Any = None
        self._weights: Any = None

    def fit(self, texts: Sequence[str]) -> Any:
        """Learns vocabulary and weights; gives the training matrix, float64, texts x features."""
        from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

        terms = self._commonest(CountVectorizer(**self._keywords).build_analyzer(), texts)
        # A vocabulary must not be empty: texts without a single token share one feature that none has.
        vocabulary = {term: place for place, term in enumerate(terms or [""])}
        self._counter = CountVectorizer(**self._keywords, vocabulary=vocabulary)
        self._weights = TfidfTransformer()
        return self._weights.fit_transform(self._count(texts))

    def transform(self, texts: Sequence[str]) -> Any:
        """The matrix of other texts."""
        return self._weights.transform(self._count(texts))

    def _count(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import vstack

        starts = range(0, len(texts), ROWS_AT_ONCE)
        cut = ([text[: self._characters] for text in texts[at : at + ROWS_AT_ONCE]] for at in starts)
        return vstack([self._counter.transform(rows).astype("float64") for rows in cut], format="csr")

    def _commonest(self, terms_of: Callable[[str], list[str]], texts: Sequence[str]) -> list[str]:
        total = sum(min(len(text), self._characters) for text in texts)
        step = max(1, -(-total // VOCABULARY_CHARACTERS))
        counts: Counter[str] = Counter()
        for text in texts[::step]:
            counts.update(terms_of(text[: self._characters]))
        ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return sorted(term for term, _ in ordered[: self._most])


class FeatureClassifier:
    """A scikit-learn classifier over Features."""

    def __init__(self, features: Features, model: Any, labels: Sequence[str]) -> None:
        self._features, self._model, self._labels = features, model, labels

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """The most probable label per text, with all probabilities."""
        classes = [str(name) for name in self._model.classes_]
        rows = self._model.predict_proba(self._features.transform(texts)).tolist() if texts else []
        return [class_answer(self._labels, dict(zip(classes, row, strict=True))) for row in rows]


class FeatureRegressor:
    """A scikit-learn regressor over Features."""

    def __init__(self, features: Features, model: Any) -> None:
        self._features, self._model = features, model

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """One number per text."""
        numbers = self._model.predict(self._features.transform(texts)) if texts else ()
        return [number_answer(float(number)) for number in numbers]
