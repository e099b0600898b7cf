"""The marks of a judging as CSV, safe in spreadsheets."""

from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, col, select

from app.cells import guarded
from app.tables import Item, JudgeMark, Judging, Run
from app.tables.item import item_id

COLUMNS = (
    *("item", "line", "side", "state", "value", "reply", "error"),
    *("attempts", "input_tokens", "output_tokens", "latency_ms"),
)


def mark_rows(session: Session, judging: Judging) -> Iterator[list[Any]]:
    """One line per mark. `value` is 0 to 1; of a pair 1 is the first run's answer, `side` 1 had the other first."""
    rows = session.exec(
        select(JudgeMark, Item.content_key, Item.occurrence, Item.line)
        .select_from(JudgeMark)
        .join(Run, col(Run.id) == judging.run_id)
        .join(Item, (col(Item.dataset_id) == Run.dataset_id) & (col(Item.number) == JudgeMark.number))
        .where(JudgeMark.judging_id == judging.id)
        .order_by(col(JudgeMark.number), col(JudgeMark.side))
    ).all()
    for mark, key, occurrence, line in rows:
        yield [
            item_id(key, occurrence),
            line,
            mark.side,
            mark.state,
            "" if mark.value is None else f"{mark.value:g}",
            guarded(mark.reply),
            guarded(mark.error),
            mark.attempts,
            mark.input_tokens,
            mark.output_tokens,
            "" if mark.latency_ms is None else f"{mark.latency_ms:.6g}",
        ]
