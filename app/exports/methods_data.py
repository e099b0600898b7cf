"""The Methods section's paragraph on the data: hashes, classes, and how the items were split."""

import json
from collections.abc import Iterable

from app.exports.state import PaperState
from app.format import count, joined, plural
from app.tables import Split

TASKS = {
    "classification": "classification into {n} classes",
    "number": "predicting a number",
    "list": "predicting a set",
    "json": "predicting JSON",
    "text": "writing free text",
}


def data(state: PaperState) -> list[str]:
    """The paragraph's sentences."""
    known = state.dataset
    task = TASKS.get(state.task, state.task).format(n=len(state.labels))
    said = [
        f"The data set “{known.name}” has {plural(known.items, 'item')} (SHA-256 {known.sha256}); the task is {task}."
    ]
    if state.labels:
        said.append(f"The classes are {joined(f'“{label}”' for label in state.labels)}.")
    for split in state.splits:
        said += _pooled(state, split) if split.kind == "pooled" else _split(split, state.leaked[split.sha256])
    return said


def _pooled(state: PaperState, split: Split) -> list[str]:
    """Folds are told by what their runs recorded: the split that pools them has nothing but test items."""
    found = {json.dumps(run.snapshot["folds"]): run for run in state.runs if run.snapshot.get("folds")}
    said = []
    for run in found.values():
        if run.snapshot["split_sha256"] != split.sha256:
            continue
        folds = run.snapshot["folds"]
        train, test = (_range(fold[part] for fold in folds) for part in ("train", "test"))
        hashes = (f"{fold['name']}: SHA-256 {fold['split_sha256']}" for fold in folds)
        said.append(
            f"It was dealt into {plural(len(folds), 'fold')} with {train} train and {test} test items "
            f"({joined(hashes)})."
        )
    return [*said, *map(ended, split.remarks)]


def _range(numbers: Iterable[int]) -> str:
    known = sorted(set(numbers))
    return count(known[0]) if len(known) == 1 else f"{count(known[0])} to {count(known[-1])}"


def _split(split: Split, leaked: int) -> list[str]:
    counts = split.counts
    parts = [f"{count(counts.get(part, 0))} {part}" for part in ("train", "validation", "test")]
    said = [f"The split “{split.name}” (SHA-256 {split.sha256}) has {joined(parts)} items."]
    seed = split.parameters.get("seed")
    if seed is not None:
        said.append(f"It was drawn with seed {seed}.")
    if split.groups:
        said.append(f"Its items stand in {plural(len(split.groups), 'group')}.")
    said += [ended(remark) for remark in split.remarks]
    if leaked:
        said.append(f"The input of {plural(leaked, 'test item')} stands in train too, word for word.")
    return said


def ended(sentence: str) -> str:
    """With a capital and a full stop."""
    said = sentence[:1].upper() + sentence[1:]
    return said if said.endswith((".", "!", "?")) else f"{said}."
