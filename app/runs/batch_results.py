"""Stores what an ended batch answered: each item once, however often its file is read. Called by reply_batch.py."""

from collections.abc import Iterable
from itertools import islice
from typing import Any

from sqlmodel import select

from app.db import session_scope
from app.providers._shapes import BatchAnswer, RemoteBatch
from app.runs import reply_rows
from app.runs.hosted import Save, set_run
from app.runs.reply_plan import BYTES_A_TOKEN, Plan
from app.tables import RemoteBatchRow, ReplyRow, ReplyState, Run

AT_ONCE = 1_000
MOST_ATTEMPTS = 3
NOT_THERE = "The batch ended without an answer to it."


def keep_results(
    plan: Plan, save: Save, row: RemoteBatchRow, found: RemoteBatch, answers: Iterable[BatchAnswer]
) -> int:
    """Writes every answer and error line; gives how many items of the piece have an answer, or none for good.

    Lines may come in any order, twice, or about items that nobody asked for; what was written before a kill is not
    written or paid again.
    """
    left = _left(plan.run, row)
    kept = row.total - len(left)
    lines_left = iter(answers)
    while lines := list(islice(lines_left, AT_ONCE)):
        results, cost = [], 0
        for line in lines:
            attempts = left.pop(line.key, None)
            if attempts is None:
                continue
            values = _values(plan, line, attempts)
            kept += values["state"] != ReplyState.WAITING
            cost += _cost(plan, values)
            results.append((*_key(line.key), values))
        _write(plan, save, row, results, cost)
    missing = [(*_key(key), _without(attempts, found.message or NOT_THERE)) for key, attempts in left.items()]
    _write(plan, save, row, missing, 0)
    return kept + sum(values["state"] == ReplyState.FAILED for _, _, values in missing)


def _key(key: str) -> tuple[str, int]:
    part, _, number = key.rpartition("-")
    return part, int(number)


def _left(run: Run, row: RemoteBatchRow) -> dict[str, int]:
    """{key: attempts} of the items of the piece that still wait."""
    with session_scope(write=False) as session:
        found = session.exec(
            select(ReplyRow.part, ReplyRow.number, ReplyRow.attempts).where(
                ReplyRow.run_id == run.id,
                ReplyRow.batch_id == row.id,
                ReplyRow.state == ReplyState.WAITING,
            )
        )
        return {f"{part}-{number}": attempts for part, number, attempts in found}


def _values(plan: Plan, line: BatchAnswer, attempts: int) -> dict[str, Any]:
    if line.reply is None:
        return _without(attempts, line.error, line.retryable)
    values = plan.read(line.reply)
    if values["output_tokens"] is None:
        values["output_tokens"] = len(line.reply.text.encode("utf-8", "replace")) // BYTES_A_TOKEN
    return {**values, "state": ReplyState.ANSWERED, "attempts": attempts + 1}


def _without(attempts: int, error: str, retryable: bool = True) -> dict[str, Any]:
    given_up = not retryable or attempts + 1 >= MOST_ATTEMPTS
    return {
        "state": ReplyState.FAILED if given_up else ReplyState.WAITING,
        "attempts": attempts + 1,
        "error": error[: reply_rows.ERROR_KEPT],
    }


def _cost(plan: Plan, values: dict[str, Any]) -> int:
    if values["state"] != ReplyState.ANSWERED:
        return 0
    return plan.cost(values["input_tokens"] or 0, values["output_tokens"] or 0, batch=True)


def _write(
    plan: Plan, save: Save, row: RemoteBatchRow, results: list[tuple[str, int, dict[str, Any]]], cost: int
) -> None:
    if not results:
        return
    with save() as session:
        reply_rows.write(session, plan.run, results, row.id)
        if cost:
            set_run(session, plan.run, cost_microdollars=Run.cost_microdollars + cost)
