"""TF-IDF of character n-grams and extremely randomised trees (Geurts, Ernst and Wehenkel 2006)."""

import random
from collections.abc import Sequence

from ._base import (
    NUMBER,
    Baseline,
    Example,
    FeatureClassifier,
    FeatureRegressor,
    Features,
    Fitted,
    Setting,
    check_not_empty,
    most_characters,
    most_features,
    number_examples,
)


def _fit(train: Sequence[Example], setting: Setting) -> Fitted:
    """Time grows with items x trees and memory with the number of leaves, one per item and tree; so beyond
    `max_items` a sample drawn by the seed is fitted."""
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    check_not_empty(train)
    values, seed = setting.values, setting.seed % 2**32
    if len(train) > values["max_items"]:
        places = random.Random(seed).sample(range(len(train)), values["max_items"])
        train = [train[place] for place in sorted(places)]
    features = Features("char", values["ngram_max"], values["max_features"], values["max_characters"])
    shape = {
        "n_estimators": values["trees"],
        "min_samples_leaf": values["min_leaf"],
        # The root of all features tried at each split, for numbers too: trying all takes hours on n-grams.
        "max_features": "sqrt",
        "random_state": seed,
        "n_jobs": max(setting.threads, 1),
    }
    if setting.task == NUMBER:
        texts, numbers = number_examples(train)
        model = ExtraTreesRegressor(**shape).fit(features.fit(texts), numbers)
        fitted: Fitted = FeatureRegressor(features, model)
    else:
        matrix = features.fit([example.text for example in train])
        model = ExtraTreesClassifier(**shape).fit(matrix, [example.answer for example in train])
        fitted = FeatureClassifier(features, model, setting.labels)
    # Trees are summed in the order in which threads end, so several threads would change the last digits.
    model.n_jobs = 1
    return fitted


def _estimate(train_items: int, mean_characters: float, cores: int) -> float:
    # Measured: 2,000 items of 213 characters take 26 s of one core, 20,000 take 380 s and 1.3 GB.
    items = min(train_items, 20_000) / 2000
    characters = min(mean_characters, 2000) / 213
    return 3 + 26 * items**1.17 * characters**0.35 / max(cores, 1)


BASELINE = Baseline(
    name="char-trees",
    label="Characters, trees",
    description="TF-IDF of 1 to 6 characters, extremely randomised trees",
    tasks=("classification", "number"),
    seed_matters=True,
    hyperparameters=(
        {
            "name": "trees",
            "label": "Trees",
            "kind": "int",
            "default": 500,
            "minimum": 1,
            "maximum": 10_000,
            "simple": True,
        },
        {
            "name": "ngram_max",
            "label": "Longest n-gram",
            "kind": "int",
            "default": 6,
            "minimum": 1,
            "maximum": 10,
            "unit": "characters",
            "simple": True,
        },
        {
            "name": "min_leaf",
            "label": "Items in a leaf",
            "kind": "int",
            "default": 1,
            "minimum": 1,
            "maximum": 1000,
            "help": "at least; more make smaller trees and softer probabilities",
        },
        {
            "name": "max_items",
            "label": "Items used",
            "kind": "int",
            "default": 20_000,
            "minimum": 100,
            "maximum": 1_000_000,
            "help": "at most; of a longer training part a sample drawn by the seed",
        },
        most_features(20_000),
        most_characters(2_000),
    ),
    estimate=_estimate,
    fit=_fit,
)
