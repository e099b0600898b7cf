"""The page that gives an author what a paper needs, and the download menu of the compare and run pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.exports.bibtex import bibtex
from app.exports.latex import latex_table
from app.exports.markdown import markdown_table
from app.exports.methods import methods
from app.exports.paper_export import too_large
from app.exports.score_table import ScoreTable, score_table
from app.exports.state import PaperState
from app.format import plural


@dataclass(frozen=True)
class TextPart:
    """One text with its heading, an id for the copy button, and where its file is."""

    id: str
    title: str
    note: str
    text: str
    href: str
    file: str


@dataclass(frozen=True)
class PaperPage:
    """Everything templates/exports/paper.html shows."""

    title: str
    lede: str
    runs: str
    table: ScoreTable
    texts: list[TextPart]
    data: str
    size_note: str
    # Whether the worker makes the bundle.
    queued: bool


def paper_page(state: PaperState, run_ids: Sequence[int]) -> PaperPage:
    """Lays the page out."""
    runs = ",".join(map(str, run_ids))
    parts = (
        ("latex", "LaTeX", "booktabs; stands in a paper as it is", latex_table, "scores.tex"),
        ("markdown", "Markdown", "for a README or a model card", markdown_table, "scores.md"),
        (
            "methods",
            "Methods",
            "every number comes from the runs’ snapshots and ledgers",
            methods,
            "methods.txt",
        ),
        ("bibtex", "BibTeX", "of what these runs used", bibtex, "references.bib"),
    )
    return PaperPage(
        title=f"For the paper: {state.dataset.name}",
        lede=f"{plural(len(state.runs), 'run')} on one data set. The same runs give the same bytes on every machine.",
        runs=runs,
        table=score_table(state),
        texts=[
            TextPart(name, title, note, write(state), f"/compare/paper/{file}?runs={runs}", file)
            for name, title, note, write, file in parts
        ],
        data=state.dataset.name,
        size_note=plural(sum(run.items for run in state.runs), "prediction"),
        queued=too_large(state),
    )
