"""Adopts a training that was made elsewhere as a run: its ledger, its curves, its weights, and predictions by them.

Called by adopt_api.py and adopt_routes.py with the zip of the folder that Transformers, TRL or Axolotl wrote.
"""

import hashlib
import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlmodel import Session, select

from app.catalog.facts import hyperparameters
from app.catalog.model import Model
from app.catalog.models import all_models, find_model
from app.clock import now
from app.datasets.stored import part_items
from app.db import clean
from app.errors import Conflict, Invalid
from app.experiments.adopted_facts import Adopted, read_facts
from app.experiments.adopted_files import Folder, opened
from app.experiments.imports import NAME, import_predictions
from app.experiments.service import snapshot
from app.lab.actor import Actor, find, require_member
from app.queue import ADVANCE_RUN, enqueue
from app.runs.bundle import write_bundle
from app.runs.curves import store_points
from app.runs.prepare import PARTS, has_gpu, make_job, predicted_parts, render
from app.storage import remove, run_folder
from app.stored_files import note
from app.tables import Dataset, Experiment, Run, Split


def adopt_training(
    session: Session, actor: Actor, experiment_id: int, name: str, path: Path, base: str = ""
) -> Run:
    """The run. With `predictions.csv` (or .jsonl) in the zip it is `imported/<name>` and over at once; else it is queued,
    and predicts the test items here with the weights on `base` (left out: the model that the folder names).

    Raises Invalid or Conflict with a sentence for what cannot be used; nothing is kept then.
    """
    require_member(actor, "adopt trainings")
    name = name.strip()
    if not NAME.match(name):
        raise Invalid(
            f"{name[:80]!r} cannot be a name." if name else "The training has no name.",
            "Use letters, digits, blanks and . : + / @ - _, at most 80.",
            {"name": "not a usable name"},
        )
    experiment: Experiment = find(session, actor, Experiment, experiment_id)
    with opened(path) as folder:
        facts = read_facts(folder.texts())
        if not facts.ledger and not folder.weights:
            raise Invalid(
                "Nothing in the zip is of a training.",
                "It holds at least one of adapter_config.json with its weights, trainer_state.json, training_args.bin or "
                "Axolotl's YAML file.",
            )
        about = {"name": name, "base": clean(facts.base[:300]), "at": now().isoformat(timespec="seconds")}
        if folder.predictions:
            with folder.archive.open(folder.predictions) as file:
                run, _ = import_predictions(session, actor, experiment_id, name, file)  # type: ignore[arg-type]
            _describe(session, run, facts, about)
            _write(session, run, folder, facts, {})
            note(session, run_folder(run.id or 0))
        else:
            run = _to_predict(session, actor, experiment, folder, facts, about, base)
    return run


def _describe(session: Session, run: Run, facts: Adopted, about: dict[str, Any]) -> None:
    run.ledger = facts.ledger
    run.seed = facts.seed
    run.snapshot = {**run.snapshot, "adopted": about}
    session.add(run)
    session.flush()
    store_points(session, run, facts.curves)


def _to_predict(
    session: Session,
    actor: Actor,
    experiment: Experiment,
    folder: Folder,
    facts: Adopted,
    about: dict[str, Any],
    base: str,
) -> Run:
    model = _model(facts, folder, base)
    dataset, split = (
        session.get_one(Dataset, experiment.dataset_id),
        session.get_one(Split, experiment.split_id),
    )
    if not split.counts.get("train") or not split.counts.get("test"):
        raise Invalid(
            "This experiment's split has no train and test part of its own.",
            "Adopt into one with a plain split.",
        )
    variant = f"adopted: {about['name']}"
    if session.exec(select(Run).where(Run.experiment_id == experiment.id, Run.variant == variant)).first():
        raise Conflict(f"This experiment has adopted {about['name']!r} already.", "Choose another name.")
    run = Run(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        experiment_id=experiment.id or 0,
        dataset_id=experiment.dataset_id,
        split_id=experiment.split_id,
        model=model.id,
        variant=variant,
        launch_key=f"tb-{secrets.token_hex(8)}",
        snapshot=snapshot(dataset, split),
    )
    _describe(session, run, facts, about)
    _write(session, run, folder, facts, _bundle(session, run, dataset, split, folder, model, facts))
    enqueue(session, ADVANCE_RUN, run.id or 0)
    return run


