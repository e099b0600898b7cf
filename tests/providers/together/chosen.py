"""The job that the tests of Together train."""

from dataclasses import replace
from typing import Any

from app.providers._shapes import TuningJob
from app.providers.together import fields
from tests.providers.scenario import Stage

OTHER = "tb-fedcba9876543210"


def chosen(stage: Stage, **values: Any) -> TuningJob:
    """On the first model, with its bounds read and two evaluations."""
    offer = stage.provider.look_at_model(stage.api, stage.provider.offers[0])
    suggested = fields.suggest(offer, {"train_items": 24, "validation_items": 6, "max_tokens": 40})
    del suggested["dpo_beta"]
    return stage.job(offer, hyperparameters={**suggested, "epochs": 4, "evals": 2, **values})


def preferring(stage: Stage, **values: Any) -> TuningJob:
    """The same by preferences."""
    job = chosen(stage, objective="dpo", dpo_beta=0.2, **values)
    sent = {name: value for name, value in job.hyperparameters.items() if name != "train_on_inputs"}
    return replace(job, method="dpo", hyperparameters=sent)
