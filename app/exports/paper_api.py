"""A paper's tables, texts and bundle over the API."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from app.comparisons.run_ids import parse_runs
from app.exports.paper_downloads import bundle_file, table_file, texts
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
