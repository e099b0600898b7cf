"""Predictions and scores as tables of rows, for every export format and the paper bundle.

Lines come from the database as they are written; memory holds a batch of each run.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlmodel import Session

from app.datasets.leaks import leaked_numbers
from app.evaluations.answers import Rules, read_expected
from app.evaluations.judge_marks import newest_marks
from app.evaluations.leaderboard import ScoreView
from app.evaluations.queries import prediction_rows, scored_run
from app.evaluations.table import PredictionRow
from app.export_formats import FLAG, REAL, WHOLE, Column, Rows
from app.exports.state import PaperRun, PaperState
from app.lab.actor import Actor

ITEM = (Column("item"), Column("line", WHOLE), Column("split"), Column("group"), Column("input"))
ANSWER = (Column("expected"), Column("answer"), Column("answer_read"), Column("correct", FLAG))
MEASURED = (Column("logprob", REAL), Column("latency_ms", REAL), Column("tokens", WHOLE), Column("error"))
# The expected answer as the rules read it, and whether the item stands in train too.
READ = (Column("expected_read"), Column("in_train", FLAG))
# Which fold tested it, where a run pools folds; what a judge model gave (0 to 1), where one judged.
FOLD, MARK = (Column("fold", WHOLE),), (Column("judge_mark", REAL),)
RUN = (Column("run"), Column("model"), Column("seed", WHOLE))
SCORE = ("value", "low", "high")


def probability_columns(labels: Sequence[str], prefix: str = "") -> tuple[Column, ...]:
    """One column per class."""
    return tuple(Column(f"{prefix}p({label})", REAL) for label in labels)


def run_rows(session: Session, actor: Actor, state: PaperState, run: PaperRun, inputs: bool = True) -> Rows:
    """One run's predictions, a line per item; without `inputs` their texts are left out."""
    return Rows(_columns(state), _run_lines(session, actor, state, run, inputs))


def _columns(state: PaperState) -> tuple[Column, ...]:
    fold, mark = FOLD if _pooled(state) else (), MARK if _judged(state) else ()
    return *ITEM, *ANSWER, *probability_columns(state.labels), *MEASURED, *READ, *fold, *mark


def _pooled(state: PaperState) -> bool:
    return any(run.row.pooled for run in state.runs)


def _judged(state: PaperState) -> bool:
    return any(run.judge for run in state.runs)


def _run_lines(
    session: Session, actor: Actor, state: PaperState, run: PaperRun, inputs: bool
) -> Iterator[list[Any]]:
    scored = scored_run(session, actor, run.run_id)
    probabilities = _in_order(scored.evaluation.labels, state.labels)
    seen = leaked_numbers(session, scored.split, scored.evaluation.part)
    pooled, judged = _pooled(state), _judged(state)
    marks = newest_marks(session, scored.evaluation.id or 0)[0] if run.judge else {}
    read = lru_cache(10_000)(lambda expected: gold(expected, run.rules, state))
    for row in prediction_rows(session, scored):
        yield [
            *_item(row, inputs),
            row.expected,
            row.answer,
            row.answer_read,
            row.correct,
            *probabilities(row),
            row.logprob,
            row.latency_ms,
            row.tokens,
            row.error,
            read(row.expected),
            row.number in seen,
            *([row.fold] if pooled else []),
            *([marks.get(row.number)] if judged else []),
        ]


def gold(expected: str, rules: Rules, state: PaperState) -> str:
    """The expected answer as the rules read it."""
    return read_expected(expected, rules, state.task, state.labels)


def _item(row: PredictionRow, inputs: bool) -> list[Any]:
    return [row.item, row.line, row.part, row.group, row.input if inputs else None]


def _in_order(own: Sequence[str], labels: Sequence[str]) -> Callable[[PredictionRow], Sequence[float | None]]:
    """Gives a row's probabilities in the order of `labels`; `own` are the run's classes."""
    blank = [None] * len(labels)
    if list(own) == list(labels):
        return lambda row: row.probabilities or blank
    places = [own.index(label) if label in own else None for label in labels]

    def pick(row: PredictionRow) -> Sequence[float | None]:
        p = row.probabilities
        return [p[place] if place is not None else None for place in places] if p else blank

    return pick


def stacked_rows(session: Session, actor: Actor, state: PaperState) -> Rows:
    """The predictions of all runs below each other, with the run's key, model and seed before them."""

    def lines() -> Iterator[list[Any]]:
        for run in state.runs:
            for line in run_rows(session, actor, state, run).lines:
                yield [run.key, run.model, run.seed, *line]

    return Rows((*RUN, *_columns(state)), lines())


def wide_rows(session: Session, actor: Actor, state: PaperState) -> Rows:
    """One line per item, the answers of every run beside each other; empty where a run has none."""
    columns: tuple[Column, ...] = (*ITEM, Column("expected"))
    for run in state.runs:
        columns += (Column(f"{run.key}: answer"), Column(f"{run.key}: answer_read"))
        columns += (Column(f"{run.key}: correct", FLAG), *probability_columns(state.labels, f"{run.key}: "))
    return Rows(columns, _wide_lines(session, actor, state))


def _wide_lines(session: Session, actor: Actor, state: PaperState) -> Iterator[list[Any]]:
    scored = [scored_run(session, actor, run.run_id) for run in state.runs]
    ordered = [_in_order(one.evaluation.labels, state.labels) for one in scored]
    blank = [None] * (3 + len(state.labels))
    for rows in aligned([prediction_rows(session, one) for one in scored]):
        first = next(row for row in rows if row is not None)
        line = [*_item(first, True), first.expected]
        for row, probabilities in zip(rows, ordered, strict=True):
            line += blank if row is None else [row.answer, row.answer_read, row.correct, *probabilities(row)]
        yield line


def aligned(streams: Sequence[Iterator[PredictionRow]]) -> Iterator[list[PredictionRow | None]]:
    """Runs side by side: a row of each per item, None where a run has no answer. Streams rise by item number."""
    heads = [next(stream, None) for stream in streams]
    while numbers := [head.number for head in heads if head is not None]:
        least = min(numbers)
        yield [head if head is not None and head.number == least else None for head in heads]
        for place, head in enumerate(heads):
            if head is not None and head.number == least:
                heads[place] = next(streams[place], None)


def score_rows(state: PaperState) -> Rows:
    """One line per run, subset of the items (all, or those unseen in train) and metric that is a number."""
    columns = (
        *RUN,
        Column("metric"),
        Column("value", REAL),
        Column("low", REAL),
        Column("high", REAL),
        Column("items", WHOLE),
        Column("direction"),
        Column("subset"),
    )
    return Rows(columns, _score_lines(state.runs))


def _score_lines(runs: Iterable[PaperRun]) -> Iterator[list[Any]]:
    for run in runs:
        for subset, scores in (("all", run.scores), ("unseen", run.unseen)):
            for score in scores.values():
                if score.format != "table":
                    ends = [getattr(score, name) for name in SCORE]
                    yield [run.key, run.model, run.seed, score.name, *ends, score.n, score.direction, subset]


def score_json(score: ScoreView) -> dict[str, Any]:
    """One score as it stands in scores.json."""
    return {
        "label": score.label,
        "value": score.value,
        "low": score.low,
        "high": score.high,
        "n": score.n,
        "format": score.format,
        "direction": score.direction,
        "detail": score.detail,
    }
