"""Some seconds of a batch: several lines are asked at a time, and what is answered is kept. Called by batch_work.py."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from app.door.answer import answer
from app.door.batch_journal import Journal, answered, unanswered
from app.door.batch_lines import Line
from app.door.chat_body import make_body
from app.door.error_shape import headers_of, shaped, status_of
from app.door.ids import new_id
from app.door.inference import close_connections
from app.door.record import RECORDER
from app.errors import OverBudget, TunebookError
from app.lab.actor import Actor

SLICE_SECONDS = 8.0
# Local models answer several at once; a service says when it is too many.
AT_ONCE = 16
KEEP_SECONDS = 0.5
# A line that meets no answer this often is given up.
MOST_TRIES = 5
LONGEST_WAIT = 60.0


@dataclass
class Slice:
    """What a slice has met. `go_on` is asked after each keeping whether it may; `wait`: seconds to leave the model alone;
    `broke`: why nothing more can be paid."""

    actor: Actor
    batch_id: int
    journal: Journal
    go_on: Callable[[], bool]
    until: float = field(default_factory=lambda: time.monotonic() + SLICE_SECONDS)
    wait: float = 0.0
    broke: str = ""
    stopped: bool = False
    alone: list[Line] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether no new line is asked."""
        return self.stopped or bool(self.wait or self.broke) or time.monotonic() > self.until


def ask_lines(current: Slice, lines: Iterator[Line]) -> None:
    """Asks until the slice is over or no line is left. When it returns, everything answered is kept."""
    asyncio.run(_ask_lines(current, lines))
    RECORDER.flush()


async def _ask_lines(current: Slice, lines: Iterator[Line]) -> None:
    under_way: set[asyncio.Task[None]] = set()
    kept = time.monotonic()
    try:
        while True:
            while len(under_way) < AT_ONCE and not current.over and not current.alone:
                line = next(lines, None)
                if line is None:
                    break
                under_way.add(asyncio.create_task(_ask(current, line, len(under_way) == 0)))
            if current.alone and not under_way and not current.over:
                # What other lines had reserved is settled now: asked by itself, a line is refused for good or answered.
                under_way.add(asyncio.create_task(_ask(current, current.alone.pop(0), True)))
            if not under_way:
                break
            done, under_way = await asyncio.wait(
                under_way, timeout=KEEP_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if time.monotonic() - kept >= KEEP_SECONDS:
                _keep(current)
                kept = time.monotonic()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        current.journal.flush()
        close_connections()
    _keep(current)


def _keep(current: Slice) -> None:
    """Keeps what was answered, then tells how far it is: in that order, so that no count is ahead of the file."""
    current.journal.flush()
    current.stopped = not current.go_on()


async def _ask(current: Slice, line: Line, alone: bool) -> None:
    try:
        found = await answer(current.actor, make_body(line.body), batch_id=current.batch_id)
    except OverBudget as error:
        if alone:
            current.broke = error.message
            current.journal.add(line, _refused(error))
        else:
            current.alone.append(line)
    except TunebookError as error:
        _not_answered(current, line, error)
    else:
        current.journal.add(line, answered(found.id, found.json()))


def _not_answered(current: Slice, line: Line, error: TunebookError) -> None:
    """A clear refusal is the line's answer; what may be otherwise in a while is asked again in a later slice."""
    headers = headers_of(error)
    if headers["x-should-retry"] != "true":
        current.journal.add(line, _refused(error))
        return
    current.wait = max(current.wait, min(float(headers["retry-after"]), LONGEST_WAIT))
    if status_of(error) not in (429, 503) and current.journal.note_try(line.number) >= MOST_TRIES:
        current.journal.add(line, _refused(error))


def _refused(error: TunebookError) -> dict[str, object]:
    return answered(new_id("req_"), shaped(error), status_of(error))


def give_up(journal: Journal, lines: Iterator[Line], code: str, message: str) -> None:
    """Writes an error for every line that is left."""
    for count, line in enumerate(lines, 1):
        journal.add(line, unanswered(code, message))
        if count % 1000 == 0:
            journal.flush()
    journal.flush()
