"""A paper's files as downloads: tables in every format, texts, the bundle. Called by pages and the API."""

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from fastapi.responses import Response
from sqlmodel import Session, col, select

from app.comparisons.export import wide_pieces
from app.comparisons.queries import Chosen
from app.errors import Conflict, Invalid, NotFound
from app.export_formats import Rows, formats
from app.exports.answer_rows import score_rows, stacked_rows, wide_rows
from app.exports.bibtex import bibtex
from app.exports.latex import label_of, latex_table
from app.exports.markdown import markdown_table
from app.exports.methods import methods
from app.exports.paper_bundle import write_bundle
from app.exports.paper_export import MOST_AT_ONCE, too_large
from app.exports.state import PaperState, read_state
from app.lab.actor import Actor
from app.tables import Evaluation, Run, Split
from app.web.written import written

TABLES: dict[str, Callable[[Session, Actor, PaperState], Rows]] = {
    "predictions": stacked_rows,
    "wide": wide_rows,
    "scores": lambda _session, _actor, state: score_rows(state),
}
TEXTS: dict[str, tuple[Callable[[PaperState], str], str]] = {
    "scores.tex": (latex_table, "application/x-tex; charset=utf-8"),
    "scores.md": (markdown_table, "text/markdown; charset=utf-8"),
    "methods.txt": (methods, "text/plain; charset=utf-8"),
    "references.bib": (bibtex, "application/x-bibtex; charset=utf-8"),
}


def table_file(session: Session, actor: Actor, run_ids: Sequence[int], what: str, format: str) -> Response:
    """One of TABLES in one of the formats; raises Invalid for any other name."""
    kind = formats().get(format)
    if what not in TABLES:
        raise Invalid(
            f"There is no table {what[:50]!r}.", f"Choose one of {', '.join(TABLES)}.", {"what": "unknown"}
        )
    if kind is None:
        names = ", ".join(formats())
        raise Invalid(
            f"There is no format {format[:50]!r}.", f"Choose one of {names}.", {"format": "unknown"}
        )
    state = read_state(session, actor, run_ids)
    name = f"{label_of(state)}-{what}{'-raw' if kind.name == 'csv-raw' else ''}.{kind.extension}"
    if what == "wide" and kind.name in ("csv", "csv-raw") and (chosen := same_labels(session, state)):
        keys = [run.key for run in state.runs]
        pieces = wide_pieces(session, chosen, keys, raw=kind.name == "csv-raw")
        return written(lambda file: file.writelines(pieces), name, kind.media_type)
    rows = TABLES[what](session, actor, state)
    return written(lambda file: kind.write(rows, file), name, kind.media_type)


def same_labels(session: Session, state: PaperState) -> Chosen | None:
    """The runs for wide_pieces(), which is several times as fast as a table of rows and gives the same bytes; None
    where a run knows the classes in another order than the data set."""
    rows = [run.row for run in state.runs]
    known = session.exec(
        select(Evaluation.labels).where(col(Evaluation.id).in_([row.evaluation_id for row in rows]))
    )
    if any(labels not in ([], state.labels) for labels in known):
        return None
    splits = {row.run_id: session.get_one(Split, session.get_one(Run, row.run_id).split_id) for row in rows}
    return Chosen(rows, frozenset(), state.dataset, splits[rows[0].run_id], splits)


def text_file(session: Session, actor: Actor, run_ids: Sequence[int], name: str) -> Response:
    """One of TEXTS; raises NotFound for any other name."""
    if name not in TEXTS:
        raise NotFound(f"There is no file {name[:50]!r}.", f"There are: {', '.join(TEXTS)}.")
    write, media_type = TEXTS[name]
    state = read_state(session, actor, run_ids)
    headers = {"content-disposition": f'attachment; filename="{label_of(state)}-{name}"'}
    return Response(write(state), headers=headers, media_type=media_type)


def texts(session: Session, actor: Actor, run_ids: Sequence[int]) -> dict[str, Any]:
    """Every text by its name."""
    state = read_state(session, actor, run_ids)
    return {name: write(state) for name, (write, _) in TEXTS.items()}


def bundle_file(
    session: Session, actor: Actor, run_ids: Sequence[int], *, inputs: bool, data: bool
) -> Response:
    """The paper bundle; raises Conflict for one that is for the worker."""
    state = read_state(session, actor, run_ids)
    if too_large(state):
        raise Conflict(
            f"This bundle has more than {MOST_AT_ONCE:,} predictions; the worker makes it.",
            "Ask for it on the page “For the paper”, or POST /api/v1/comparisons/bundle.",
        )

    def write(file: BinaryIO) -> None:
        write_bundle(session, actor, state, file, inputs=inputs, data=data)

    return written(write, f"{label_of(state)}-paper-bundle.zip", "application/zip")
