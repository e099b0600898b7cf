"""Request ids, /metrics and JSON log lines."""

import json
import logging

import pytest
from fastapi.testclient import TestClient

from app.config import settings
from app.log import log, set_up_logging, telling
from app.main import create_app
from app.runs import hosts
from app.runs.hosts import make_slots


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a collector sends."""
    monkeypatch.setenv("TUNEBOOK_METRICS_TOKEN", "collector-secret")
    settings.cache_clear()
    return {"authorization": "Bearer collector-secret"}


def test_metrics_open_to_the_token_and_to_admins_alone(client, stranger, token) -> None:
    for headers in ({}, {"authorization": "Bearer collector-secreT"}, {"authorization": "collector-secret"}):
        assert stranger.get("/metrics", headers=headers).status_code == 401
    assert stranger.get("/metrics", headers=token).status_code == 200
    assert stranger.get("/datasets", headers=token).status_code == 401
    assert client.get("/metrics").status_code == 200


@pytest.mark.laptop
def test_without_a_token_nobody_collects(stranger) -> None:
    assert stranger.get("/metrics", headers={"authorization": "Bearer "}).status_code == 401


def test_metrics_tell_of_workers_places_and_requests(client, home, token) -> None:
    make_slots()
    hosts.beat("here/1/1.00")
    for _ in range(3):
        assert client.get("/datasets").status_code == 200
    client.get("/nowhere/at/all")
    text = client.get("/metrics").text
    lines = dict(line.rpartition(" ")[::2] for line in text.splitlines() if not line.startswith("#"))
    assert lines['tunebook_runs{state="queued"}'] == "0"
    assert lines['tunebook_queue_taken{queue="gpu"}'] == "1"
    machine = settings().machine_name
    assert lines[f'tunebook_slots{{machine="{machine}",state="free"}}'] == "1"
    assert float(lines[f'tunebook_worker_silent_seconds{{machine="{machine}"}}']) < 10
    assert lines["tunebook_workers"] == "1"
    assert lines["tunebook_reserved_dollars"] == "0"
    assert float(lines['tunebook_request_seconds_count{method="GET",route="/datasets"}']) >= 3
    whole = lines['tunebook_request_seconds_bucket{method="GET",route="/datasets",le="+Inf"}']
    assert whole == lines['tunebook_request_seconds_count{method="GET",route="/datasets"}']
    assert "/nowhere" not in text, "strangers must not be able to fill the memory"
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) >= 9


def test_a_request_keeps_the_id_that_the_proxy_gave_it(stranger) -> None:
    given = stranger.get("/healthz", headers={"x-request-id": "proxy-1234"})
    assert given.headers["x-request-id"] == "proxy-1234"
    for bad in ("x", "a b c d e f", 'a"}{"forged', "y" * 65):
        made = stranger.get("/healthz", headers={"x-request-id": bad}).headers["x-request-id"]
        assert made != bad
        assert len(made) == 16


def test_the_error_page_names_the_requests_id(client, monkeypatch, caplog) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("app.home.routes.page", fail)
    monkeypatch.setattr(log, "propagate", True)
    answer = TestClient(create_app(), raise_server_exceptions=False, headers=dict(client.headers)).get(
        "/", headers={"x-request-id": "asked-77", "host": "127.0.0.1"}
    )
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "asked-77"
    assert "asked-77" in answer.text


def test_json_lines_carry_request_and_run(monkeypatch, capsys) -> None:
    monkeypatch.setenv("TUNEBOOK_LOG_FORMAT", "json")
    monkeypatch.setenv("TUNEBOOK_BROKER_PASSWORD", "very-secret-word")
    settings.cache_clear()
    try:
        set_up_logging()
        with telling(run=12), telling(request="abc-123"):
            log.warning("two\nlines and very-secret-word %s", 1)
        try:
            raise ValueError("of old")
        except ValueError:
            log.exception("failed")
        first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
        assert first["message"] == "two\nlines and [key] 1"
        assert (first["run"], first["request"], first["level"]) == (12, "abc-123", "WARNING")
        assert "ValueError: of old" in second["traceback"]
        assert "run" not in second
    finally:
        monkeypatch.undo()
        settings.cache_clear()
        log.handlers[:] = [logging.StreamHandler()]
        set_up_logging()
