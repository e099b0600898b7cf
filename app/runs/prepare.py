"""From a queued run to its bundle: what the process is told, and the data it gets."""

from dataclasses import replace
from typing import Any, cast

from sqlmodel import Session

from app.catalog.models import find_model, toolkits, trainer
from app.config import settings
from app.datasets.stored import part_items
from app.db import session_scope
from app.lab.machine import gpus
from app.preferences import is_dpo
from app.runs.augment import augmented
from app.runs.bundle import count_pairs, write_bundle
from app.runs.ledger import sent_values
from app.runs.lock import VALIDATION
from app.storage import run_folder
from app.tables import Dataset, Experiment, Machine, Run, Split
from app.trainers._base import Job, Rendered
from app.trainers._bundle import toolkit_bundle

PARTS = ("train", "validation", "test")
LONGEST_LABEL_TOKENS = 24


def prepare_bundle(run: Run) -> dict[str, Any]:
    """Writes the run's bundle folder anew, unless a whole one with outputs is there already.

    Gives the run's snapshot, completed by how many train items there are after augmentation, and how many pairs of
    answers where it learns from preferences.
    """
    folder, augment = run_folder(run.id or 0), run.snapshot.get("augment") or {}
    if not (folder / "config.json").is_file():
        with session_scope(write=False) as session:
            dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
            machine = session.get(Machine, run.machine_id) if run.machine_id else None
            job = make_job(run, dataset, split, predicted_parts(session, run))
            rendered = render(replace(job, gpu=has_gpu(machine)))
            parts = {part: part_items(session, dataset, split, part) for part in PARTS}
            if augment:
                parts["train"] = augmented(parts["train"], augment)
            write_bundle(folder, rendered.files, rendered.code, parts)
    snapshot = dict(run.snapshot)
    if is_dpo(sent_values(run.ledger)):
        snapshot["pairs"] = count_pairs(folder)
    if not augment:
        return snapshot
    with (folder / "train.jsonl").open("rb") as file:
        after = sum(1 for _ in file)
    before = (run.snapshot.get("counts") or {}).get("train", 0)
    return {**snapshot, "augment": {**augment, "items_before": before, "items_after": after}}


def render(job: Job) -> Rendered:
    """The bundle's files, by whichever trainer the job names."""
    toolkit = toolkits().get(job.model.partition("/")[0])
    return toolkit_bundle(toolkit, job) if toolkit else cast(Rendered, trainer().render(job))


def has_gpu(machine: Machine | None) -> bool:
    """Whether a run there trains on a GPU; `machine` None: on this machine."""
    return bool(gpus()) if machine is None else bool(machine.facts.get("gpus"))


def predicted_parts(session: Session, run: Run) -> tuple[str, ...]:
    """The parts that the run predicts: test, and before it validation where the experiment chooses on it."""
    experiment = session.get_one(Experiment, run.experiment_id)
    return ("validation", "test") if experiment.choose_on == VALIDATION else ("test",)


def make_job(run: Run, dataset: Dataset, split: Split, predict: tuple[str, ...] = ("test",)) -> Job:
    """What the trainer needs to know to render the run's files."""
    model = find_model(run.model)
    return Job(
        launch_key=run.launch_key,
        kind=model.kind,
        model=model.id,
        model_path=model.path,
        task=dataset.task,
        labels=tuple(dataset.labels),
        hyperparameters=sent_values(run.ledger),
        seed=run.seed if run.seed is not None else 1,
        threads=settings().threads_per_run,
        max_new_tokens=max_new_tokens(dataset),
        counts={part: split.counts.get(part, 0) for part in PARTS},
        dataset_name=dataset.name,
        dataset_sha256=dataset.sha256,
        split_name=split.name,
        split_sha256=split.sha256,
        predict=predict,
    )


def max_new_tokens(dataset: Dataset) -> int:
    """Room for the longest answer of the data set: characters are an upper bound of tokens for text."""
    longest = int(dataset.facts.get("longest_answer_characters") or 64)
    limit = LONGEST_LABEL_TOKENS if dataset.task in ("classification", "number") else 512
    return max(4, min(longest + 4, limit))
