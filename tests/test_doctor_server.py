"""`tunebook doctor` on a server: each fault is found by name, with what to do."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from app.__main__ import tunebook
from app.clock import now
from app.config import settings
from app.doctor_server import _skew, server_checks
from app.queue import producer
from app.runs import hosts
from tests.stack import free_port


def found() -> dict[str, tuple[bool, str, str]]:
    settings.cache_clear()
    producer.cache_clear()
    return {check.name: (check.ok, check.found, check.to_do) for check in server_checks()}


def test_a_server_without_workers_and_its_redis(home, shape, monkeypatch):
    if shape == "laptop":
        assert set(found()) == {"file system", "listens on", "last backup", "dataset files"}
        assert found()["file system"][0]
        return
    ok, told, to_do = found()["workers"]
    assert not ok
    assert "0 alive" in told
    assert "--queues cpu,remote" in to_do
    monkeypatch.setenv("TUNEBOOK_QUEUES", "cpu")
    settings.cache_clear()
    hosts.beat("a/1/1.00")
    assert "Nobody takes remote" in found()["workers"][2]
    monkeypatch.setenv("TUNEBOOK_QUEUES", "remote")
    settings.cache_clear()
    hosts.beat("a/2/1.00")
    checks = found()
    assert checks["workers"][0]
    assert checks["PostgreSQL"][0]
    assert checks["clock"][0]
    assert checks["Redis"][0], "without a password, but on this machine"
    with producer().connection_for_write() as connection:
        client = connection.default_channel.client
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            ok, told, to_do = found()["Redis"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert not ok
    assert "allkeys-lru" in told
    assert "noeviction" in to_do


@pytest.mark.laptop
def test_addresses_ports_and_mail(home, monkeypatch):
    monkeypatch.setenv("TUNEBOOK_HOST", "0.0.0.0")
    assert not found()["listens on"][0]
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "http://lab.example.org")
    assert "unencrypted" in found()["address"][1]
    monkeypatch.setenv("TUNEBOOK_PUBLIC_URL", "https://lab.example.org")
    assert "TUNEBOOK_TRUSTED_PROXIES" in found()["address"][2]
    monkeypatch.setenv("TUNEBOOK_TRUSTED_PROXIES", "127.0.0.1")
    monkeypatch.setenv("TUNEBOOK_SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    checks = found()
    assert checks["address"][0]
    assert checks["listens on"][0]
    assert not checks["mail"][0]
    assert "TUNEBOOK_SMTP_URL" in checks["mail"][2]


def test_a_clock_is_judged_by_what_the_question_took():
    at = now()
    later = at + timedelta(seconds=2)
    assert _skew(at, at + timedelta(seconds=1), later) == 0
    assert _skew(at, at - timedelta(seconds=60), later) == 60
    assert _skew(at, at + timedelta(seconds=62), later) == 60


@pytest.mark.laptop
def test_json_for_other_programs(home, monkeypatch):
    monkeypatch.setenv("TUNEBOOK_PORT", str(free_port()))
    answer = CliRunner().invoke(tunebook, ["doctor", "--json"])
    checks = json.loads(answer.stdout)
    assert {"name", "ok", "found", "to_do"} == set(checks[0])
    assert answer.exit_code == (0 if all(check["ok"] for check in checks) else 1)
