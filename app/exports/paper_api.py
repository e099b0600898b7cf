"""A paper's tables, texts and bundle over the API."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from app.comparisons.run_ids import parse_runs
from app.exports.page import export_json
from app.exports.paper_downloads import bundle_file, table_file, texts
from app.exports.paper_queue import queue_paper
from app.web.session import Acting, Database

router = APIRouter()


@router.get("/comparisons/export")
def get_table(
    runs: str, session: Database, actor: Acting, what: str = "predictions", format: str = "csv"
) -> Response:
    """A table of the runs (`1,2,3`): `what` is `predictions` (a line per run and item), `wide` (a line per item) or
    `scores`; `format` is `csv` (safe in spreadsheets), `csv-raw`, `jsonl` or `parquet`."""
    return table_file(session, actor, parse_runs([runs]), what, format)


@router.get("/comparisons/paper")
def get_paper(runs: str, session: Database, actor: Acting) -> dict[str, Any]:
    """The score table as LaTeX and Markdown, the Methods section, and BibTeX, by the names of their files."""
    return texts(session, actor, parse_runs([runs]))


@router.get("/comparisons/bundle.zip")
def get_bundle(
    runs: str, session: Database, actor: Acting, inputs: bool = True, data: bool = False
) -> Response:
    """The paper bundle; `inputs`: with the texts of the test items, `data`: with the whole data file."""
    return bundle_file(session, actor, parse_runs([runs]), inputs=inputs, data=data)


@router.post("/comparisons/bundle", status_code=202)
def post_bundle(asked: dict[str, Any], session: Database, actor: Acting) -> dict[str, Any]:
    """Asks the worker for the paper bundle: `{"runs": "1,2,3", "inputs": true, "data": false}`. The answer is the
    export: look at `/exports/{id}` until it is ready, then get its `file`."""
    return export_json(queue_paper(session, actor, asked))
