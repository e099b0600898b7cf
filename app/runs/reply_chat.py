"""A slice of predicting by chat: asks for some seconds, many at once, and stores each answer as it comes.

Called by hosted_predict.py under the run's lease. A killed worker loses calls, never answers: what waits is asked
again, and an answer is written once.
"""

import json
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from sqlmodel import select

from app.db import session_scope
from app.errors import Busy, Gone, ProviderError, Refused, Unclear
from app.providers._shapes import Question, Reply
from app.runs import reply_rows
from app.runs.hosted import PAUSING, Save, set_run
from app.runs.pace import Gate, Ticket
from app.runs.reply_plan import BYTES_A_TOKEN, Plan, dropped_by
from app.service_http import Api
from app.tables import ReplyState, Run

SLICE_SECONDS = 12.0
# A wait that is longer ends the slice: the run is due again after it.
LONGEST_STAY = 3.0
MOST_AT_ONCE = 64
# An item that gets no answer this often is given up; a person may ask again.
MOST_ATTEMPTS = 5
# So many clear refusals before the first answer: it is not the items.
ALL_REFUSED = 10
READ_AHEAD = 128
# Questions that more is reserved for at a time.
RESERVE_AHEAD = 32
# Between two transactions: a kill loses the answers of this time, which are then asked for again.
WRITE_SECONDS = 0.1


@dataclass(frozen=True)
class Asked:
    """One question on its way: its row's key and attempts, and how many bytes it has."""

    part: str
    number: int
    attempts: int
    question: Question
    size: int


@dataclass
class Slice:
    """What a slice has met. `wait`: seconds until the next may begin; `error` ends it for all items; `over`: the
    reservation is reached, and `needed` micro-dollars in all would do for a while; `without`: a part of the decoding
    that the service does not take."""

    plan: Plan
    save: Save
    gate: Gate
    counts: reply_rows.Counts
    answered: int = 0
    failed: int = 0
    refused: int = 0
    spent: int = 0
    reserved: int = 0
    until: float = 0.0
    wait: float = 0.0
    over: str = ""
    needed: int = 0
    without: str = ""
    error: ProviderError | None = None
    # What the model is served by is not there, or not any more.
    gone: bool = False
    cancelled: bool = False
    waiting: deque[Asked] = field(default_factory=deque)
    taken: set[tuple[str, int]] = field(default_factory=set)
    # Answers not stored yet and what they cost; when the last ones were.
    unwritten: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)
    unbilled: int = 0
    written_at: float = 0.0
    done: SimpleQueue[tuple[Asked, Ticket, Future[Reply], float]] = field(default_factory=SimpleQueue)

    @property
    def stopped(self) -> bool:
        """Whether no new question is asked."""
        ended = self.cancelled or self.over or self.without or self.error
        return bool(ended) or time.monotonic() > self.until

    def write_in(self) -> float:
        """Seconds until answers are stored: at once, but many that come together in one transaction."""
        due = self.written_at + WRITE_SECONDS - time.monotonic()
        return max(due, 0.0) if self.unwritten else math.inf


# Limits hold for an account, not for a run: a worker keeps what it has learned of each.
GATES: dict[tuple[str, str, str], Gate] = {}


def gate_of(api: Api, model: str) -> Gate:
    """What this process knows of the limits of one model at one place, as one account."""
    key = (api.access.base_url, api.access.key, model)
    gate = GATES.setdefault(key, Gate(MOST_AT_ONCE))
    gate.under_way = 0
    return gate


def ask_slice(plan: Plan, save: Save) -> Slice:
    """Asks until the time is over, nothing waits, or something stands in the way of all items."""
    run = plan.run
    with session_scope(write=False) as session:
        counts = reply_rows.count(session, run.id or 0)
    with plan.target.open() as api, ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        current = Slice(plan, save, gate_of(api, plan.target.model), counts, spent=run.cost_microdollars)
        current.until = time.monotonic() + SLICE_SECONDS
        ask = partial(plan.target.chat.ask, api, plan.target.model)
        while True:
            seconds = _start(current, pool, ask)
            if not current.gate.under_way:
                if current.stopped or not current.waiting:
                    break
                if seconds > LONGEST_STAY:
                    current.wait = seconds
                    break
                time.sleep(seconds)
                continue
            _collect(current, min(seconds, current.write_in()))
            if current.write_in() <= 0 or not current.gate.under_way:
                _write(current)
    return current


def _start(current: Slice, pool: ThreadPoolExecutor, ask: Callable[..., Reply]) -> float:
    """Starts what may start now; gives the seconds until the next may (infinite: an answer must come first)."""
    gate, plan = current.gate, current.plan
    while not current.stopped:
        if not current.waiting:
            _read_ahead(current)
            if not current.waiting:
                return math.inf
        asked = current.waiting[0]
        now = time.monotonic()
        tokens = asked.size / BYTES_A_TOKEN + plan.decoding.max_tokens
        seconds = gate.wait(now, tokens)
        if seconds > 0:
            return seconds
        most = plan.most(asked.size)
        over = plan.over(current.spent + current.reserved + most)
        if over:
            # What is under way may cost less than it could.
            if not gate.under_way:
                current.over = over
                current.needed = current.spent + most * min(len(current.waiting), RESERVE_AHEAD)
            return math.inf
        current.waiting.popleft()
        current.reserved += most
        ticket = gate.start(now, tokens)
        call = pool.submit(ask, asked.question, plan.decoding)
        call.add_done_callback(
            lambda call, asked=asked, ticket=ticket: current.done.put(  # type: ignore[misc]
                (asked, ticket, call, time.monotonic())
            )
        )
    return math.inf


