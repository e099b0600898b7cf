"""Comparisons as JSON and CSV."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.comparisons.export import wide_csv
from app.comparisons.queries import Comparison, compare
from app.comparisons.run_ids import parse_runs
from app.comparisons.items import Answer, ComparedItem
from app.comparisons.lab_api import router as lab_router
from app.comparisons.paired_api import router as paired_router
from app.comparisons.pair import Pair
from app.evaluations.downloads import csv_response
from app.evaluations.views import scores_json
from app.web.session import Acting, Database

router = APIRouter()


router.include_router(lab_router)
router.include_router(paired_router)
@router.get("/comparisons")
def get_comparison(
    runs: str,
    session: Database,
    actor: Acting,
    a: int | None = None,
    b: int | None = None,
    show: str = "all",
    after: int = -1,
) -> dict[str, Any]:
    """Runs (`1,2,3`) side by side: scores, the pair a and b with its test, and 25 items from `after` on."""
    return comparison_json(compare(session, actor, parse_runs([runs]), a=a, b=b, show=show, after=after))


@router.get("/comparisons.csv")
def get_wide_csv(runs: str, session: Database, actor: Acting, raw: bool = False) -> StreamingResponse:
    """One line per item, the columns of every run beside each other."""
    ids = parse_runs([runs])
    return csv_response(wide_csv(session, actor, ids, raw), f"comparison-{'-'.join(map(str, ids[:10]))}.csv")


def comparison_json(view: Comparison) -> dict[str, Any]:
    """A comparison as the API gives it."""
    pair = None
    if view.pair:
        pair = {
            **{name: value for name, value in asdict(view.pair).items() if name not in ("a", "b")},
            "a": view.pair.a.run_id,
            "b": view.pair.b.run_id,
        }
    return {
        "dataset_id": view.dataset.id,
        "shared_items": view.shared,
        "runs": [
            {"id": row.run_id, "model": row.model, "seed": row.seed, "scores": scores_json(row)}
            for row in view.rows
        ],
        "pair": pair,
        "show": view.show,
        "matching": view.matching,
        "next_after": view.next_after,
        "items": [
            {
                "item": compared.item.item_id,
                "line": compared.item.line,
                "group": compared.item.group,
                "input": compared.item.input,
                "expected": compared.item.answer,
                "answers": [
                    None
                    if answer is None
                    else {
                        "answer": answer.given,
                        "answer_read": answer.read,
                        "correct": answer.correct,
                        "p": dict(answer.probabilities) or None,
                    }
                    for answer in compared.answers
                ],
            }
            for compared in view.items
        ],
    }
