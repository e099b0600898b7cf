"""Bundles of toolkits for the tests: the small made-up task, a tiny base model, written by the code that writes real ones."""

from pathlib import Path
from typing import Any

from app.registry import load_kinds
from app.runs.bundle import write_bundle
from app.trainers._base import Job, Toolkit
from app.trainers._bundle import toolkit_bundle
from app.trainers._shared import fields_of, settle
from tests.training.bundles import items, job

STATED = {
    "epochs": 1, "learning_rate": 2e-4, "batch_size": 4, "gradient_accumulation": 1, "lora_r": 8, "lora_alpha": 16,
    "lora_dropout": 0.0, "max_seq_len": 64, "predict_batch_size": 8,
}  # fmt: skip


def toolkits() -> dict[str, Toolkit]:
    """Every toolkit by name."""
    return {name: kind for name, kind in load_kinds("app.trainers", "TRAINER").items() if name != "builtin"}


def stated_job(toolkit: Toolkit, model_path: str = "acme/small-llama", **changes: Any) -> Job:
    """The stated run, as the toolkit is given it: every value settled."""
    values = {shape.name: shape.default for shape in fields_of(toolkit)}
    values |= {name: value for name, value in {**STATED, **changes}.items() if name in values}
    name = Path(model_path).name if Path(model_path).is_absolute() else model_path
    wanted = job(
        f"{toolkit.name}/{name}", values, kind="toolkit", model_path=model_path, counts={"train": 60}
    )
    return Job(**{**wanted.__dict__, "hyperparameters": settle(wanted)})


def toolkit_folder(folder: Path, wanted: Job, train: int = 60, test: int = 12, validation: int = 8) -> Path:
    """The written bundle of a toolkit's run."""
    rendered = toolkit_bundle(toolkits()[wanted.model.partition("/")[0]], wanted)
    parts = {
        "train": items(train, 1),
        "validation": items(validation, 2, first=train),
        "test": items(test, 3, first=train + validation),
    }
    write_bundle(folder, rendered.files, rendered.code, parts)
    return folder
