"""The steps of a run that asks a service: prepares the prompts of a run that only asks, then predicts, by chat or by
batch, a slice at a time. Called by workers/runs.py, which holds the lease.

At the end out/predictions*.jsonl and out/resolved.json lie in the run's folder as any process leaves them.
"""

from collections import Counter
from typing import Any

from sqlmodel import select

from app.catalog.ways import CHAT
from app.clock import now
from app.db import session_scope
from app.errors import Busy, OutOfCredit, ProviderError, Unclear
from app.format import plural
from app.lab.reservations import cover
from app.runs import reply_rows
from app.runs.hosted import PAUSING, Save, pause_run, pause_seconds, set_run
from app.runs.lifecycle import move
from app.runs.reply_batch import batch_step, stop_batches
from app.runs.reply_chat import Slice, ask_slice
from app.runs.reply_deploy import doubt, serve
from app.runs.reply_files import write_predictions
from app.runs.reply_plan import Plan, make_plan, shown_decoding
from app.runs.reply_recipe import prepare_prompts
from app.runs.reply_target import find_target
from app.runs.reply_way import settle_way
from app.tables import ReplyRow, ReplyState, Run, RunState


def queued(run: Run, save: Save) -> None:
    """A run that only asks waits for nothing."""
    with save() as session:
        move(session, run, RunState.PREPARING, started_at=run.started_at or now(), error="", hint="")


def preparing(run: Run, save: Save) -> None:
    """Writes the folder with the recipe of the prompts."""
    prepare_prompts(run)
    with save() as session:
        move(session, run, RunState.PREDICTING)


def predicting(run: Run, save: Save) -> None:
    """One step: a slice of questions, a look at a batch or at a deployment, or the end."""
    if early := reply_rows.too_early(run):
        # A second message, or a nudge of the sweep.
        with save() as session:
            set_run(session, run, due_at=early)
        return
    plan = make_plan(run, find_target(run))
    with save() as session:
        reply_rows.make_rows(session, run)
        counts = reply_rows.count(session, run.id or 0)
    if not counts.waiting:
        _finish(run, save, plan)
        return
    way = settle_way(run, save, plan)
    try:
        if batch_step(plan, save, way):
            return
        if plan.target.needs_deployment:
            target = serve(plan, save)
            if target is None:
                return
            plan = make_plan(run, target)
        current = ask_slice(plan, save)
    except PAUSING as error:
        _pause(run, save, error)
    except (Busy, Unclear) as error:
        put_off(run, save, error)
    else:
        _after(current, save)


def put_off(run: Run, save: Save, error: ProviderError) -> None:
    """A call that is not about one item had no answer: the step is taken again later."""
    failures = int(reply_rows.noted(run, "failures") or 0)
    seconds = max(error.wait or 0.0, pause_seconds(failures))
    with save() as session:
        reply_rows.note_down(session, run, failures=failures + 1)
        reply_rows.again(session, run, seconds, progress_note=error.message[:300])


def _pause(run: Run, save: Save, error: ProviderError) -> None:
    with save() as session:
        pause_run(session, run, error)


def _after(current: Slice, save: Save) -> None:
    """Sets when the run goes on after a slice, or what it waits for."""
    run = current.plan.run
    if isinstance(current.error, PAUSING):
        _pause(run, save, current.error)
    elif current.gone and doubt(run, save):
        return
    elif current.error is not None:
        raise current.error
    elif current.over:
        _need_more(current, save)
    else:
        _go_on(current, save)


def _need_more(current: Slice, save: Save) -> None:
    """Reserves more, where the budgets allow it; else the run waits for a person. Nothing is asked twice."""
    run = current.plan.run
    try:
        with save() as session:
            cover(session, run, current.needed, run.model)
            reply_rows.again(session, run)
    except OutOfCredit as error:
        _pause(run, save, OutOfCredit(f"{current.over} {error.message}", error.hint))


def _go_on(current: Slice, save: Save) -> None:
    run = current.plan.run
    with session_scope(write=False) as session:
        rows = reply_rows.waiting(session, run.id or 0, 1)
    # What was asked without an answer is asked again the later, the more often that was.
    tried = rows[0].attempts if rows else 0
    seconds = current.wait or (pause_seconds(tried) if tried and not current.gate.hold_until else 0.0)
    with save() as session:
        if current.without:
            without = reply_rows.noted(run, "without") or []
            reply_rows.note_down(session, run, without=[*without, current.without])
        reply_rows.again(session, run, seconds)


def _finish(run: Run, save: Save, plan: Plan) -> None:
    """Every item has an answer or none for good: writes the files and lets the run be scored."""
    with session_scope(write=False) as session:
        counts = reply_rows.count(session, run.id or 0)
        if not counts.answered:
            raise _nothing(session, run, counts.failed)
    used = shown_decoding(plan.decoding)
    write_predictions(run, plan, used)
    ledger = _resolved(run, plan, str(reply_rows.noted(run, "way") or CHAT))
    with save() as session:
        reply_rows.stop_deployments(session, run.id or 0)
        reply_rows.note_down(session, run, answered=counts.answered, failed=counts.failed)
        move(session, run, RunState.SCORING, ledger=ledger)


def _nothing(session: Any, run: Run, failed: int) -> ProviderError:
    said = Counter(
        session.exec(
            select(ReplyRow.error).where(ReplyRow.run_id == run.id, ReplyRow.state == ReplyState.FAILED)
        ).all()
    )
    most = said.most_common(1)[0][0] if said else ""
    return ProviderError(
        f"None of {plural(failed, 'item')} got an answer. The service said: {most}"[:2000],
        "Mend what it names, then retry the run.",
    )


def _resolved(run: Run, plan: Plan, way: str) -> dict[str, Any]:
    """The ledger of a run that only asks: what was really sent."""
    used = {
        "temperature": plan.decoding.temperature,
        "max_tokens": plan.decoding.max_tokens,
        "top_logprobs": plan.decoding.top_logprobs,
        "constrain": plan.decoding.schema is not None,
        "examples": plan.style.examples,
        "selection": plan.style.selection,
        "system_prompt": plan.style.system_prompt,
        "way": way,
    }
    mine = ("way",) if plan.target.tuned else tuple(used)
    return {
        name: {**row, "resolved": used[name]} if name in mine else row for name, row in run.ledger.items()
    }


def cancel(run: Run, save: Save) -> None:
    """Ends a run that predicts: its batches are asked to stop and waited for, what is served is stopped."""
    plan = make_plan(run, find_target(run))
    with save() as session:
        reply_rows.stop_deployments(session, run.id or 0)
    try:
        if not stop_batches(plan, save):
            return
    except (*PAUSING, Busy, Unclear) as error:
        put_off(run, save, error)
        return
    with save() as session:
        move(session, run, RunState.CANCELLED)
