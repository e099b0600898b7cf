"""What each baseline says, on data small enough to check by hand."""

import random

import pytest

from app import baselines
from app.baselines._base import Example, Features
from tests.baselines.test_contract import setting


def test_majority_takes_the_commonest_answer_and_its_shares() -> None:
    kind = baselines.load("majority")
    train = [Example("a", "L"), Example("b", "M"), Example("c", "M"), Example("d", "H")]
    answer = kind.fit(train, setting(kind, "classification", ("L", "M", "H", "U"))).predict(["x"])[0]
    assert answer.text == "M"
    assert answer.p == {"L": 0.25, "M": 0.5, "H": 0.25, "U": 0.0}


def test_majority_breaks_ties_in_the_order_of_the_labels() -> None:
    kind = baselines.load("majority")
    train = [Example("a", "H"), Example("b", "L")]
    assert kind.fit(train, setting(kind, "classification", ("L", "H"))).predict([""])[0].text == "L"
    assert kind.fit(train, setting(kind, "text", ())).predict([""])[0].text == "H"


def test_majority_of_numbers_is_the_median_of_what_can_be_read() -> None:
    kind = baselines.load("majority")
    train = [Example("", text) for text in ("1", " \u22125.5 ", "1e3", "unknown", "inf")]
    assert kind.fit(train, setting(kind, "number", ())).predict(["x"])[0].text == "1"


def test_nearest_answers_with_the_most_similar_item() -> None:
    kind = baselines.load("nearest")
    train = [Example("the boiling point of water", "[1, 2]"), Example("who wrote Faust", '{"a": 1}')]
    model = kind.fit(train, setting(kind, "json", ()))
    assert [answer.text for answer in model.predict(["who wrote Emma", "boiling point"])] == [
        '{"a": 1}',
        "[1, 2]",
    ]


def test_nearest_of_equals_is_the_earliest_and_of_nothing_the_commonest_class() -> None:
    kind = baselines.load("nearest")
    train = [Example("same", "b"), Example("same", "a"), Example("other", "c"), Example("third", "c")]
    model = kind.fit(train, setting(kind, "classification", ("a", "b", "c")))
    assert [answer.text for answer in model.predict(["same", ""])] == ["b", "c"]


def test_nearest_number_is_the_weighted_mean_of_k() -> None:
    kind = baselines.load("nearest")
    train = [Example("aaaa", "10"), Example("aaaa", "20"), Example("zzzz", "1000")]
    chosen = setting(kind, "number", ())
    chosen.values["k"] = 2  # type: ignore[index]
    assert kind.fit(train, chosen).predict(["aaaa"])[0].text == "15"


@pytest.mark.parametrize("name", ["nearest", "tfidf-linear", "char-trees"])
def test_numbers_are_learned(name: str) -> None:
    kind, rng = baselines.load(name), random.Random(0)
    weight = {"CH3": 15.0, "OH": 17.0, "NH2": 16.0, "Br": 79.9}

    def items(count: int) -> list[Example]:
        made = [[rng.choice(list(weight)) for _ in range(3)] for _ in range(count)]
        return [Example(" ".join(parts), str(sum(weight[part] for part in parts))) for parts in made]

    train, test = items(300), items(50)
    answers = kind.fit(train, setting(kind, "number", ())).predict([item.text for item in test])
    errors = [
        abs(float(answer.text) - float(item.answer)) for answer, item in zip(answers, test, strict=True)
    ]
    assert sum(errors) / len(errors) < 5


def test_words_keep_case_and_single_characters() -> None:
    kind = baselines.load("tfidf-linear")
    train = [Example("5 M acid", "molar"), Example("5 m acid", "metre")] * 10
    model = kind.fit(train, setting(kind, "classification", ("molar", "metre")))
    assert [answer.text for answer in model.predict(["7 M acid", "7 m acid"])] == ["molar", "metre"]


def test_limits_bound_what_is_read() -> None:
    kind = baselines.load("char-trees")
    chosen = setting(kind, "classification", ("a", "b"))
    chosen.values.update(max_features=100, max_characters=10, max_items=100)  # type: ignore[attr-defined]
    rng = random.Random(0)
    made = ["".join(rng.choices("abcdefgh", k=50)) for _ in range(300)]
    # The letter that decides stands behind the cut, so nothing can be learned.
    train = [Example(text + letter, letter) for text in made for letter in "ab"]
    model = kind.fit(train, chosen)
    assert model.predict([made[0] + "a"]) == model.predict([made[0] + "b"])


def test_the_vocabulary_is_bounded() -> None:
    texts = ["".join(random.Random(number).choices("abcdefgh", k=50)) for number in range(50)]
    features = Features("char", longest=3, most=100, characters=40)
    assert features.fit(texts).shape == (50, 100)
    assert features.transform(["x"]).shape == (1, 100)
