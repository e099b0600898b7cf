"""A span around each task, where traces are asked for: below the request that sent the message, where one did."""

from contextlib import ExitStack
from typing import Any

from celery.signals import task_failure, task_postrun, task_prerun, worker_init, worker_process_shutdown

from app.traces import begin, flush, is_traced, span

# One task at a time runs in a worker's process.
_open: dict[str, tuple[ExitStack, Any]] = {}


@worker_init.connect
def _check(**_: Any) -> None:
    begin()


@task_prerun.connect
def _begin(task_id: str = "", task: Any = None, args: Any = (), **_: Any) -> None:
    if not is_traced():
        return
    sent = {**(task.request.headers or {})}
    came = {name: str(sent[name]) for name in ("traceparent", "tracestate") if sent.get(name)}
    row = args[0] if args and isinstance(args[0], int) else 0
    stack = ExitStack()
    known: dict[str, str | int] = {
        "messaging.system": "celery",
        "messaging.message.id": task_id,
        "tunebook.row": row,
    }
    _open[task_id] = stack, stack.enter_context(span(task.name, "consumer", known, came))


@task_failure.connect
def _fail(task_id: str = "", exception: BaseException | None = None, sender: Any = None, **_: Any) -> None:
    if found := _open.get(task_id):
        found[1](sender.name, {"error.type": type(exception).__name__})


@task_postrun.connect
def _end(task_id: str = "", **_: Any) -> None:
    if found := _open.pop(task_id, None):
        found[0].close()


@worker_process_shutdown.connect
def _send_rest(**_: Any) -> None:
    flush()
