"""The last step of a run: its predictions come into the database and are scored. Called by workers/runs.py."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
from sqlmodel import Session, select

from app.datasets.items import PART_NAMES
from app.db import clean
from app.errors import Invalid
from app.evaluations.answers import default_rules
from app.evaluations.pool import pool_folds
from app.evaluations.refill import refill
from app.evaluations.service import NewPrediction, score_evaluation, store_evaluation
from app.runs import outputs
from app.runs.lifecycle import move
from app.runs.prepare import predicted_parts
from app.storage import run_folder
from app.tables import Dataset, Evaluation, Run, RunState, Split

Save = Callable[[], AbstractContextManager[Session]]


class Line(msgspec.Struct):
    """One line of a process's predictions.jsonl."""

    item: str
    number: int
    answer: str | None = None
    p: dict[str, float] | None = None
    logprob: float | None = None
    latency_ms: float | None = None
    tokens: int | None = None
    error: str | None = None


def finish_run(run: Run, save: Save) -> None:
    """Stores and scores the predictions in one transaction, so that a run ends exactly once."""
    folder = run_folder(run.id or 0)
    with save() as session:
        split, dataset = session.get_one(Split, run.split_id), session.get_one(Dataset, run.dataset_id)
        found = session.exec(select(Evaluation).where(Evaluation.run_id == run.id))
        stored = {evaluation.part: evaluation for evaluation in found}
        for part in predicted_parts(session, run):
            code = PART_NAMES.index(part)
            numbers = [number for number, own in enumerate(split.parts) if own == code]
            name = "predictions.jsonl" if part == "test" else f"predictions-{part}.jsonl"
            lines = complete_lines(folder / "out" / name, numbers, part)
            predictions = (_new(line, dataset.labels) for line in lines)
            if part in stored:
                refill(session, run, stored[part], predictions)
                continue
            decoding = outputs.read_json(folder, "resolved.json").get("decoding") or {"temperature": 0}
            evaluation = store_evaluation(session, run, dataset.labels, predictions, decoding, part=part)
            score_evaluation(session, evaluation, run, default_rules(dataset.task))
        move(session, run, RunState.DONE, progress=1.0)
        pool_folds(session, run)


def complete_lines(path: Path, numbers: list[int], part: str = "test") -> list[Line]:
    """The predictions in the order of `numbers`, each item exactly once.

    Raises Invalid that says which items are missing.
    """
    found: dict[int, Line] = {}
    for line in _lines(path):
        found.setdefault(line.number, line)
    missing = [number for number in numbers if number not in found]
    if missing:
        raise Invalid(
            f"{len(missing)} of {len(numbers)} {part} items have no prediction (the first is item {missing[0] + 1}).",
            "Retry the run; if it happens again, the log says why the model did not answer.",
        )
    return [found[number] for number in numbers]


def _lines(path: Path) -> Iterator[Line]:
    decoder = msgspec.json.Decoder(Line)
    try:
        with path.open("rb") as file:
            for raw in file:
                if raw.strip():
                    yield decoder.decode(raw)
    except OSError:
        return
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"The predictions file cannot be read: {error}.", "Retry the run.") from error


def _new(line: Line, labels: list[str]) -> NewPrediction:
    probabilities = [line.p.get(label, 0.0) for label in labels] if line.p and labels else None
    return NewPrediction(
        line.number,
        clean(line.answer),
        probabilities,
        line.logprob,
        line.latency_ms,
        line.tokens,
        clean(line.error),
    )
