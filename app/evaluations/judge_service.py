"""Judgings: what is asked for, what it will cost, and its start, end and going on. Called by routes and the API."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import insert, update
from sqlmodel import Session, col, select

from app.datasets.stored import StoredItem, items_by_number
from app.errors import Conflict, Invalid
from app.evaluations.judge_prompts import PAIR, SCALES, fill, prompt_sha256, wrong_with
from app.evaluations.judge_result import microdollars
from app.evaluations.queries import ScoredRun, scored_run
from app.lab.actor import Actor, find, require_member
from app.queue import ADVANCE_JUDGING, enqueue
from app.runs.lock import check_unlocked
from app.settings.endpoints import find_endpoint
from app.tables import Endpoint, JudgeMark, Judging, JudgingState, MarkState, Prediction

MOST_ITEMS = 20_000
DECODING = {"temperature": 0, "max_tokens": 1024}
# What a judge writes before its mark, about.
REPLY_TOKENS = 80
LOOKED_AT = 100
BATCH = 5_000
NOT_ASKED = "not asked: there is no answer to judge"


@dataclass(frozen=True)
class JudgeRequest:
    """What a person asks for. `items` None: all; `cap` in dollars, None: no cap."""

    run_id: int
    endpoint_id: int
    scale: str
    prompt: str
    other_run_id: int | None = None
    items: int | None = None
    seed: int = 1
    cap: float | None = None


@dataclass(frozen=True)
class JudgePlan:
    """A request that can start. Tokens are estimates (four characters each); money None: price not known."""

    request: JudgeRequest
    run: ScoredRun
    other: ScoredRun | None
    endpoint: Endpoint
    numbers: list[int]
    of_items: int
    calls: int
    input_tokens: int
    output_tokens: int
    microdollars: int | None


def plan_judging(session: Session, actor: Actor, request: JudgeRequest) -> JudgePlan:
    """Checks the request and estimates it; raises Invalid with a message per field, NotFound, Forbidden."""
    run = scored_run(session, actor, request.run_id)
    other = scored_run(session, actor, request.other_run_id) if request.other_run_id else None
    wrong = _wrong(request, run, other)
    if wrong:
        raise Invalid("This cannot be judged: " + " ".join(wrong.values()), "See the marked fields.", wrong)
    endpoint = find_endpoint(session, actor, request.endpoint_id)
    if request.cap is not None and endpoint.input_microdollars is None:
        told = {"cap": "The endpoint has no prices, so a cap cannot be kept: leave it empty, or add prices."}
        raise Invalid(told["cap"], "Enter the prices on the Settings page.", told)
    everything = _numbers(session, run, other)
    numbers = everything
    if request.items is not None and request.items < len(everything):
        numbers = sorted(random.Random(request.seed).sample(everything, request.items))
    if len(numbers) > MOST_ITEMS:
        told = {"items": f"At most {MOST_ITEMS:,} items at a time."}
        raise Invalid(f"{len(numbers):,} items are too many.", "Choose a sample.", told)
    orders = 2 if other else 1
    calls = orders * len(numbers)
    tokens = round(calls * _prompt_tokens(session, request.prompt, run, other, numbers))
    cost = microdollars(
        endpoint.input_microdollars, endpoint.output_microdollars, tokens, calls * REPLY_TOKENS
    )
    return JudgePlan(
        request, run, other, endpoint, numbers, len(everything), calls, tokens, calls * REPLY_TOKENS, cost
    )


def _wrong(request: JudgeRequest, run: ScoredRun, other: ScoredRun | None) -> dict[str, str]:
    wrong = {}
    if request.scale not in SCALES:
        wrong["scale"] = f"Choose one of {', '.join(SCALES)}."
    elif (request.scale == PAIR) != (other is not None):
        wrong["scale"] = "Two runs are compared as a pair; one run gets points, or right and wrong."
    elif told := wrong_with(request.prompt, request.scale):
        wrong["prompt"] = told
    if other and other.dataset.id != run.dataset.id:
        wrong["other"] = "The runs answered different datasets."
    elif other and other.run.id == run.run.id:
        wrong["other"] = "Choose another run than this one."
    if request.items is not None and request.items < 1:
        wrong["items"] = "Judge at least one item."
    if request.cap is not None and not 0 < request.cap < 1e6:
        wrong["cap"] = "Give the cap in dollars, more than 0."
    return wrong


def _numbers(session: Session, run: ScoredRun, other: ScoredRun | None) -> list[int]:
    """The items that can be judged: that the run, or both runs, have a prediction for."""
    found = set(_predicted(session, run))
    if other:
        found &= set(_predicted(session, other))
    if not found:
        raise Invalid("These runs share no items.", "Choose runs that predicted the same test items.")
    return sorted(found)


def _predicted(session: Session, run: ScoredRun) -> Sequence[int]:
    return session.exec(select(Prediction.number).where(Prediction.evaluation_id == run.evaluation.id)).all()


def _prompt_tokens(
    session: Session, prompt: str, run: ScoredRun, other: ScoredRun | None, numbers: list[int]
) -> float:
    """The mean over up to LOOKED_AT items, evenly spread."""
    some = numbers[:: max(1, len(numbers) // LOOKED_AT)][:LOOKED_AT]
    items = items_by_number(session, run.dataset, run.split, some)
    own = answers(session, run.evaluation.id or 0, some)
    others = answers(session, other.evaluation.id or 0, some) if other else {}
    sizes = [
        len(fill(prompt, prompt_values(items[number], own.get(number), others.get(number), 0)))
        for number in some
    ]
    return sum(sizes) / len(sizes) / 4


def answers(session: Session, evaluation_id: int, numbers: Sequence[int]) -> dict[int, str | None]:
    """{item number: the answer as given}; None where the model gave none."""
    rows = session.exec(
        select(Prediction.number, Prediction.answer, Prediction.error).where(
            Prediction.evaluation_id == evaluation_id, col(Prediction.number).in_(numbers)
        )
    )
    return {number: None if error else answer for number, answer, error in rows}


def prompt_values(item: StoredItem, own: str | None, other: str | None, side: int) -> dict[str, str]:
    """What fills a prompt; on side 1 the other run's answer comes first."""
    first, second = (own, other) if side == 0 else (other, own)
    said = {"input": item.input, "expected": item.answer, "answer": own or ""}
    return said | {"answer_1": first or "", "answer_2": second or ""}


