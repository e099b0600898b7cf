"""The predictions CSV of a run, streamed while it is read from the database."""

from collections.abc import Iterator

from fastapi.responses import StreamingResponse
from sqlmodel import Session

from app.cells import csv_text
from app.db import new_session
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import cells, header
from app.lab.actor import Actor
from app.web.csv_download import csv_response


def predictions_csv(session: Session, actor: Actor, run_id: int, raw: bool) -> StreamingResponse:
    """Raises NotFound before anything is sent; then streams in a session of its own."""
    scored = scored_run(session, actor, run_id)
    labels, pooled = scored.evaluation.labels, scored.run.pooled

    def pieces() -> Iterator[bytes]:
        with new_session(write=False) as own:
            rows = prediction_rows(own, scored_run(own, actor, run_id))
            yield from csv_text(header(labels, raw, pooled), (cells(row, len(labels), raw) for row in rows))

    return csv_response(pieces(), f"run-{run_id}-predictions{'-raw' if raw else ''}.csv")
