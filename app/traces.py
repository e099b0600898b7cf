"""OpenTelemetry, where OTEL_EXPORTER_OTLP_ENDPOINT is set: spans of requests, SQL and tasks. Called by the web layer and
the workers; without that variable all of this does nothing.

A span has no query string, no SQL values and no error message: each could hold a secret.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, event

from app.config import settings
from app.errors import Unavailable
from app.version import code_version

# The SDK's own variables; the others of its family (headers, sampler, resource attributes) count too.
WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LONGEST_STATEMENT = 2000


def is_traced() -> bool:
    """Whether there is a collector to send to."""
    return any(os.environ.get(name) for name in WHERE)


@contextmanager
def span(
    name: str, kind: str, about: Mapping[str, str | int], came: Mapping[str, str] | None = None
) -> Iterator[Callable[[str, dict[str, str | int]], None]]:
    """A span around the block, of kind "server", "consumer" or "client", below the present one or below what `came`
    names in its traceparent. Gives a function that renames it and adds what is known later."""
    if not is_traced():
        yield lambda _name, _more: None
        return
    from opentelemetry import trace
    from opentelemetry.propagate import extract

    parent = extract(dict(came)) if came else None
    with _tracer(os.getpid()).start_as_current_span(
        name,
        parent,
        trace.SpanKind[kind.upper()],
        dict(about),
        record_exception=False,
        set_status_on_exception=False,
    ) as made:

        def tell(renamed: str, more: dict[str, str | int]) -> None:
            made.update_name(renamed)
            made.set_attributes(more)
            if more.get("http.response.status_code", 0) in range(500, 600) or "error.type" in more:
                made.set_status(trace.StatusCode.ERROR)

        whole = False
        try:
            yield tell
            whole = True
        finally:
            if not whole:
                tell(name, {"error.type": type(sys.exc_info()[1]).__name__})


def carried() -> dict[str, str]:
    """The present span as headers of a message or request; empty where nothing is traced."""
    if not is_traced():
        return {}
    from opentelemetry.propagate import inject

    headers: dict[str, str] = {}
    inject(headers)
    return headers


@lru_cache
def _tracer(pid: int) -> Any:
    """This process's tracer; a fork makes its own, since the thread that sends does not come along."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Unavailable(
            f"Traces are asked for by {WHERE[0]}, but OpenTelemetry is not installed.",
            "Run `pip install 'tunebook[telemetry]'`, or take the variable away.",
        ) from error
    facts = {
        "service.version": code_version(),
        "service.instance.id": f"{settings().machine_name or 'here'}-{pid}",
    }
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "tunebook"}
    provider = TracerProvider(resource=Resource.create({**facts, **named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _listen()
    return provider.get_tracer("tunebook")


def begin() -> None:
    """At the start of a process. Raises Unavailable where traces are asked for and OpenTelemetry is not installed."""
    if is_traced():
        _tracer(os.getpid())


def flush() -> None:
    """Sends what waits: at the end of a process, and in tests."""
    if is_traced():
        _tracer(os.getpid()).span_processor.force_flush(5000)


@lru_cache
def _listen() -> None:
    """From now on each SQL statement is a span, and each message carries the span that it was sent in."""
    from celery.signals import before_task_publish

    event.listen(Engine, "before_cursor_execute", _begin_statement)
    event.listen(Engine, "after_cursor_execute", _end_statement)
    event.listen(Engine, "handle_error", _fail_statement)
    before_task_publish.connect(_send_along, weak=False)


def _send_along(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        headers.update(carried())


def _begin_statement(
    _connection: Any, _cursor: Any, statement: str, _values: Any, context: Any, *_: Any
) -> None:
    from opentelemetry import trace

    # Below a request or a task alone: what a process asks by itself, again and again, is nobody's trace.
    if context is None or not is_traced() or not trace.get_current_span().get_span_context().is_valid:
        return
    text = statement[:LONGEST_STATEMENT]
    about = {"db.system.name": context.dialect.name, "db.query.text": text}
    name = statement.split(None, 1)[0].upper()
    context._span = _tracer(os.getpid()).start_span(name, kind=trace.SpanKind.CLIENT, attributes=about)


def _end_statement(
    _connection: Any, _cursor: Any, _statement: str, _values: Any, context: Any, *_: Any
) -> None:
    if found := getattr(context, "_span", None):
        found.end()


def _fail_statement(failure: Any) -> None:
    found = getattr(failure.execution_context, "_span", None)
    if found:
        found.set_attribute("error.type", type(failure.original_exception).__name__)
        found.end()
