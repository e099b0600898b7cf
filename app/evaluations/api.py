"""Scores, answer rules and predictions as JSON and CSV under /api/v1."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from app.errors import Invalid
from app.evaluations.answers import Rules
from app.evaluations.downloads import predictions_csv
from app.evaluations.judge_api import router as judge_router
from app.evaluations.queries import scored_run
from app.evaluations.run_list_routes import api_router as list_router
from app.evaluations.service import rescore_run
from app.evaluations.views import run_json
from app.web.session import Acting, Database

router = APIRouter()
router.include_router(judge_router)
router.include_router(list_router)


@router.get("/runs/{run_id}")
def get_run(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """A run: state, progress, ledger, snapshot, scores."""
    return run_json(session, actor, run_id)


@router.get("/runs/{run_id}/predictions.csv")
def get_predictions(run_id: int, session: Database, actor: Acting, raw: bool = False) -> StreamingResponse:
    """One line per test item. Cells are safe in spreadsheets unless `raw`."""
    return predictions_csv(session, actor, run_id, raw)


@router.get("/runs/{run_id}/rules")
def get_rules(run_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """The answer rules of the newest scoring."""
    return scored_run(session, actor, run_id).rules.to_json()


@router.post("/runs/{run_id}/rules")
def post_rules(run_id: int, rules: dict[str, Any], session: Database, actor: Acting) -> dict[str, Any]:
    """Reads the answers under new rules and scores again, without predicting again. The old scoring stays."""
    try:
        wanted = Rules.from_json(rules)
    except ValueError as error:
        raise Invalid(
            f"These answer rules cannot be used: {error}", "See GET for the present rules."
        ) from error
    rescore_run(session, actor, run_id, wanted)
    return run_json(session, actor, run_id)
