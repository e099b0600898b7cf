"""The form of a judging: what a person may choose, as it is shown again, and read."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sqlmodel import Session, col, select
from starlette.datastructures import FormData

from app.errors import Invalid
from app.evaluations.judge_prompts import PAIR, SCALES
from app.evaluations.judge_service import JudgePlan, JudgeRequest, plan_judging
from app.evaluations.queries import scored_run
from app.format import money, plural, short_count
from app.lab.actor import Actor
from app.runs.lock import not_locked
from app.settings.endpoints import EndpointLine, list_endpoints
from app.tables import Evaluation, Run
from app.web.forms import text

MOST_OTHERS = 200
# Above this many items a sample is suggested.
ALL_BELOW = 300
FIELDS = ("endpoint", "other", "prompt", "items", "seed", "cap")


@dataclass(frozen=True)
class JudgeForm:
    """Everything templates/evaluations/judge.html shows."""

    run_id: int
    run_name: str
    experiment_id: int
    items: int
    scale: str
    scales: list[tuple[str, str, bool, None]]
    endpoints: list[EndpointLine]
    others: list[tuple[str, str]]
    values: Mapping[str, str]
    errors: Mapping[str, str]
    estimate: tuple[str, ...]


def judge_form(
    session: Session,
    actor: Actor,
    run_id: int,
    scale: str,
    values: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
) -> JudgeForm:
    """The form with an estimate for what it holds; raises NotFound, Forbidden."""
    scored = scored_run(session, actor, run_id)
    scale = scale if scale in SCALES else "points"
    endpoints, others = list_endpoints(session, actor), _others(session, actor, scored.run)
    shown = {**_defaults(scale, scored.evaluation.items, endpoints, others), **(values or {})}
    wrong = dict(errors or {})
    estimate: tuple[str, ...] = ()
    if endpoints and not wrong and (scale != PAIR or others):
        try:
            estimate = estimate_words(plan_judging(session, actor, read_request(run_id, scale, shown)))
        except Invalid as error:
            wrong = error.fields
    return JudgeForm(
        run_id,
        scored.run.model + (f", seed {scored.run.seed}" if scored.run.seed is not None else ""),
        scored.run.experiment_id,
        scored.evaluation.items,
        scale,
        [
            (kind.label, f"/runs/{run_id}/judge?scale={kind.name}", kind.name == scale, None)
            for kind in SCALES.values()
        ],
        endpoints,
        others,
        shown,
        wrong,
        estimate,
    )


def _defaults(
    scale: str, items: int, endpoints: list[EndpointLine], others: list[tuple[str, str]]
) -> dict[str, str]:
    return {
        "endpoint": str(endpoints[0].id) if endpoints else "",
        "other": others[0][0] if others else "",
        "prompt": SCALES[scale].prompt,
        "items": "" if items <= ALL_BELOW else str(ALL_BELOW),
        "seed": "1",
        "cap": "",
    }


def _others(session: Session, actor: Actor, run: Run) -> list[tuple[str, str]]:
    """Other runs with predictions on the same split, newest first."""
    rows = session.exec(
        select(Run.id, Run.model, Run.seed)
        .join(Evaluation, col(Evaluation.run_id) == Run.id)
        .where(
            Run.project_id == actor.project_id,
            Run.split_id == run.split_id,
            Run.id != run.id,
            Evaluation.part == "test",
            not_locked(),
        )
        .order_by(col(Run.id).desc())
        .limit(MOST_OTHERS)
    )
    return [
        (str(number), f"run {number}: {model}" + (f", seed {seed}" if seed is not None else ""))
        for number, model, seed in rows
    ]


def typed(form: FormData) -> dict[str, str]:
    """The fields to show again. Browsers send line ends as CR LF; a prompt's hash must not depend on that."""
    shown = {name: text(form, name) for name in FIELDS}
    prompt = form.get("prompt", "")
    shown["prompt"] = prompt.replace("\r\n", "\n").lstrip("\n") if isinstance(prompt, str) else ""
    return shown


def read_request(run_id: int, scale: str, values: Mapping[str, str]) -> JudgeRequest:
    """The request that the fields hold; raises Invalid with a message for each that is no number."""
    wrong: dict[str, str] = {}

    def whole(name: str, nothing: int | None) -> int | None:
        written = values[name]
        if not written:
            return nothing
        if not (written.isascii() and written.isdigit() and len(written) < 10):
            wrong[name] = "Write a whole number."
            return nothing
        return int(written)

    cap: float | None = None
    if values["cap"]:
        try:
            cap = float(values["cap"])
        except ValueError:
            cap = math.nan
        if not math.isfinite(cap):
            wrong["cap"] = "Write an amount in dollars, such as 1.50."
    endpoint, items, seed = whole("endpoint", 0), whole("items", None), whole("seed", 1)
    other = whole("other", None) if scale == PAIR else None
    if wrong:
        raise Invalid("The form cannot be read: " + " ".join(wrong.values()), "See the marked fields.", wrong)
    return JudgeRequest(run_id, endpoint or 0, scale, values["prompt"], other, items, seed or 0, cap)


def estimate_words(plan: JudgePlan) -> tuple[str, ...]:
    """The estimate as facts."""
    cost = (
        "cost not known: the endpoint has no prices"
        if plan.microdollars is None
        else f"about {money(plan.microdollars)}"
    )
    return (
        f"{plan.calls:,} calls for {plural(len(plan.numbers), 'item')} of {plan.of_items:,}",
        f"about {short_count(plan.input_tokens)} tokens in, {short_count(plan.output_tokens)} out",
        cost,
    )