def start_judging(session: Session, actor: Actor, request: JudgeRequest) -> Judging:
    """Stores the judging with a waiting mark for each item (and order), and asks the worker."""
    require_member(actor, "start judgings")
    plan = plan_judging(session, actor, request)
    judging = Judging(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        run_id=plan.run.run.id or 0,
        evaluation_id=plan.run.evaluation.id or 0,
        other_run_id=plan.other.run.id if plan.other else None,
        other_evaluation_id=plan.other.evaluation.id if plan.other else None,
        endpoint_id=plan.endpoint.id or 0,
        base_url=plan.endpoint.base_url,
        model=plan.endpoint.model,
        input_microdollars=plan.endpoint.input_microdollars,
        output_microdollars=plan.endpoint.output_microdollars,
        scale=request.scale,
        prompt=request.prompt,
        prompt_sha256=prompt_sha256(request.prompt),
        decoding=DECODING,
        items=len(plan.numbers),
        of_items=plan.of_items,
        seed=request.seed if len(plan.numbers) < plan.of_items else None,
        cap_microdollars=None if request.cap is None else round(request.cap * 1e6),
    )
    session.add(judging)
    session.flush()
    rows = list(_marks(session, judging, plan))
    for start in range(0, len(rows), BATCH):
        session.execute(insert(JudgeMark), rows[start : start + BATCH])
    enqueue(session, ADVANCE_JUDGING, judging.id or 0)
    return judging


def _marks(session: Session, judging: Judging, plan: JudgePlan) -> Iterator[dict[str, object]]:
    """A missing answer is wrong, and loses against any: no judge is asked."""
    for start in range(0, len(plan.numbers), BATCH):
        numbers = plan.numbers[start : start + BATCH]
        own = answers(session, plan.run.evaluation.id or 0, numbers)
        others = answers(session, plan.other.evaluation.id or 0, numbers) if plan.other else {}
        for number in numbers:
            value = None
            if plan.other:
                here, there = bool(own.get(number)), bool(others.get(number))
                value = None if here and there else 0.5 + (here - there) / 2
            elif not own.get(number):
                value = 0.0
            for side in range(2 if plan.other else 1):
                yield {
                    "judging_id": judging.id,
                    "number": number,
                    "side": side,
                    "state": MarkState.WAITING if value is None else MarkState.MARKED,
                    "value": value,
                    "reply": None if value is None else NOT_ASKED,
                }


def cancel_judging(session: Session, actor: Actor, judging_id: int) -> Judging:
    """Asks for the end; marks that are there stay."""
    require_member(actor, "cancel judgings")
    judging: Judging = find(session, actor, Judging, judging_id)
    if judging.state not in (JudgingState.QUEUED, JudgingState.WORKING):
        raise Conflict(f"Judging {judging_id} is {judging.state} already.", "There is nothing to cancel.")
    judging.cancel_asked, judging.due_at = True, None
    session.add(judging)
    session.flush()
    enqueue(session, ADVANCE_JUDGING, judging_id)
    return judging


def resume_judging(session: Session, actor: Actor, judging_id: int, cap: float | None) -> Judging:
    """Goes on with what is not marked: failed items are asked again. `cap` in dollars takes the place of the old one,
    None keeps it."""
    require_member(actor, "resume judgings")
    judging: Judging = find(session, actor, Judging, judging_id)
    check_unlocked(session, [run for run in (judging.run_id, judging.other_run_id) if run])
    if judging.state in (JudgingState.QUEUED, JudgingState.WORKING):
        raise Conflict(f"Judging {judging_id} is under way.", "Wait until it ends.")
    if cap is not None and not 0 < cap < 1e6:
        raise Invalid("The cap is no amount.", "", {"cap": "Give the cap in dollars, more than 0."})
    find_endpoint(session, actor, judging.endpoint_id)
    session.execute(
        update(JudgeMark)
        .where(col(JudgeMark.judging_id) == judging_id, col(JudgeMark.state) == MarkState.FAILED)
        .values(state=MarkState.WAITING, attempts=0, error=None)
    )
    judging.state, judging.cancel_asked, judging.due_at, judging.ended_at = (
        JudgingState.QUEUED,
        False,
        None,
        None,
    )
    judging.error = judging.hint = ""
    if cap is not None and judging.input_microdollars is not None:
        judging.cap_microdollars = round(cap * 1e6)
    session.add(judging)
    session.flush()
    enqueue(session, ADVANCE_JUDGING, judging_id)
    return judging
