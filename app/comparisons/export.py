"""The wide CSV: one line per item, the columns of every chosen run beside each other."""

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, select

from app.cells import guarded
from app.comparisons.items import ComparedItem, compared_items
from app.comparisons.queries import compared_runs
from app.db import new_session
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.table import csv_text
from app.lab.actor import Actor
from app.tables import Dataset, Prediction, Split

BATCH = 1_000


def wide_csv(session: Session, actor: Actor, run_ids: list[int], raw: bool) -> Iterator[bytes]:
    """Raises NotFound or Invalid at once; then streams in a session of its own. Items that only some of the
    runs answered are in, with empty cells."""
    rows, dataset, split = compared_runs(session, actor, run_ids)

    def pieces() -> Iterator[bytes]:
        with new_session(write=False) as own:
            safe = (lambda text: text or "") if raw else guarded
            yield from csv_text(_header(rows, dataset.labels, safe), _lines(own, rows, dataset, split, safe))

    return pieces()


def _names(rows: list[LeaderboardRow]) -> list[str]:
    names = [row.model if row.seed is None else f"{row.model} seed {row.seed}" for row in rows]
    return [
        name if names.count(name) == 1 else f"{name} run {row.run_id}"
        for name, row in zip(names, rows, strict=True)
    ]


def _header(rows: list[LeaderboardRow], labels: list[str], safe: Any) -> list[str]:
    head = ["item", "line", "split", "group", "input", "expected"]
    for name in _names(rows):
        head += [safe(f"{name}: answer"), safe(f"{name}: answer_read"), safe(f"{name}: correct")]
        head += [safe(f"{name}: p({label})") for label in labels]
    return head


def _lines(
    session: Session, rows: list[LeaderboardRow], dataset: Dataset, split: Split, safe: Any
) -> Iterator[list[Any]]:
    evaluations = [row.evaluation_id for row in rows]
    numbers = session.exec(
        select(Prediction.number)
        .where(Prediction.evaluation_id.in_(evaluations))  # type: ignore[attr-defined]
        .distinct()
        .order_by(Prediction.number)  # type: ignore[arg-type]
    ).all()
    for start in range(0, len(numbers), BATCH):
        for compared in compared_items(session, rows, dataset, split, numbers[start : start + BATCH]):
            yield _line(compared, len(dataset.labels), safe)


def _line(compared: ComparedItem, n_labels: int, safe: Any) -> list[Any]:
    item = compared.item
    line: list[Any] = [item.item_id, item.line, "test", safe(item.group), safe(item.input), safe(item.answer)]
    for answer in compared.answers:
        if answer is None:
            line += [""] * (3 + n_labels)
            continue
        line += [safe(answer.given), safe(answer.read), "true" if answer.correct else "false"]
        values = [f"{p:.6g}" for _, p in answer.probabilities]
        line += values or [""] * n_labels
    return line
