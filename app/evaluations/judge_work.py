"""A slice of a judging: asks the endpoint for some seconds and stores each mark as it comes.

Called by workers/judgings.py, which holds the lease. A killed worker loses calls, never marks: what waits is asked
again, and a mark is written once.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import httpx
from sqlalchemy import func, update
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.datasets.stored import group_name, items_by_number
from app.db import clean, session_scope
from app.evaluations.judge_prompts import PAIR, fill, read_mark
from app.evaluations.judge_result import microdollars, result
from app.evaluations.judge_score import store_judge_score
from app.evaluations.judge_service import answers, prompt_values
from app.format import money
from app.outside import outside_client
from app.settings.chat import ChatError, Reply, Target, Trouble, ask
from app.tables import Dataset, Endpoint, JudgeMark, Judging, JudgingState, MarkState, Run, Split
from app.vault import unseal

Save = Callable[[], AbstractContextManager[Session]]
SLICE_SECONDS = 8.0
CONCURRENCY = 4
CALL_SECONDS = 45.0
# An item that fails this often, or meets a busy endpoint this often, is given up; a person may ask again.
MOST_ATTEMPTS, MOST_BUSY = 5, 40
LONGEST_WAIT = 600.0
AT_ONCE = 64
REPLY_KEPT = 4_000


@dataclass(frozen=True)
class Question:
    """One mark to ask for."""

    number: int
    side: int
    attempts: int
    prompt: str


@dataclass
class Slice:
    """What a slice has met so far."""

    judging: Judging
    target: Target
    save: Save
    spent: int = 0
    until: float = 0.0
    reserved: int = 0
    cancelled: bool = False
    wait: float = 0.0
    error: tuple[str, str] | None = None
    asked: set[tuple[int, int]] = field(default_factory=set)

    @property
    def stopped(self) -> bool:
        """Whether no new question is asked in this slice."""
        return self.cancelled or self.wait > 0 or self.error is not None or time.monotonic() > self.until


def work(judging: Judging, save: Save) -> None:
    """One slice; ends the judging when nothing waits, or when it cannot go on."""
    if judging.cancel_asked:
        _end(judging, save, JudgingState.CANCELLED)
        return
    if judging.state == JudgingState.QUEUED:
        with save() as session:
            _set(session, judging, state=JudgingState.WORKING)
    current = _begin(judging, save)
    with outside_client(CALL_SECONDS) as client, ThreadPoolExecutor(CONCURRENCY) as pool:
        current.until = time.monotonic() + SLICE_SECONDS
        _ask_all(current, client, pool)
    if current.cancelled:
        _end(judging, save, JudgingState.CANCELLED)
    elif current.error:
        _end(judging, save, JudgingState.FAILED, *current.error)
    else:
        _pause(current)


def _begin(judging: Judging, save: Save) -> Slice:
    with session_scope(write=False) as session:
        endpoint = session.get_one(Endpoint, judging.endpoint_id)
        tokens = session.exec(
            select(
                func.coalesce(func.sum(JudgeMark.input_tokens), 0),
                func.coalesce(func.sum(JudgeMark.output_tokens), 0),
            ).where(JudgeMark.judging_id == judging.id)
        ).one()
    target = Target(judging.base_url, judging.model, unseal(endpoint.sealed_key))
    return Slice(judging, target, save, _cost(judging, *tokens))


def _cost(judging: Judging, input_tokens: int, output_tokens: int) -> int:
    return (
        microdollars(judging.input_microdollars, judging.output_microdollars, input_tokens, output_tokens)
        or 0
    )


def _ask_all(current: Slice, client: httpx.Client, pool: ThreadPoolExecutor) -> None:
    """Keeps CONCURRENCY calls under way; this thread alone writes."""
    under_way: dict[Future[Reply], Question] = {}
    questions = _questions(current)
    while True:
        while len(under_way) < CONCURRENCY and not current.stopped:
            question = next(questions, None)
            if question is None or not _affordable(current, question):
                break
            current.reserved += _most(current.judging, question)
            messages = [{"role": "user", "content": question.prompt}]
            call = pool.submit(ask, client, current.target, messages, dict(current.judging.decoding))
            under_way[call] = question
        if not under_way:
            return
        for call in wait(under_way, return_when=FIRST_COMPLETED).done:
            question = under_way.pop(call)
            current.reserved -= _most(current.judging, question)
            _store(current, question, call)


def _questions(current: Slice) -> Iterator[Question]:
    """What waits, the least tried first, each once in a slice."""
    judging = current.judging
    while True:
        with session_scope(write=False) as session:
            waiting = session.exec(
                select(JudgeMark)
                .where(JudgeMark.judging_id == judging.id, JudgeMark.state == MarkState.WAITING)
                .order_by(col(JudgeMark.attempts), col(JudgeMark.number), col(JudgeMark.side))
                .limit(AT_ONCE + len(current.asked))
            ).all()
            fresh = [mark for mark in waiting if (mark.number, mark.side) not in current.asked][:AT_ONCE]
            made = _filled(session, judging, fresh)
        if not made:
            return
        for question in made:
            current.asked.add((question.number, question.side))
            yield question


def _filled(session: Session, judging: Judging, marks: list[JudgeMark]) -> list[Question]:
    numbers = sorted({mark.number for mark in marks})
    if not numbers:
        return []
    run = session.get_one(Run, judging.run_id)
    items = items_by_number(session, session.get_one(Dataset, run.dataset_id), None, numbers)
    own = answers(session, judging.evaluation_id, numbers)
    others = answers(session, judging.other_evaluation_id, numbers) if judging.other_evaluation_id else {}
    return [
        Question(
            mark.number,
            mark.side,
            mark.attempts,
            fill(
                judging.prompt,
                prompt_values(items[mark.number], own.get(mark.number), others.get(mark.number), mark.side),
            ),
        )
        for mark in marks
    ]


def _most(judging: Judging, question: Question) -> int:
    """The most that a call can cost: a token has two bytes at least on average, and the reply its full length."""
    return _cost(judging, len(question.prompt.encode()) // 2, int(judging.decoding["max_tokens"]))


def _affordable(current: Slice, question: Question) -> bool:
    cap = current.judging.cap_microdollars
    if cap is None or current.spent + current.reserved + _most(current.judging, question) <= cap:
        return True
    if not current.reserved:
        current.error = (
            f"The cap of {money(cap)} is reached: {money(current.spent)} is spent, and one more call might pass it.",
            "Marks so far are kept. Go on with a higher cap.",
        )
    return False


def _store(current: Slice, question: Question, call: Future[Reply]) -> None:
    """Writes one mark, if nobody did; notes what the rest of the slice must know."""
    values: dict[str, object]
    try:
        reply = call.result()
    except ChatError as error:
        values = _failed(current, question, error)
    else:
        values = _read(current, question, reply)
    with current.save() as session:
        session.execute(
            update(JudgeMark)
            .where(
                col(JudgeMark.judging_id) == current.judging.id,
                col(JudgeMark.number) == question.number,
                col(JudgeMark.side) == question.side,
                col(JudgeMark.state) == MarkState.WAITING,
            )
            .values(**values)
        )
        asked = select(Judging.cancel_asked).where(Judging.id == current.judging.id)
        current.cancelled = bool(session.exec(asked).one())


def _read(current: Slice, question: Question, reply: Reply) -> dict[str, object]:
    value = read_mark(reply.text, current.judging.scale)
    if value is not None and question.side == 1:
        value = 1 - value  # the other run's answer came first
    used = reply.input_tokens, reply.output_tokens
    tokens_in = used[0] if used[0] is not None else len(question.prompt) // 4
    tokens_out = used[1] if used[1] is not None else len(reply.text) // 4
    current.spent += _cost(current.judging, tokens_in, tokens_out)
    return {
        "state": MarkState.UNREADABLE if value is None else MarkState.MARKED,
        "value": value,
        "reply": (clean(reply.text) or "")[:REPLY_KEPT],
        "error": None,
        "attempts": question.attempts + 1,
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "latency_ms": reply.latency_ms,
    }


def _failed(current: Slice, question: Question, error: ChatError) -> dict[str, object]:
    attempts = question.attempts + (error.trouble != Trouble.ALL)
    if error.trouble == Trouble.ALL:
        current.error = (error.message, "Mend the endpoint on the Settings page, then go on.")
    elif error.trouble == Trouble.BUSY:
        current.wait = max(current.wait, min(error.wait or 2.0 ** min(attempts, 6), LONGEST_WAIT), 0.2)
    given_up = error.trouble == Trouble.ITEM or (
        error.trouble != Trouble.ALL
        and attempts >= (MOST_BUSY if error.trouble == Trouble.BUSY else MOST_ATTEMPTS)
    )
    state = MarkState.FAILED if given_up else MarkState.WAITING
    return {"state": state, "error": clean(error.message), "attempts": attempts}


def _pause(current: Slice) -> None:
    """Sets when to go on, or ends the judging where nothing waits."""
    with session_scope(write=False) as session:
        least = session.exec(
            select(func.min(JudgeMark.attempts)).where(
                JudgeMark.judging_id == current.judging.id, JudgeMark.state == MarkState.WAITING
            )
        ).one()
    if least is None:
        _end(current.judging, current.save, JudgingState.DONE)
        return
    seconds = current.wait or (min(2.0**least, 60.0) if least else 0.0)
    with current.save() as session:
        _set(session, current.judging, due_at=in_seconds(seconds) if seconds else None)


def _end(judging: Judging, save: Save, state: JudgingState, error: str = "", hint: str = "") -> None:
    """Computes the result before the transaction that writes it."""
    with session_scope(write=False) as session:
        marks = list(session.exec(select(JudgeMark).where(JudgeMark.judging_id == judging.id)))
        split = session.get_one(Split, session.get_one(Run, judging.run_id).split_id)
        found = result(judging, marks, {mark.number: group_name(split, mark.number) for mark in marks})
    with save() as session:
        _set(session, judging, state=state, error=error[:2000], hint=hint, result=found, ended_at=now())
        if state == JudgingState.DONE and judging.scale != PAIR:
            session.flush()
            store_judge_score(session, judging.evaluation_id)


def fail(judging: Judging, save: Save, message: str, hint: str) -> None:
    """Ends the judging with a sentence; what is marked stays."""
    _end(judging, save, JudgingState.FAILED, message, hint)


def _set(session: Session, judging: Judging, **values: object) -> None:
    session.execute(update(Judging).where(col(Judging.id) == judging.id).values(**values))
