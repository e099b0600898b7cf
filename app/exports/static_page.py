"""The comparison as pages to read without a server: no JavaScript, one style sheet, for reviewers.

Goes into the paper bundle. Everything is escaped by the templates; items stand on pages of 200.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlmodel import Session

from app.assets import STATIC
from app.comparisons.sentence import plain_sentence
from app.evaluations.answers import describe
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import PredictionRow
from app.exports.answer_rows import aligned
from app.exports.methods import methods
from app.exports.score_table import score_table
from app.exports.state import PaperRun, PaperState
from app.lab.actor import Actor
from app.metrics import for_task
from app.render import render
from app.shapes import ConfusionRow, Whisker, axis_over, confusion, whisker

SHEETS = ("tokens", "base", "layout", "components", "figures", "print", "report")
PAGE = 200
FOLDER = "page"
Put = Callable[[str, str], None]


@dataclass(frozen=True)
class RunFigure:
    """One run's confusion matrix and rules, as the page shows them."""

    run: PaperRun
    rows: tuple[ConfusionRow, ...]
    answered: list[str]
    rules: list[str]


@dataclass(frozen=True)
class ItemLine:
    """One item: what was asked, and each run's answer (None where it has none)."""

    row: PredictionRow
    answers: list[PredictionRow | None]


def write(put: Put, session: Session, actor: Actor, state: PaperState, inputs: bool) -> None:
    """Calls `put(name, text)` for every file of page/."""
    pages = 0
    for number, lines in enumerate(_pages(session, actor, state), 1):
        pages = number
        text = render(
            "exports/static_items.html",
            state=state,
            lines=lines,
            number=number,
            inputs=inputs,
            more=len(lines) == PAGE,
        )
        put(f"{FOLDER}/items-{number:03}.html", text)
    put(f"{FOLDER}/style.css", style())
    table = score_table(state)
    axis, whiskers = _whiskers(state)
    text = render(
        "exports/static.html",
        state=state,
        table=table,
        axis=axis,
        whiskers=whiskers,
        sentences=_sentences(state),
        figures=[_figure(run) for run in state.runs],
        paragraphs=methods(state).strip().split("\n\n"),
        pages=range(1, pages + 1),
        per_page=PAGE,
    )
    put(f"{FOLDER}/index.html", text)


def style() -> str:
    """Our style sheets in one, without the font files: the reader's own fonts serve."""
    sheets = [(STATIC / "css" / f"{sheet}.css").read_text(encoding="utf-8") for sheet in SHEETS]
    lines = "\n".join(sheets).splitlines()
    return "\n".join(line for line in lines if not line.startswith("@font-face")) + "\n"


def _whiskers(state: PaperState) -> tuple[object, list[Whisker | None]]:
    """The axis of the primary metric and a whisker for each run, in their order."""
    metric = next(metric for metric in for_task(state.task) if metric.name == state.primary)
    spans = [_span(run, state.primary) for run in state.runs]
    known = [(low, high) for low, _, high in (span for span in spans if span)]
    if not known:
        return None, [None for _ in state.runs]
    axis = axis_over(known, scale=100 if metric.format == "percent" else 1)
    return axis, [
        span and whisker(axis, span[1], span[0], span[2], run.colour, run.name)
        for run, span in zip(state.runs, spans, strict=True)
    ]


def _span(run: PaperRun, name: str) -> tuple[float, float, float] | None:
    score = run.scores.get(name)
    if score is None or score.value is None:
        return None
    low = score.value if score.low is None else score.low
    return low, score.value, score.value if score.high is None else score.high


def _sentences(state: PaperState) -> list[str]:
    return [
        plain_sentence(
            state.run(p.a).name, state.run(p.b).name, p.both, p.only_a, p.only_b, p.neither, p.found
        )
        for p in state.pairs
    ]


def _figure(run: PaperRun) -> RunFigure:
    found = run.scores.get("confusion")
    detail = found.detail if found else {}
    rows = confusion(detail["expected"], detail["answered"], detail["counts"]) if detail else ()
    return RunFigure(run, rows, detail.get("answered", []), describe(run.rules))


def _pages(session: Session, actor: Actor, state: PaperState) -> Iterator[list[ItemLine]]:
    scored = [scored_run(session, actor, run.run_id) for run in state.runs]
    lines = (_line(rows) for rows in aligned([prediction_rows(session, one) for one in scored]))
    while batch := list(islice(lines, PAGE)):
        yield batch


def _line(rows: Sequence[PredictionRow | None]) -> ItemLine:
    return ItemLine(next(row for row in rows if row is not None), list(rows))
