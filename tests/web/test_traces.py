"""Traces of requests, SQL and tasks, as a collector gets them over OTLP."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app import traces
from app.queue import CHECK_DATASET
from workers.celery_app import celery

pytestmark = pytest.mark.laptop


class Collector(BaseHTTPRequestHandler):
    """Takes what is exported; `spans` by name."""

    spans: list[Any] = []
    service = ""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            type(self).service = named["service.name"]
            type(self).spans += [each for scope in resource.scope_spans for each in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def collector(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Collector]]:
    fresh = type("Fresh", (Collector,), {"spans": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), fresh)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    traces._tracer.cache_clear()
    yield fresh
    monkeypatch.undo()
    traces._tracer.cache_clear()
    server.shutdown()


def told(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def test_a_request_and_its_sql_are_one_trace(client, collector) -> None:
    parent = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{parent}-00f067aa0ba902b7-01", "x-request-id": "proxy-1234"}
    client.get("/datasets?token=canary-in-a-query", headers=headers)
    client.get("/runs/987654")
    traces.flush()
    assert collector.service == "tunebook"
    [request] = [span for span in collector.spans if span.name == "GET /datasets"]
    assert request.trace_id.hex() == parent
    assert told(request)["http.route"] == "/datasets"
    assert told(request)["http.response.status_code"] == 200
    assert told(request)["tunebook.request"] == "proxy-1234"
    statements = [
        span for span in collector.spans if span.name == "SELECT" and span.trace_id == request.trace_id
    ]
    assert len(statements) > 1
    assert told(statements[0])["db.system.name"] == "sqlite"
    ids = {span.span_id for span in collector.spans}
    assert all(span.parent_span_id in ids for span in statements)
    assert "canary-in-a-query" not in str(collector.spans)
    [missing] = [span for span in collector.spans if span.name == "GET /runs/{run_id}"]
    assert told(missing)["http.response.status_code"] == 404
    assert "987654" not in str(missing)


def test_a_task_goes_on_in_the_trace_that_sent_it(session, collector) -> None:
    sent: dict[str, Any] = {}
    with traces.span("sends", "server", {}):
        traces._send_along(headers=sent)
    celery.loader.import_default_modules()
    celery.tasks[CHECK_DATASET].apply((987_654,), headers=sent)
    traces.flush()
    by_name = {span.name: span for span in collector.spans}
    task, sender = by_name[CHECK_DATASET], by_name["sends"]
    assert (task.trace_id, task.parent_span_id) == (sender.trace_id, sender.span_id)
    assert told(task)["tunebook.row"] == 987_654
    assert any(span.parent_span_id == task.span_id for span in collector.spans), "its SQL stands below it"


def test_errors_are_marked_without_their_words(collector) -> None:
    with pytest.raises(ValueError), traces.span("fails", "server", {}):
        raise ValueError("canary-in-a-message")
    traces.flush()
    [failed] = collector.spans
    assert told(failed) == {"error.type": "ValueError"}
    assert failed.status.code == 2
    assert "canary" not in str(failed)


def test_without_a_collector_nothing_is_traced(client, monkeypatch) -> None:
    assert not any(os.environ.get(name) for name in traces.WHERE)
    monkeypatch.setattr(traces, "_tracer", None)
    assert client.get("/datasets").status_code == 200
    assert traces.carried() == {}
    with traces.span("nothing", "server", {}):
        pass
