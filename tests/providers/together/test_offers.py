"""Together before anything is paid: models, bounds, prices, problems, preference data."""

import json
from dataclasses import replace

import pytest

from app import errors
from app.providers import _rows
from app.providers._shapes import Example, Offer
from app.providers.together import fields, jobs, offers
from tests.emulator import _together_jobs
from tests.providers.scenario import KEY
from tests.providers.together.chosen import chosen, preferring


def test_the_limits_drive_the_form(stage):
    bare = {field.name: field for field in fields.hyperparameters(Offer("somebody/model"))}
    offer = stage.provider.look_at_model(stage.api, stage.provider.offers[0])
    full = {field.name: field for field in fields.hyperparameters(offer)}
    assert (bare["lora_r"].maximum, full["lora_r"].maximum, full["lora_r"].default) == (None, 64, 64)
    assert (full["batch_size"].minimum, full["batch_size"].maximum) == (8, 32)
    assert "gradient_accumulation" not in bare
    assert full["gradient_accumulation"].default == 1
    with pytest.raises(ValueError, match="from 1 to 20"):
        full["epochs"].parse("21")
    found = fields.suggest(offer, {"train_items": 100_000, "max_tokens": 200_000, "validation_items": 500})
    assert (found["max_seq_len"], found["epochs"], found["evals"]) == (32768, 1, 1)
    for field in full.values():
        assert field.parse(found[field.name]) == found[field.name]


def test_offers_know_what_is_trained_asked_and_served(stage):
    found = {offer.model: offer for offer in stage.provider.list_models(stage.api)}
    assert set(found) == set(_together_jobs.MODELS)
    best, unserved = found["Qwen/Qwen3.5-9B"], found[_together_jobs.UNSERVED]
    assert (best.price.train, best.price.input, best.price.output, best.context_tokens) == (
        0.34,
        0.1,
        0.15,
        32768,
    )
    assert (unserved.can_train, unserved.can_serve_tuned, unserved.price.input) == (True, False, None)
    assert "2026" in best.price.source


def test_a_model_that_nothing_serves_is_refused_before_it_is_paid(stage):
    job = replace(stage.job(), model=_together_jobs.UNSERVED)
    with pytest.raises(errors.Refused, match="no way to serve"):
        stage.provider.training.check(stage.api, job, {})
    assert stage.world.count_made() == 0


def test_problems_are_found_before_anything_is_sent(stage):
    job = chosen(stage, evals=2, batch_size=64)
    assert [each.split(";")[0] for each in offers.problems(job)] == ["The batch size is 64"]
    found = offers.problems(replace(chosen(stage, early_stopping=True), counts={"train": 24}))
    assert len(found) == 2
    assert "validation part" in found[0]
    assert "at least 4 evaluations" in found[1]
    enough = chosen(stage, early_stopping=True, evals=4)
    assert offers.problems(enough) == []
    body = jobs.job_body(enough, {"train": "a", "validation": "b"})
    assert (body["early_stopping_patience"], body["early_stopping_enabled"]) == (2, True)
    assert stage.world.count("together POST *") == 0


def test_the_price_comes_from_the_service_and_is_at_least_four_dollars(stage):
    job = chosen(stage)
    files = stage.upload(job)
    quoted = stage.provider.training.quote(stage.api, job, files)
    assert quoted.microdollars == 4_000_000
    assert "own estimate" in quoted.basis
    edit = {"estimated_total_price": 12.5}
    stage.world.fail("together POST *estimate-price", "edit", edit=edit)
    assert stage.provider.training.quote(stage.api, job, files).microdollars == 12_500_000
    stage.world.fail("together POST *estimate-price", "edit", edit={**edit, "allowed_to_proceed": False})
    with pytest.raises(errors.OutOfCredit, match=r"\$12\.50.*limit is \$100"):
        stage.provider.training.quote(stage.api, job, files)
    edit = {"estimation_available": False, "unavailable_reason": "train_file_not_validated"}
    stage.world.fail("together POST *estimate-price", "edit", edit=edit)
    guessed = stage.provider.training.quote(stage.api, job, files)
    assert guessed.microdollars == offers.estimate(job).microdollars
    assert "train_file_not_validated" in guessed.basis


def test_the_estimate_counts_epochs_evaluations_and_packing(stage):
    job = replace(chosen(stage), tokens={"train": 10_000_000, "validation": 1_000_000})
    assert offers.estimate(job).microdollars == round((4 * 10_000_000 + 2 * 1_000_000) * 0.34)
    assert offers.estimate(replace(job, method="dpo")).microdollars == round(42_000_000 * 0.84)
    values = {**job.hyperparameters, "packing": False, "evals": 0, "max_seq_len": 1_000_000}
    assert offers.estimate(replace(job, hyperparameters=values)).microdollars == round(
        4 * 24 * 1_000_000 * 0.34
    )
    assert offers.estimate(replace(job, model="unknown/model")).microdollars is None
    assert offers.estimate(replace(job, tokens={"train": 10})).microdollars == 4_000_000


def test_preference_data_goes_out_in_its_own_shape_and_is_trained_by_dpo(stage):
    job = preferring(stage)
    prompt, good = [{"role": "user", "content": "a"}], {"role": "assistant", "content": "b"}
    with pytest.raises(errors.Invalid, match="rejected reply"):
        _rows.render(Example(prompt, good), job)
    files = stage.upload(job)
    line = json.loads((stage.folder / "train.jsonl").read_text().splitlines()[0])
    assert set(line) == {"input", "preferred_output", "non_preferred_output"}
    assert stage.provider.training.quote(stage.api, job, files).microdollars == 4_000_000
    made = jobs.submit(stage.api, job, files)
    assert made.raw["training_method"] == {"method": "dpo", "dpo_beta": 0.2}
    silent = {"gradient_accumulation", "early_stopping"}
    said = {name: value for name, value in job.hyperparameters.items() if name not in silent}
    assert made.resolved == {**said, "seed": 7}
    assert stage.finish(made.id).resolved == made.resolved


def test_rows_of_another_method_and_what_dpo_does_not_take_are_refused(stage):
    job = preferring(stage)
    with pytest.raises(errors.Refused, match="the method needs preference rows"):
        jobs.submit(stage.api, job, stage.upload(chosen(stage)))
    large = preferring(stage, batch_size=32, max_seq_len=32_768)
    assert [said.split(";")[1] for said in offers.problems(large)] == [
        " Qwen/Qwen3.5-9B takes at most 16.",
        " with DPO Qwen/Qwen3.5-9B takes at most 16,384.",
    ]


def test_a_key_says_whose_it_is(stage):
    found = stage.provider.check_key(stage.api)
    assert (found.account, found.note) == ("Emulated organisation", "Project Emulated lab.")
    stage.world.refused_keys.add(KEY)
    with pytest.raises(errors.KeyRefused) as failure:
        stage.provider.check_key(stage.api)
    assert KEY not in failure.value.message