def _model(facts: Adopted, folder: Folder, base: str) -> Model:
    """The model that predicts; raises Invalid where that is not known or cannot be had."""
    if not folder.weights:
        raise Invalid(
            "The folder has neither weights (safetensors) nor predictions.",
            "Put predictions.csv beside the rest: columns `answer` and `item`, `line` or `input`.",
        )
    wanted = (base or facts.base).strip().removeprefix("hf/")
    if not wanted:
        raise Invalid(
            "Nothing says on which base model this was trained.", "Name it as `base`.", {"base": "needed"}
        )
    here = {model.id for model in all_models() if model.kind == "hf"}
    last = f"hf/{wanted.rstrip('/').split('/')[-1]}"
    if f"hf/{wanted}" not in here and last in here:
        wanted = last.removeprefix("hf/")
    elif wanted.startswith(("/", ".", "~")) or "\\" in wanted:
        raise Invalid(
            f"The base model {wanted[:200]!r} is a folder of another machine.",
            "Name it as `base`: a folder below TUNEBOOK_MODEL_DIRS, or owner/name; or put predictions.csv into the zip.",
            {"base": "not here"},
        )
    model = find_model(f"hf/{wanted}")
    if model.unavailable:
        raise Invalid(
            f"{model.id} cannot predict here: {model.unavailable}.", "Put predictions.csv into the zip."
        )
    return model


def _bundle(
    session: Session, run: Run, dataset: Dataset, split: Split, folder: Folder, model: Model, facts: Adopted
) -> dict[str, Any]:
    """What write_bundle takes: the process finds the weights in out/ and has nothing to train."""
    values = {shape.name: shape.default for shape in hyperparameters(model)}
    values |= {"method": "lora" if folder.is_adapter else "full", "objective": "sft"}
    length = facts.ledger.get("max_seq_len", {}).get("resolved")
    if isinstance(length, int) and 16 <= length <= 1_000_000:
        values["max_seq_len"] = length
    job = replace(
        make_job(run, dataset, split, predicted_parts(session, run)),
        hyperparameters=values,
        gpu=has_gpu(None),
    )
    rendered = render(job)
    parts = {part: part_items(session, dataset, split, part) for part in PARTS}
    return {"files": rendered.files, "code": rendered.code, "parts": parts}


def _write(session: Session, run: Run, folder: Folder, facts: Adopted, bundle: dict[str, Any]) -> None:
    """The run's folder, taken away again should the row not be committed."""
    target = run_folder(run.id or 0)
    _removed_with_its_row(session, target)
    if bundle:
        write_bundle(target, **bundle)
    out = target / "out"
    out.mkdir(parents=True, exist_ok=True)
    steps: dict[int, dict[str, Any]] = {}
    for name, step, value in facts.curves:
        steps.setdefault(step, {"step": step})[name] = value
    lines = "".join(f"{json.dumps(steps[step])}\n" for step in sorted(steps))
    (out / "metrics.jsonl").write_text(lines, encoding="utf-8")
    files: dict[str, str] = {}
    if folder.weights:
        kept = out / ("adapter" if folder.is_adapter else "model")
        folder.keep(kept)
        files = {path.name: _sha256(path) for path in sorted(kept.iterdir())}
    run.snapshot = {**run.snapshot, "adopted": {**run.snapshot["adopted"], "files": files}}
    session.add(run)
    session.flush()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _removed_with_its_row(session: Session, folder: Path) -> None:
    """A folder without its row would be taken for that of the next run with its number."""

    def rolled_back(_: Session) -> None:
        event.remove(session, "after_commit", committed)
        remove(folder)

    def committed(_: Session) -> None:
        event.remove(session, "after_rollback", rolled_back)

    event.listen(session, "after_rollback", rolled_back, once=True)
    event.listen(session, "after_commit", committed, once=True)
