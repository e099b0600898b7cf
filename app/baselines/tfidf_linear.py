"""TF-IDF of word n-grams and a linear model: logistic regression, for numbers ridge regression."""

from collections.abc import Sequence

from ._base import (
    NUMBER,
    Baseline,
    Constant,
    Example,
    FeatureClassifier,
    FeatureRegressor,
    Features,
    Fitted,
    Setting,
    check_not_empty,
    class_answer,
    most_characters,
    most_features,
    number_examples,
)


def _fit(train: Sequence[Example], setting: Setting) -> Fitted:
    from threadpoolctl import threadpool_limits

    check_not_empty(train)
    values = setting.values
    features = Features(
        "word", values["ngram_max"], values["max_features"], values["max_characters"], values["token_pattern"]
    )
    # Several threads add in another order each time, which changes the last digits.
    with threadpool_limits(limits=1):
        if setting.task == NUMBER:
            return _regressor(features, train, values["C"])
        return _classifier(features, train, setting)


def _regressor(features: Features, train: Sequence[Example], strength: float) -> Fitted:
    from sklearn.linear_model import Ridge

    texts, numbers = number_examples(train)
    return FeatureRegressor(
        features, Ridge(alpha=1 / strength, solver="sparse_cg").fit(features.fit(texts), numbers)
    )


def _classifier(features: Features, train: Sequence[Example], setting: Setting) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    answers = [example.answer for example in train]
    if len(set(answers)) == 1:
        return Constant(class_answer(setting.labels, {answers[0]: 1.0}))
    model = LogisticRegression(C=setting.values["C"], max_iter=setting.values["max_iter"])
    model.fit(features.fit([example.text for example in train]), answers)
    return FeatureClassifier(features, model, setting.labels)


def _estimate(train_items: int, mean_characters: float, cores: int) -> float:
    return 2 + train_items * min(mean_characters, 20_000) * 2e-6


BASELINE = Baseline(
    name="tfidf-linear",
    label="Words, linear",
    description="TF-IDF of words and word pairs, logistic regression (numbers: ridge regression)",
    tasks=("classification", "number"),
    seed_matters=False,
    hyperparameters=(
        {
            "name": "C",
            "label": "C",
            "kind": "float",
            "default": 30.0,
            "minimum": 1e-4,
            "maximum": 1e6,
            "help": "larger fits the training items more closely; ridge regression takes 1/C",
            "simple": True,
        },
        {
            "name": "ngram_max",
            "label": "Longest n-gram",
            "kind": "int",
            "default": 3,
            "minimum": 1,
            "maximum": 5,
            "unit": "words",
            "simple": True,
        },
        {
            "name": "token_pattern",
            "label": "A word is",
            "kind": "choice",
            "default": r"\S+",
            "choices": (r"\S+", r"\w+", r"\w+|[^\w\s]"),
            "help": r"regular expression; \S+ parts at blanks and keeps formulas whole, case is kept",
        },
        {
            "name": "max_iter",
            "label": "Most iterations",
            "kind": "int",
            "default": 1000,
            "minimum": 10,
            "maximum": 100_000,
            "help": "of the L-BFGS solver of logistic regression",
        },
        most_features(50_000),
        most_characters(20_000),
    ),
    estimate=_estimate,
    fit=_fit,
)
