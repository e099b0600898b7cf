"""Samples of every task, made by seed."""

from dataclasses import replace

import numpy as np

from app.metrics import Sample

LABELS = ("VL", "L", "U", "M", "H")


def make(task: str, expected: list[str], answers: list[str | None], **columns) -> Sample:
    """A sample with the columns that are given; `correct` is equality unless it is given."""
    n = len(expected)
    return Sample(
        task=task,
        labels=tuple(columns.get("labels", ())),
        expected=expected,
        answers=answers,
        correct=columns.get("correct", [one == other for one, other in zip(expected, answers, strict=True)]),
        probabilities=columns.get("probabilities", [None] * n),
        groups=columns.get("groups", [None] * n),
        raw=answers,
        marks=(np.random.default_rng(n).integers(0, 11, n) / 10).tolist(),
    )


def classification(n: int = 200, seed: int = 0, labels: tuple[str, ...] = LABELS) -> Sample:
    """A model that is right about two times in three, with probabilities of its own."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, len(labels), n)
    scores = random.normal(size=(n, len(labels)))
    scores[np.arange(n), gold] += 1.2
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return make(
        "classification",
        [labels[i] for i in gold],
        [labels[i] for i in p.argmax(axis=1)],
        labels=labels,
        probabilities=[dict(zip(labels, map(float, row), strict=True)) for row in p],
    )


def number(n: int = 200, seed: int = 0) -> Sample:
    """Answers that follow the expected numbers with an error."""
    random = np.random.default_rng(seed)
    gold = random.normal(size=n).round(2)
    said = (gold + random.normal(size=n) / 2).round(1)
    return make(
        "number", [str(x) for x in gold], [str(x) for x in said], correct=(abs(said - gold) < 0.3).tolist()
    )


def words(task: str, n: int = 60, seed: int = 0) -> Sample:
    """Texts, lists or JSON objects, half of them as expected."""
    random = np.random.default_rng(seed)
    shape = {
        "text": "{} {} {}",
        "list": "{}, {}, {}",
        "json": '{{"a": "{}", "b": {{"c": "{}"}}, "d": "{}"}}',
    }[task]
    draw = lambda: shape.format(*random.choice(["acid", "nitric", "water", "oil", "base"], 3))  # noqa: E731
    gold = [draw() for _ in range(n)]
    said = [text if random.random() < 0.5 else draw() for text in gold]
    return make(task, gold, [*said[:-1], "nothing"])


def samples() -> list[Sample]:
    """One sample for each task."""
    return [classification(), number(), *(words(task) for task in ("text", "list", "json"))]


def reordered(sample: Sample, seed: int) -> Sample:
    """The same items in another order."""
    order = np.random.default_rng(seed).permutation(len(sample.expected))
    columns = ("expected", "answers", "correct", "probabilities", "groups", "raw", "marks")
    return replace(sample, **{name: [getattr(sample, name)[i] for i in order] for name in columns})


def emptied(sample: Sample) -> Sample:
    """The same without items."""
    columns = ("expected", "answers", "correct", "probabilities", "groups", "raw", "marks")
    return replace(sample, **{name: [] for name in columns})
