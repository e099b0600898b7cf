"""The pieces of a run's batches: files of questions, each with its row, and which items are in which. Called by
reply_batch.py.
"""

import json
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from app.db import session_scope
from app.errors import OutOfCredit
from app.providers._base import Batch
from app.providers._shapes import Question
from app.runs.hosted import Save, pause_run
from app.runs.hosted_files import service_folder, write_whole
from app.runs.reply_plan import Plan
from app.runs.reply_rows import again, waiting
from app.storage import run_folder
from app.tables import RemoteBatchRow, ReplyRow, ReplyState, Run, Sent

# A piece that leaves items without an answer is followed by another one, this often.
MOST_PIECES = 100


def open_rows(run: Run) -> list[RemoteBatchRow]:
    """The pieces that are not read yet, the oldest first."""
    with session_scope(write=False) as session:
        found = session.exec(
            select(RemoteBatchRow)
            .where(RemoteBatchRow.run_id == run.id, col(RemoteBatchRow.read_at).is_(None))
            .order_by(col(RemoteBatchRow.id))
        )
        return list(found)


def open_batch(session: Session, run: Run) -> bool:
    """Whether a batch of the run is, or may be, at its service."""
    found = session.exec(
        select(RemoteBatchRow.id).where(
            RemoteBatchRow.run_id == run.id,
            col(RemoteBatchRow.read_at).is_(None),
            RemoteBatchRow.sent != Sent.NO,
        )
    )
    return found.first() is not None


def file_of(run: Run, row: RemoteBatchRow, suffix: str = "jsonl") -> Path:
    """Where a piece lies as it is sent, or what the service said of it."""
    return service_folder(run_folder(run.id or 0)) / f"batch-{row.part}-{row.piece}.{suffix}"


def make_piece(plan: Plan, save: Save, batch: Batch) -> bool:
    """Writes the next piece and its row; the next step sends it. False where nothing waits or no piece may follow."""
    run = plan.run
    with session_scope(write=False) as session:
        rows = waiting(session, run.id or 0, batch.most_lines)
        part = rows[0].part if rows else ""
        wanted = [(row.part, row.number) for row in rows if row.part == part]
        pieces = len(session.exec(select(RemoteBatchRow.id).where(RemoteBatchRow.run_id == run.id)).all())
        found = plan.questions(session, wanted)
    if not rows or pieces >= MOST_PIECES:
        return False
    lines = _lines(plan, batch, found)
    row = RemoteBatchRow(
        run_id=run.id or 0,
        part=part,
        piece=pieces + 1,
        launch_key=f"{run.launch_key}-{part[0]}{pieces + 1}",
        total=len(lines),
    )
    if over := _over(plan, lines, pieces):
        with save() as session:
            pause_run(session, run, OutOfCredit(over, "Raise the run's budget, then let it go on."))
        return True
    write_whole(file_of(run, row), b"".join(lines.values()))
    with save() as session:
        session.add(row)
        session.flush()
        for (own, number), _line in lines.items():
            reply = session.get_one(ReplyRow, (run.id, own, number))
            reply.batch_id = row.id
            session.add(reply)
        again(session, run, progress_note=f"sends {len(lines):,} questions as a batch")
    return True


def _lines(plan: Plan, batch: Batch, found: dict[tuple[str, int], Question]) -> dict[tuple[str, int], bytes]:
    """As many lines as fit into one piece."""
    lines: dict[tuple[str, int], bytes] = {}
    size = 0
    for key, question in found.items():
        made = batch.line(plan.target.model, question, plan.decoding)
        line = json.dumps(made, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        if lines and (size + len(line) > batch.most_bytes or len(lines) >= batch.most_lines):
            break
        lines[key], size = line, size + len(line)
    return lines


def _over(plan: Plan, lines: dict[tuple[str, int], bytes], pieces: int) -> str:
    """The launch has reserved what the first pieces cost by its estimate; later ones must fit into what is left."""
    if not pieces:
        return ""
    return plan.over(plan.run.cost_microdollars + sum(plan.most(len(line), True) for line in lines.values()))


def put_piece(session: Session, row: RemoteBatchRow, **values: Any) -> None:
    """Writes values to a piece."""
    fresh = session.get_one(RemoteBatchRow, row.id)
    for name, value in values.items():
        setattr(fresh, name, value)
    session.add(fresh)
    session.flush()


def free(session: Session, run: Run, row: RemoteBatchRow) -> None:
    """The items of a piece that has no answer for them wait on their own again."""
    for reply in session.exec(
        select(ReplyRow).where(
            ReplyRow.run_id == run.id, ReplyRow.batch_id == row.id, ReplyRow.state == ReplyState.WAITING
        )
    ):
        reply.batch_id = None
        session.add(reply)
