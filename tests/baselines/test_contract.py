"""Every baseline keeps the contract: any task it names, any text, probabilities that sum to 1, the same answers
for the same seed whatever the number of threads."""

import math
import random
import subprocess
import sys
from zlib import crc32

import pytest

from app import baselines
from app.baselines._base import Baseline, Example, Setting
from app.hyperparameters import Hyperparameter

NAMES = baselines.names()
LABELS = ("acid", "base", "salt")
FEATURED = [name for name in NAMES if name != "majority"]


def setting(
    kind: Baseline, task: str, labels: tuple[str, ...] = LABELS, seed: int = 1, threads: int = 1
) -> Setting:
    fields = [Hyperparameter(**field) for field in kind.hyperparameters]
    values = {field.name: field.parse(str(field.default)) for field in fields}
    if "trees" in values:
        values["trees"] = 30
    return Setting(task, labels, values, seed, threads)


def rule_items(count: int, seed: int = 0) -> list[Example]:
    """Texts whose answer follows from one word, among words that mean nothing."""
    rng = random.Random(seed)
    rule = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}
    items = []
    for _ in range(count):
        words = [rng.choice(("warm", "cold", "pure", "old")) for _ in range(4)]
        key = rng.choice(list(rule))
        words.insert(rng.randrange(5), key)
        items.append(Example(" ".join(words), rule[key]))
    return items


def test_the_four_stand_in_order() -> None:
    assert NAMES == ["majority", "nearest", "tfidf-linear", "char-trees"]
    assert [baselines.load(name).seed_matters for name in NAMES] == [False, False, False, True]


@pytest.mark.parametrize("name", FEATURED)
def test_learns_a_rule(name: str) -> None:
    kind, test = baselines.load(name), rule_items(60, seed=9)
    model = kind.fit(rule_items(200), setting(kind, "classification"))
    answers = model.predict([item.text for item in test])
    right = sum(answer.text == item.answer for answer, item in zip(answers, test, strict=True))
    assert right >= 57


@pytest.mark.parametrize("name", NAMES)
def test_probabilities_cover_every_label_and_sum_to_one(name: str) -> None:
    kind = baselines.load(name)
    train = [item for item in rule_items(60) if item.answer != "salt"] + [Example("odd", "other")]
    model = kind.fit(train, setting(kind, "classification", ("salt", "base", "acid")))
    for answer in model.predict(["old HCl", "", "never seen at all"]):
        assert answer.p is not None
        assert list(answer.p) == ["salt", "base", "acid", "other"]
        assert math.isclose(sum(answer.p.values()), 1, abs_tol=1e-9)
        assert answer.p["salt"] == 0
        assert answer.p[answer.text] == max(answer.p.values())
        assert all(isinstance(value, float) for value in answer.p.values())


@pytest.mark.parametrize("task", ["classification", "number"])
@pytest.mark.parametrize("name", NAMES)
def test_same_answers_with_any_number_of_threads_and_in_any_company(name: str, task: str) -> None:
    kind, texts = baselines.load(name), [item.text for item in rule_items(40, seed=3)]
    train = rule_items(80)
    if task == "number":
        train = [Example(item.text, str(len(item.text) / 7)) for item in train]
    once = kind.fit(train, setting(kind, task, seed=5, threads=1)).predict(texts)
    model = kind.fit(train, setting(kind, task, seed=5, threads=3))
    assert model.predict(texts) == once
    assert [model.predict([text])[0] for text in texts] == once
    assert model.predict([]) == []


def test_only_the_trees_depend_on_the_seed() -> None:
    texts = [item.text for item in rule_items(40, seed=3)]
    for name in NAMES:
        kind = baselines.load(name)
        train = [Example(item.text, str(crc32(item.text[::2].encode()) % 100)) for item in rule_items(80)]
        first, second = (
            kind.fit(train, setting(kind, "number", seed=seed)).predict(texts) for seed in (1, 2)
        )
        assert (first != second) == kind.seed_matters


@pytest.mark.parametrize("name", NAMES)
def test_one_class_only(name: str) -> None:
    kind = baselines.load(name)
    model = kind.fit([Example("a b", "acid"), Example("c", "acid")], setting(kind, "classification"))
    for answer in model.predict(["a", ""]):
        assert answer.text == "acid"
        assert answer.p == {"acid": 1.0, "base": 0.0, "salt": 0.0}


@pytest.mark.parametrize(
    "texts", [["", "", "  "], ["\n", "\t", ""], ["水", "ÄÖ 🜍", "e\u0301\u0000"], ["(", ".", ")"]]
)
@pytest.mark.parametrize("task", ["classification", "number"])
@pytest.mark.parametrize("name", NAMES)
def test_texts_without_words_or_in_any_script(name: str, task: str, texts: list[str]) -> None:
    kind = baselines.load(name)
    train = [Example(text, str(number)) for number, text in enumerate(texts)]
    model = kind.fit(train, setting(kind, task, ()))
    for answer in model.predict([*texts, "other words", ""]):
        assert math.isfinite(float(answer.text))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_learn_from_is_said(name: str) -> None:
    kind = baselines.load(name)
    with pytest.raises(ValueError, match="training part has no items"):
        kind.fit([], setting(kind, "classification"))
    with pytest.raises(ValueError, match="none of the 2 training answers is a number"):
        kind.fit([Example("a", "many"), Example("b", "nan")], setting(kind, "number"))


@pytest.mark.parametrize("name", NAMES)
def test_every_task_named_is_done(name: str) -> None:
    kind = baselines.load(name)
    train = [Example("red one", "1"), Example("red two", "2"), Example("blue", "2")]
    for task in kind.tasks:
        answers = kind.fit(train, setting(kind, task, ("1", "2"))).predict(["red one", "blue"])
        assert len(answers) == 2
        assert all((answer.p is None) == (task != "classification") for answer in answers)


@pytest.mark.parametrize("name", NAMES)
def test_hyperparameters_are_fields_and_estimates_grow(name: str) -> None:
    kind = baselines.load(name)
    for field in kind.hyperparameters:
        parameter = Hyperparameter(**field)
        assert parameter.parse(parameter.default) == parameter.default
        assert parameter.label
    small, large = kind.estimate(1000, 200, 2), kind.estimate(10_000, 200, 2)
    assert 0 < small < large < 3600


def test_no_scikit_learn_before_a_fit() -> None:
    code = "import sys; from app import baselines; baselines.names(); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