def _read_ahead(current: Slice) -> None:
    """Fetches the next questions, each once in a slice."""
    run_id = current.plan.run.id or 0
    if len(current.taken) >= current.counts.waiting:
        return
    with session_scope(write=False) as session:
        rows = reply_rows.waiting(session, run_id, READ_AHEAD, frozenset(current.taken))
        found = current.plan.questions(session, [(row.part, row.number) for row in rows])
    for row in rows:
        current.taken.add((row.part, row.number))
        question = found[row.part, row.number]
        size = len(
            json.dumps([question.messages, question.tools], ensure_ascii=False).encode("utf-8", "replace")
        )
        current.waiting.append(Asked(row.part, row.number, row.attempts, question, size))


def _collect(current: Slice, seconds: float) -> None:
    """Reads all calls that have ended, after waiting for the first at most so long."""
    timeout = None if math.isinf(seconds) else max(seconds, 0.0)
    try:
        while True:
            asked, ticket, call, at = current.done.get(timeout=timeout)
            timeout = 0.0
            current.reserved -= current.plan.most(asked.size)
            values = _read(current, asked, ticket, call, at)
            if values is not None:
                current.unwritten.append((asked.part, asked.number, values))
    except Empty:
        return


def _write(current: Slice) -> None:
    """Stores what has come, in one transaction; sees whether the run is to be cancelled."""
    current.written_at = time.monotonic()
    if not current.unwritten:
        return
    plan, results, current.unwritten = current.plan, current.unwritten, []
    spent, current.unbilled = current.unbilled, 0
    with current.save() as session:
        reply_rows.write(session, plan.run, results)
        set_run(session, plan.run, **_progress(current), **_cost(spent))
        current.cancelled = bool(session.exec(select(Run.cancel_asked).where(Run.id == plan.run.id)).one())


def _cost(microdollars: int) -> dict[str, Any]:
    return {"cost_microdollars": Run.cost_microdollars + microdollars} if microdollars else {}


def _progress(current: Slice) -> dict[str, Any]:
    counts, total = current.counts, current.counts.total
    answered, failed = counts.answered + current.answered, counts.failed + current.failed
    note = f"{answered:,} of {total:,} answered" + (f", {failed:,} without an answer" if failed else "")
    elapsed = SLICE_SECONDS - (current.until - time.monotonic())
    left = total - answered - failed
    seconds = left * elapsed / current.answered if current.answered and elapsed > 1 else None
    return {
        "progress": (answered + failed) / max(total, 1),
        "progress_note": note,
        "seconds_left": seconds,
    }


def _read(
    current: Slice, asked: Asked, ticket: Ticket, call: "Future[Reply]", at: float
) -> dict[str, Any] | None:
    """What the item's row becomes; None: it waits as before."""
    gate, plan = current.gate, current.plan
    try:
        reply = call.result()
    except Busy as error:
        gate.refused(ticket, at, error.wait)
        current.waiting.append(asked)
        return None
    except PAUSING as error:
        gate.ended(ticket, at)
        current.error = error
        return None
    except Unclear as error:
        gate.lost(ticket, at)
        if plan.target.needs_deployment and not current.answered:
            # Not the item's fault: what serves the model is not ready, or has stopped itself.
            current.gone, current.error = True, error
            return None
        return _unanswered(current, asked, error, asked.attempts + 1 >= MOST_ATTEMPTS)
    except Refused as error:
        gate.ended(ticket, at)
        return _refused(current, asked, error)
    gate.answered(ticket, at, reply.pace)
    tokens = reply.input_tokens, reply.output_tokens
    used_in = asked.size // BYTES_A_TOKEN if tokens[0] is None else tokens[0]
    used_out = len(reply.text.encode("utf-8", "replace")) // BYTES_A_TOKEN if tokens[1] is None else tokens[1]
    cost = plan.cost(used_in, used_out)
    current.spent, current.unbilled = current.spent + cost, current.unbilled + cost
    current.answered += 1
    return {**plan.read(reply), "state": ReplyState.ANSWERED, "attempts": asked.attempts + 1}


def _refused(current: Slice, asked: Asked, error: Refused) -> dict[str, Any] | None:
    """The question was refused: for good, unless it was for a part of the decoding, or for the model itself."""
    if current.without:
        return None
    dropped = dropped_by(error.message, current.plan.decoding)
    if dropped:
        current.without = dropped
        return None
    if isinstance(error, Gone):
        current.gone = current.gone or current.plan.target.needs_deployment
        current.error = error
        return None
    current.refused += 1
    if current.refused >= ALL_REFUSED and not current.answered and not current.counts.answered:
        current.error = error
    return _unanswered(current, asked, error, True)


def _unanswered(current: Slice, asked: Asked, error: ProviderError, given_up: bool) -> dict[str, Any]:
    current.failed += given_up
    return {
        "state": ReplyState.FAILED if given_up else ReplyState.WAITING,
        "attempts": asked.attempts + 1,
        "error": error.message[: reply_rows.ERROR_KEPT],
    }
