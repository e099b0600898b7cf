"""From a queued hosted run to the bytes that its service will get. Called by the steps, and by predicting for the job.

The folder is the reader's bundle (train.jsonl, validation.jsonl, test.jsonl, config.json), with service/ beside it:
exactly the files that are sent.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlmodel import Session, select

from app.clock import now
from app.datasets.stored import part_items
from app.db import session_scope
from app.errors import Invalid, KeyRefused
from app.preferences import DPO, OBJECTIVE, SFT, is_dpo
from app.providers._shapes import Example, Offer, Price, TuningJob
from app.runs.augment import augmented
from app.runs.bundle import count_pairs, rows_of, write_bundle
from app.runs.hosted import (
    Save,
    find_row,
    job_row,
    pause,
    provider_of,
    put,
    remote_model,
    training_of,
)
from app.runs.hosted_files import service_folder
from app.runs.ledger import sent_values
from app.runs.lifecycle import move
from app.runs.prepare import PARTS
from app.runs.sent_tokens import count_tokens
from app.settings.access import access_for, missing
from app.storage import keep, run_folder
from app.tables import Dataset, RemoteJobRow, Run, RunState, Sent, Split, StoredOffer

SENT_PARTS = ("train", "validation")


def queued(run: Run, save: Save) -> None:
    """Notes where the run will be sent and as whom; pauses it while there is no key."""
    provider = provider_of(run.model)
    with session_scope(write=False) as session:
        row = find_row(session, run.id)
        access, credential_id, _ = access_for(session, provider, run.project_id, run.maker_id)
    lacking = missing(provider, access)
    if lacking:
        error = KeyRefused(
            f"{provider.label} needs {lacking}.", "Enter it on the Settings page; the run then goes on."
        )
        pause(run, save, error)
        return
    account: dict[str, Any] = {"credential_id": credential_id, "base_url": access.base_url}
    with save() as session:
        if row is None:
            model = remote_model(run.model)
            session.add(RemoteJobRow(run_id=run.id or 0, provider=provider.name, model=model, **account))
        elif row.sent == Sent.NO and (row.base_url, row.credential_id) != (access.base_url, credential_id):
            # Files that another account has are not there for this one.
            put(session, run, files={}, checked=False, **account)
        elif row.credential_id is None:
            # Made by a restore, which knows no accounts.
            put(session, run, credential_id=credential_id)
        move(session, run, RunState.PREPARING, started_at=run.started_at or now(), error="", hint="")


def preparing(run: Run, save: Save) -> None:
    """Writes the folder, unless a whole one is there already."""
    folder = run_folder(run.id or 0)
    if not (folder / "config.json").is_file():
        _write_folder(run, folder)
    row, training = job_row(run), training_of(run.model)
    job = tuning_job(run, row)
    for part in SENT_PARTS:
        path = service_folder(folder) / f"{part}.jsonl"
        if job.counts.get(part) and not path.is_file():
            _render(rows_of(folder, part), path, training, job)
    with (folder / "train.jsonl").open("rb") as file:
        after = sum(1 for _ in file)
    augment = run.snapshot.get("augment")
    snapshot = dict(run.snapshot)
    if augment:
        before = (run.snapshot.get("counts") or {}).get("train", 0)
        snapshot["augment"] = {**augment, "items_before": before, "items_after": after}
    if job.method == DPO:
        snapshot["pairs"] = count_pairs(folder)
        if not snapshot["pairs"]["train"]:
            raise Invalid(
                "No training item has a rejected answer, and DPO learns from pairs of answers.",
                "Take a data set with rejected answers, or the objective sft.",
            )
    snapshot["tokens"] = {
        part: count_tokens(rows_of(folder, part), job.counts[part], job.method == DPO) for part in SENT_PARTS
    }
    with save() as session:
        move(session, run, RunState.SUBMITTING, snapshot=snapshot)


def _write_folder(run: Run, folder: Path) -> None:
    provider, augment = provider_of(run.model), run.snapshot.get("augment") or {}
    with session_scope(write=False) as session:
        dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
        parts = {part: part_items(session, dataset, split, part) for part in PARTS}
        if augment:
            parts["train"] = augmented(parts["train"], augment)
        config = json.dumps(_config(run), indent=2, ensure_ascii=False) + "\n"
        files = {"config.json": config, "README.md": _readme(run, provider.label, provider.docs_url)}
        write_bundle(folder, files, (), parts)


def _config(run: Run) -> dict[str, Any]:
    return {
        "provider": provider_of(run.model).name,
        "model": remote_model(run.model),
        "method": sent_values(run.ledger).get(OBJECTIVE, SFT),
        "seed": run.seed,
        "hyperparameters": sent_values(run.ledger),
        "launch_key": run.launch_key,
        "dataset_sha256": run.snapshot.get("dataset_sha256"),
        "split_sha256": run.snapshot.get("split_sha256"),
    }


def _readme(run: Run, label: str, docs_url: str) -> str:
    return (
        f"# {run.model}\n\nTrained by {label} ({docs_url}).\n\n"
        "- `config.json`: the model and every value that was sent\n"
        "- `train.jsonl`, `validation.jsonl`, `test.jsonl`: the items of the split\n"
        "- `service/train.jsonl`, `service/validation.jsonl`: the files as they were sent, byte for byte\n"
        "- `service/job-first.json`, `service/job-last.json`: what the service said of the job\n"
        "- `out/`: log, curves, weights where the service gives them, and predictions\n"
    )


def _render(rows: Iterable[dict[str, Any]], path: Path, training: Any, job: TuningJob) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    with fresh.open("wb") as file:
        file.write(training.file_start)
        for row in rows:
            if job.method == DPO and not row.get("rejected"):
                continue
            example = Example(
                row["messages"][:-1], row["messages"][-1], row.get("tools"), row.get("rejected")
            )
            text = json.dumps(training.render(example, job), ensure_ascii=False)
            # A lone surrogate has no bytes: it goes as its escape.
            file.write(text.encode("utf-8", "backslashreplace") + b"\n")
    keep(fresh, path)


def tuning_job(run: Run, row: RemoteJobRow) -> TuningJob:
    """What the provider is told of the run, the same each time it is made."""
    with session_scope(write=False) as session:
        dataset, split = session.get_one(Dataset, run.dataset_id), session.get_one(Split, run.split_id)
        offer = find_offer(session, run, row.credential_id)
    counts = {part: split.counts.get(part, 0) for part in PARTS}
    items = (run.snapshot.get("augment") or {}).get("items_after")
    if items:
        counts["train"] = items
    dpo = is_dpo(sent_values(run.ledger))
    if dpo:
        # Known exactly once the files are written; until then as the split has it.
        counts |= run.snapshot.get("pairs") or dict.fromkeys(SENT_PARTS, 0) | {
            part: count for part, count in (split.facts.get("rejected") or {}).items() if part in SENT_PARTS
        }
    mean = float(dataset.facts.get("mean_tokens") or 0)
    return TuningJob(
        launch_key=run.launch_key,
        name=f"{dataset.name}, {split.name}"[:100],
        model=row.model,
        method=DPO if dpo else SFT,
        hyperparameters=sent_values(run.ledger),
        seed=run.seed if run.seed is not None else 1,
        counts=counts,
        # Known once the files are written; until then as the average item has it.
        tokens={part: round(mean * count * (1 + dpo)) for part, count in counts.items()}
        | (run.snapshot.get("tokens") or {}),
        offer=offer,
    )


def find_offer(session: Session, run: Run, credential_id: int | None) -> Offer:
    """The model as the service's list had it, else as the provider's file knows it, else by its name alone."""
    model = remote_model(run.model)
    stored = session.exec(
        select(StoredOffer).where(StoredOffer.credential_id == credential_id, StoredOffer.model == model)
    ).first()
    if stored is not None:
        price = stored.facts.get("price")
        return Offer(**{**stored.facts, "price": Price(**price) if price else None})
    known = (offer for offer in provider_of(run.model).offers if offer.model == model)
    return next(known, Offer(model, can_train=True))
