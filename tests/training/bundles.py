"""Bundles of a small made-up task for the tests of the training process, written by the code that writes real ones."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.catalog.facts import hyperparameters
from app.catalog.models import find_model
from app.datasets.stored import StoredItem
from app.runs.bundle import write_bundle
from app.trainers._base import Job
from app.trainers.builtin import TRAINER

WORDS = ("stone", "river", "copper", "lamp", "violet", "thunder", "paper", "salt")
METALS = ("Iron", "Gold", "Zinc", "Tin")
LABELS = ("metal", "none")


def items(count: int, seed: int, first: int = 0) -> list[StoredItem]:
    """Items whose answer says whether a metal is among the words."""
    chance = random.Random(seed)
    made = []
    for number in range(first, first + count):
        words = chance.sample(WORDS, 3)
        label = LABELS[number % 2]
        if label == "metal":
            words[chance.randrange(3)] = chance.choice(METALS)
        prompt = [
            {"role": "system", "content": "Metal or none?"},
            {"role": "user", "content": " ".join(words)},
        ]
        answer = {"role": "assistant", "content": label}
        made.append(StoredItem(number, number + 1, f"item-{number}", None, prompt, label, answer, None))
    return made


def job(model: str, values: dict[str, Any], **more: Any) -> Job:
    """A job of `model`; the rest of what a run would say is filled in."""
    standard: dict[str, Any] = {
        "launch_key": "key-1",
        "kind": model.partition("/")[0],
        "model": model,
        "model_path": "",
        "task": "classification",
        "labels": LABELS,
        "hyperparameters": values,
        "seed": 1,
        "threads": 1,
        "max_new_tokens": 8,
        "counts": {},
        "dataset_name": "metals",
        "dataset_sha256": "a" * 64,
        "split_name": "own",
        "split_sha256": "b" * 64,
    }
    return Job(**(standard | more))


def values_of(model: str, **changes: Any) -> dict[str, Any]:
    """Every hyperparameter at its default, with changes."""
    return {field.name: field.default for field in hyperparameters(find_model(model))} | changes


def bundle(folder: Path, wanted: Job, train: int = 64, validation: int = 0, test: int = 20) -> Path:
    """The written bundle, with many checkpoints."""
    parts = {
        "train": items(train, 1),
        "validation": items(validation, 2, first=train),
        "test": items(test, 3, first=train + validation),
    }
    rendered = TRAINER.render(wanted)
    config = json.loads(rendered.files["config.json"]) | {"checkpoint_seconds": 0.1}
    write_bundle(folder, {**rendered.files, "config.json": json.dumps(config)}, rendered.code, parts)
    return folder


def start(folder: Path) -> "subprocess.Popen[bytes]":
    """The training process, as app/compute starts it."""
    environment = os.environ | {"PYTHONPATH": str(folder / "code"), "OMP_WAIT_POLICY": "PASSIVE"}
    with (folder / "console.txt").open("ab") as console:
        return subprocess.Popen(
            [sys.executable, "-m", "training", str(folder)],
            cwd=folder,
            env=environment,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def finish(folder: Path) -> int:
    """Runs the bundle to its end; returns the exit code."""
    return start(folder).wait(timeout=240)


def read(folder: Path, name: str) -> Any:
    """A JSON file of out/, or the rows of a JSON Lines file."""
    text = (folder / "out" / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()] if name.endswith(".jsonl") else json.loads(text)


def answers(folder: Path) -> dict[str, str]:
    """{item: answer} of the predictions; an item that stands twice fails the test."""
    rows = read(folder, "predictions.jsonl")
    assert len({row["item"] for row in rows}) == len(rows)
    return {row["item"]: row["answer"] for row in rows}


def accuracy(folder: Path) -> float:
    """Share of right answers among the test items."""
    found = answers(folder)
    test = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    return sum(found[row["item"]] == row["expected"] for row in test) / len(test)
