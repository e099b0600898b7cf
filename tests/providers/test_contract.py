"""Every provider keeps the same contract: words, limits, prices, one whole training, no key in any message."""

import json
import re
from datetime import date

import httpx
import pytest

from app import errors
from app.providers import providers
from app.providers._base import Provider
from app.providers._shapes import Offer, TuningJob
from app.service_http import Access
from tests.emulator._server import service
from tests.providers.scenario import KEY, examples, exercise, on_stage
from tests.providers.table import DOCUMENT, written

NAMES = sorted(providers())
TRAINING = [name for name in NAMES if providers()[name].training]
FACTS = {
    "task": "classification",
    "labels": ["red", "green", "blue"],
    "train_items": 500,
    "validation_items": 50,
    "test_items": 100,
    "mean_tokens": 120.0,
    "max_tokens": 300,
    "mean_characters": 480.0,
    "answer_tokens": 8,
}
DATED = re.compile(r"\b20\d\d-\d\d(-\d\d)?\b")


@pytest.fixture(params=NAMES)
def provider(request) -> Provider:
    return providers()[request.param]


@pytest.fixture(params=TRAINING)
def trainer(request) -> Provider:
    return providers()[request.param]


def offers(provider: Provider) -> list[Offer]:
    return [each for each in provider.offers if each.can_train] or [Offer("some/model", can_train=True)]


def planned(provider: Provider, offer: Offer, count: int) -> TuningJob:
    values = provider.training.suggest(offer, {**FACTS, "train_items": count})
    counts = {"train": count, "validation": count // 5, "test": 20}
    tokens = {part: 100 * number for part, number in counts.items()}
    return TuningJob("tb-0123456789abcdef", "plan", offer.model, "sft", values, 1, counts, tokens, offer)


def test_it_says_what_it_is(provider):
    assert re.fullmatch(r"[a-z][a-z0-9]*", provider.name)
    assert provider.label
    assert provider.description.endswith(".")
    assert provider.docs_url.startswith("https://")
    assert provider.key_help or not provider.key_required
    assert not provider.base_url.endswith("/")
    assert provider.base_url.startswith("https://") or not provider.base_url
    assert provider.training or provider.chat
    if provider.ends_on:
        date.fromisoformat(provider.ends_on)
        assert provider.notice, "an end needs a sentence on the tile"
    if provider.unverified:
        assert provider.notice, "why it is off until somebody turns it on"


def test_what_it_asks_for_has_names_and_labels(provider):
    names = [field.name for field in provider.fields]
    assert len(set(names)) == len(names)
    assert not {"api_key", "base_url"} & set(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert all(field.label for field in provider.fields)


def test_prices_say_where_and_when_they_were_read(provider):
    models = [offer.model for offer in provider.offers]
    assert len(set(models)) == len(models)
    for offer in provider.offers:
        if offer.ends_on:
            date.fromisoformat(offer.ends_on)
        if offer.price:
            assert DATED.search(offer.price.source), f"{offer.model}: {offer.price.source!r} names no date"
            assert len(offer.price.source) > 12, f"{offer.model}: where was the price read?"
            given = (offer.price.train, offer.price.input, offer.price.output, offer.price.minimum)
            assert all(value is None or value >= 0 for value in given)
            assert 0 < offer.price.batch_share <= 1


def test_the_key_is_in_no_repr(provider):
    access = Access(provider.label, "https://example.org/v1", KEY, {f.name: "x" for f in provider.fields})
    with httpx.Client() as client:
        api = provider.connect(access, client)
        assert KEY not in repr(access)
        assert KEY not in repr(api)
        assert api.url("x").startswith("https://example.org/")


def test_every_hyperparameter_has_a_suggestion_that_it_takes(trainer):
    for offer in offers(trainer):
        fields = trainer.training.hyperparameters(offer)
        assert fields or not trainer.offers, "only a form that the service gives may still be empty"
        assert len({field.name for field in fields}) == len(fields)
        assert all(field.label for field in fields)
        assert "seed" not in {field.name for field in fields}, "the seed is the run's own"
        for count in (12, 500, 100_000):
            values = trainer.training.suggest(offer, {**FACTS, "train_items": count})
            assert set(values) == {field.name for field in fields}
            assert {field.name: field.parse(values[field.name]) for field in fields} == values
        json.dumps(values)


def test_what_is_not_disclosed_is_said_in_words(trainer):
    for word in trainer.undisclosed:
        assert word == word.strip()
        assert "_" not in word
    fields = {field.name for field in trainer.training.hyperparameters(offers(trainer)[0])}
    assert not fields & {word.replace(" ", "_").lower() for word in trainer.undisclosed}


def test_plans_are_judged_and_priced(trainer):
    training = trainer.training
    assert training.methods
    assert training.identity
    for offer in offers(trainer):
        job = planned(trainer, offer, 500)
        estimate = training.estimate(job)
        assert estimate.basis
        known = offer.price is not None and offer.price.train is not None
        if known:
            assert estimate.microdollars is not None
            assert estimate.microdollars >= round(offer.price.minimum * 1e6)
            assert DATED.search(estimate.basis), "the basis names the price's date"
        more = planned(trainer, offer, 5000)
        assert not known or training.estimate(more).microdollars >= estimate.microdollars
        assert all(sentence.endswith(".") for sentence in training.problems(job))


def test_lines_hold_the_whole_item(trainer):
    job = planned(trainer, offers(trainer)[0], 10)
    for example in examples(3):
        line = json.dumps(trainer.training.render(example, job))
        assert example.messages[1]["content"] in line
        assert example.reply["content"] in line


@pytest.mark.parametrize("name", NAMES)
def test_its_emulated_service_takes_every_call(name, tmp_path):
    emulated, provider = service(name), providers()[name]
    assert emulated is not None, f"add tests/emulator/{name}.py"
    assert provider.base_url.endswith(emulated.base_path) or not provider.base_url
    fields = {field.name: field.name for field in provider.fields if field.required}
    with on_stage(name, tmp_path, fields) as stage:
        exercise(stage)
        assert stage.world.duplicates() == {}
        refused = [f"{seen.status} {seen.route}" for seen in stage.world.seen if seen.status >= 500]
        assert refused == []


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_key_is_told_and_never_repeated(name, tmp_path):
    fields = {field.name: field.name for field in providers()[name].fields if field.required}
    with on_stage(name, tmp_path, fields) as stage:
        stage.world.refused_keys.add(KEY)
        with pytest.raises(errors.KeyRefused) as failure:
            stage.provider.check_key(stage.api)
        assert KEY not in failure.value.message + failure.value.hint


def test_the_document_lists_every_provider():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == written(text), "run python -m tests.providers.table"
    for name in NAMES:
        assert f"| `{name}` |" in text
