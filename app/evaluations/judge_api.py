"""Judgings as JSON."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.evaluations import hand_labels, judge_items, judge_page
from app.evaluations.judge_prompts import SCALES
from app.evaluations.judge_service import (
    JudgePlan,
    JudgeRequest,
    cancel_judging,
    plan_judging,
    resume_judging,
    start_judging,
)
from app.web.session import Acting, Database

router = APIRouter()
Dollars = Annotated[float | None, Field(allow_inf_nan=False)]


class JudgeBody(BaseModel):
    """What is judged and how. Without `prompt` the scale's own is taken; without `items` all are judged. `cap` in
    dollars."""

    endpoint_id: int
    scale: str = "points"
    prompt: str | None = None
    other_run_id: int | None = None
    items: int | None = None
    seed: int = 1
    cap: Dollars = None
    dry_run: bool = False


class ResumeBody(BaseModel):
    """A new cap in dollars, or none to keep the old one."""

    cap: Dollars = None


class LabelBody(BaseModel):
    """`label` is 1, 2 or 0: right, wrong, cannot say; for pairs the first, the second, equal."""

    number: int
    label: str


@router.post("/runs/{run_id}/judgings", status_code=201)
def post_judging(run_id: int, body: JudgeBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Starts a judging of a run's test answers; with `dry_run` only the estimate."""
    prompt = (
        body.prompt if body.prompt is not None else SCALES[body.scale].prompt if body.scale in SCALES else ""
    )
    request = JudgeRequest(
        run_id, body.endpoint_id, body.scale, prompt, body.other_run_id, body.items, body.seed, body.cap
    )
    if body.dry_run:
        return estimate_json(plan_judging(session, actor, request))
    judging = start_judging(session, actor, request)
    return judge_page.judging_json(session, actor, judging.id or 0)


@router.get("/runs/{run_id}/judgings")
def get_judgings(run_id: int, session: Database, actor: Acting) -> list[dict[str, Any]]:
    """The judgings that a run stands in, newest first."""
    return [
        {"id": row.id, "state": row.state, "model": row.model, "scale": row.scale, "result": row.result}
        for row in judge_page.judgings_of(session, actor, run_id)
    ]


@router.get("/judgings/{judging_id}")
def get_judging(judging_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """A judging: state, prompt with its hash, counts, score with interval, agreement with hand labels."""
    return judge_page.judging_json(session, actor, judging_id)


@router.get("/judgings/{judging_id}/marks")
def get_marks(judging_id: int, session: Database, actor: Acting) -> list[Any]:
    """Every mark with the judge's reply."""
    return judge_items.marks_json(session, judge_page.find_judging(session, actor, judging_id))


@router.post("/judgings/{judging_id}/cancel")
def post_cancel(judging_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """Asks for the end; marks that are there stay."""
    cancel_judging(session, actor, judging_id)
    return judge_page.judging_json(session, actor, judging_id)


@router.post("/judgings/{judging_id}/resume")
def post_resume(judging_id: int, body: ResumeBody, session: Database, actor: Acting) -> dict[str, Any]:
    """Goes on with what is not marked, and asks failed items again."""
    resume_judging(session, actor, judging_id, body.cap)
    return judge_page.judging_json(session, actor, judging_id)


@router.get("/judgings/{judging_id}/labels/next")
def get_next(judging_id: int, session: Database, actor: Acting) -> dict[str, Any]:
    """The next item to label by hand, blind to model and judge; {} when all are labelled."""
    judging = judge_page.find_judging(session, actor, judging_id)
    item = hand_labels.next_item(session, actor, judging)
    return asdict(item) if item else {}


@router.post("/judgings/{judging_id}/labels", status_code=204)
def post_label(judging_id: int, body: LabelBody, session: Database, actor: Acting) -> None:
    """Stores the acting member's label of one item."""
    judging = judge_page.find_judging(session, actor, judging_id)
    hand_labels.store_label(session, actor, judging, body.number, body.label)


def estimate_json(plan: JudgePlan) -> dict[str, Any]:
    """What a judging would take; tokens and cost are estimates."""
    return {
        "items": len(plan.numbers),
        "of_items": plan.of_items,
        "calls": plan.calls,
        "input_tokens": plan.input_tokens,
        "output_tokens": plan.output_tokens,
        "cost_microdollars": plan.microdollars,
    }
