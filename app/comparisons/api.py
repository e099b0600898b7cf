"""Comparisons as JSON and CSV."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.comparisons.against_rows import against_csv, against_json
from app.comparisons.choice import read_choice
from app.comparisons.choice_form import Asked, Subset
from app.comparisons.configurations import Configurations, configurations
from app.comparisons.export import wide_csv
from app.comparisons.figure_routes import api_router as figure_router
from app.comparisons.items import Answer, ComparedItem
from app.comparisons.lab_api import router as lab_router
from app.comparisons.pair import Pair
from app.comparisons.paired_api import router as paired_router
from app.comparisons.queries import Comparison, compare
from app.comparisons.run_ids import parse_runs
from app.evaluations.views import scores_json
from app.web.csv_download import csv_response
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(lab_router)
router.include_router(paired_router)
router.include_router(figure_router)


@router.get("/comparisons")
def get_comparison(
    runs: str,
    session: Database,
    actor: Acting,
    a: str = "",
    b: str = "",
    without: str = "",
    subset: str = "all",
    show: str = "all",
    label: str = "",
    group: str = "",
    min_tokens: str = "",
    max_tokens: str = "",
    leaked: str = "",
    q: str = "",
    settings: str = "differences",
    after: str = "",
    before: str = "",
) -> dict[str, Any]:
    """Runs (`1,2,3`) side by side: scores, the pair a and b with its test, every model against b, and 25 items from
    `after` on.

    `show` is one of all, disagree, all_wrong, only_a, only_b, both, neither, regression, error; with `subset` "unseen"
    everything is on the items that do not stand in train; the other filters narrow the items. The majority and the
    best baseline of the experiment stay in unless `without` names their runs.
    """
    values = {
        name: value
        for name, value in {
            "a": a, "b": b, "subset": subset, "show": show, "label": label, "group": group,
            "min_tokens": min_tokens, "max_tokens": max_tokens, "leaked": leaked, "q": q,
            "settings": settings, "after": after, "before": before,
        }.items()
        if value
    }  # fmt: skip
    choice = read_choice([runs], [without], values)
    found = compare(session, actor, choice)
    return comparison_json(found, configurations(session, found.chosen.picked, choice.settings))


@router.get("/comparisons.csv")
def get_wide_csv(
    runs: str, session: Database, actor: Acting, raw: bool = False, subset: Subset = "all"
) -> StreamingResponse:
    """One line per item, the columns of every run beside each other; `subset` "unseen" leaves out the items that
    stand in train too."""
    ids = parse_runs([runs])
    name = f"comparison-{'-'.join(map(str, ids[:10]))}{'' if subset == 'all' else f'-{subset}'}.csv"
    return csv_response(wide_csv(session, actor, ids, raw, subset), name)


@router.get("/comparisons/against.csv")
def get_against_csv(session: Database, actor: Acting, choice: Asked) -> StreamingResponse:
    """Every compared model against the baseline `b`, one line each. Runs, `b`, `without` and `subset` stand in the query
    as for a comparison."""
    return csv_response(against_csv(compare(session, actor, choice)), "against-baseline.csv")


def comparison_json(view: Comparison, side_by_side: Configurations) -> dict[str, Any]:
    """A comparison as the API gives it; `answers` are in the order of `answered_by`."""
    return {
        "dataset_id": view.chosen.dataset.id,
        "split_id": view.chosen.split.id,
        "shared_items": view.shared,
        "subset": view.choice.subset,
        "runs": [
            {
                "id": row.run_id,
                "model": row.model,
                "seed": row.seed,
                "kept": row.run_id in view.chosen.kept,
                "scores": scores_json(row),
                "unseen_items": row.unseen,
                "latency_ms": row.latency_ms,
                "tokens": row.tokens,
                "seconds": row.seconds,
                "cost_microdollars": row.microdollars,
            }
            for row in view.chosen.rows
        ],
        "pair": view.pair and _pair(view.pair),
        "against": view.against and against_json(view.against),
        "settings": [
            {"part": one.part, "name": one.name, "values": one.values, "differs": one.differs}
            for one in side_by_side.settings
        ],
        "show": view.choice.show,
        "matching": view.matching,
        "next_after": view.below if view.below >= 0 else None,
        "previous_before": view.above if view.above >= 0 else None,
        "answered_by": [row.run_id for row in view.columns],
        "items": [_item(compared) for compared in view.items],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    values = {name: value for name, value in asdict(pair).items() if name not in ("a", "b")}
    return {**values, "a": pair.a.run_id, "b": pair.b.run_id}


def _item(compared: ComparedItem) -> dict[str, Any]:
    item = compared.item
    return {
        "item": item.item_id,
        "number": item.number,
        "line": item.line,
        "group": item.group,
        "input": item.input,
        "expected": item.answer,
        "answers": [_answer(answer) for answer in compared.answers],
    }


def _answer(answer: Answer | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    return {
        "answer": answer.given,
        "answer_read": answer.read,
        "correct": answer.correct,
        "p": dict(answer.probabilities) or None,
        "error": answer.error,
    }
