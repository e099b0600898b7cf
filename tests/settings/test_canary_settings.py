"""Secrets of the settings and of members (mail, bucket, database, queue, university, webhooks) are in no log, page,
answer, error, file or child process."""

import io
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.compute.local import _environment
from app.config import settings
from app.lab.actor import Actor
from app.lab.mail import send_mail
from app.log import log, set_up_logging
from tests.fresh import forget_settings
from tests.source import ROOT
from tests.stack import wait_for
from tests.web.lab_rows import seed_project
from tests.web.test_route_walk import CLOSED
from workers.notifications import deliver

pytestmark = pytest.mark.laptop
CANARIES = {
    "TUNEBOOK_SMTP_URL": "smtp://lab:canary-smtp-81f0@127.0.0.1:9",
    "TUNEBOOK_S3_ACCESS_KEY": "canary-s3-id-81f1",
    "TUNEBOOK_S3_SECRET_KEY": "canary-s3-secret-81f2",
    "TUNEBOOK_DATABASE_PASSWORD": "canary-database-81f3",
    "TUNEBOOK_BROKER_PASSWORD": "canary-broker-81f4",
    "TUNEBOOK_METRICS_TOKEN": "canary-metrics-81f5",
    "TUNEBOOK_HF_TOKEN": "canary-hub-81f6",
    "TUNEBOOK_OIDC_ISSUER": "https://127.0.0.1:9",
    "TUNEBOOK_OIDC_CLIENT_ID": "tunebook",
    "TUNEBOOK_OIDC_CLIENT_SECRET": "canary-university-81f7",
    "AWS_SECRET_ACCESS_KEY": "canary-aws-81f8",
    "PGPASSWORD": "canary-pgpassword-81f9",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=canary-collector-81fa",
}
WEBHOOK = "https://127.0.0.1:9/services/canary-webhook-81fb?sig=canary-signature-81fc"
CANARY = re.compile(rb"canary-[a-z0-9]+(?:-[a-z0-9]+)*-81f[0-9a-f]")


@pytest.fixture
def told(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The secrets are set; gives what the process logs at the finest level."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TUNEBOOK_LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
    monkeypatch.setattr("app.queue.send", lambda task, row_id: None)
    forget_settings()
    set_up_logging()
    written = io.StringIO()
    assert isinstance(log.handlers[0], logging.StreamHandler)
    log.handlers[0].setStream(written)
    return written


def found(data: Any) -> set[bytes]:
    return set(CANARY.findall(data if isinstance(data, bytes) else str(data).encode()))


@pytest.mark.slow
def test_no_page_and_no_answer_shows_a_secret(
    client, session: Session, actor: Actor, told, monkeypatch
) -> None:
    ids = seed_project(session, actor)
    session.commit()
    form = {"medium": "webhook", "target": WEBHOOK, "kinds": ["done", "lab"]}
    assert client.post("/lab/notifications/channels", data=form, follow_redirects=False).status_code == 303
    shown: dict[str, set[bytes]] = {}
    for method, path in CLOSED:
        if method == "GET":
            address = re.sub(r"\{(\w+)[^}]*\}", lambda name: str(ids.get(name[1], 1)), path)
            shown[path] = found(client.get(address).content)
    # An unexpected fault whose words hold them all.
    monkeypatch.setattr("app.lab.routes.list_api_tokens", _broken)
    fault = client.get("/lab")
    assert fault.status_code == 500
    shown["fault"] = found(fault.content)
    assert len(shown) > 100
    assert not {path: names for path, names in shown.items() if names}
    assert "a fault with" in told.getvalue()
    assert not found(told.getvalue()), told.getvalue()[-9000:]


def _broken(*_: Any, **__: Any) -> None:
    ours = [value for name, value in CANARIES.items() if name.startswith("TUNEBOOK_")]
    raise RuntimeError(f"a fault with {ours}")


def test_what_goes_wrong_with_a_secret_does_not_tell_it(
    client, session: Session, actor: Actor, home: Path, told
) -> None:
    form = {"medium": "webhook", "target": WEBHOOK, "kinds": ["lab"]}
    client.post("/lab/notifications/channels", data=form)
    client.post("/lab/notifications/channels/1/test")
    deliver(1)
    page = client.get("/lab/notifications").text
    assert "did not go out" in page or "on its way" in page
    invited = client.post("/lab/members/invite", data={"email": "bo@example.org"})
    assert "cannot be reached" in invited.text
    out = client.get("/sign-in/university", follow_redirects=False)
    assert out.status_code == 503
    with pytest.raises(Exception, match="cannot be reached") as error:
        send_mail("bo@example.org", "x", "x", "x")
    for text in (page, invited.text, out.text, error.value, told.getvalue()):
        assert not found(text)
    kept = [path for path in home.rglob("*") if path.is_file() and found(path.read_bytes())]
    assert not kept


def test_the_secrets_of_machines_and_services_are_never_repeated(client, home: Path, told) -> None:
    """Accepted or refused, with fields that fit or not: what was entered does not come back."""
    secret = "canary-machine-secret-81fd"
    kinds = [kind for kind in client.get("/api/v1/compute").json()["kinds"] if kind["secret"]]
    assert len(kinds) > 1
    answers = []
    for kind in kinds:
        for fields in ({}, {field["name"]: "example" for field in kind["fields"]}, {"no such field": "x"}):
            body = {"name": f"{kind['name']}", "kind": kind["name"], "fields": fields, "secret": secret}
            answers.append(client.post("/api/v1/compute", json=body).text)
            form = {"name": "x", "kind": kind["name"], "secret": secret, **fields}
            answers.append(client.post("/settings/compute", data=form).text)
        answers.append(client.post("/api/v1/compute", json={"name": [secret], "secret": [secret]}).text)
    for name in ("openai", "together", "mistral"):
        answers.append(client.post(f"/api/v1/providers/{name}/keys", json={"key": f"{secret}\n"}).text)
        answers.append(client.post(f"/settings/services/{name}/key", data={"key": f"{secret}\x00"}).text)
    answers += [
        client.get(path).text
        for path in ("/settings/compute", "/api/v1/compute", "/lab/audit", "/api/v1/audit")
    ]
    assert not [text[:2000] for text in answers if found(text)]
    assert not found(told.getvalue())
    assert not [path for path in home.rglob("*") if path.is_file() and found(path.read_bytes())]


def test_a_process_that_trains_has_none_in_its_environment(home: Path, told) -> None:
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    environment = _environment(home, 60.0, "tb-canary")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        there = psutil.Process(child.pid)
        held = found(there.environ()) | found(there.cmdline())
        child.kill()
    assert not held
    assert environment["LAUNCH_KEY"] == "tb-canary"
    assert "PATH" in environment


def test_the_server_of_local_models_started_by_hand_keeps_none(home: Path, told) -> None:
    """It reads the settings, then goes on as a process without them, in /proc too."""
    with subprocess.Popen(
        [sys.executable, "-m", "workers.inference"],
        cwd=ROOT,
        env={**os.environ, "WANDB_API_KEY": "canary-wandb-81fe", "CUDA_VISIBLE_DEVICES": ""},
    ) as child:
        there = psutil.Process(child.pid)
        wait_for(lambda: "INFERENCE_SOCKET" in there.environ() and settings().inference_socket.exists(), 30)
        own = there.environ()
        child.kill()
    assert not found(own)
    assert not [name for name in own if name.startswith("TUNEBOOK_")]
    assert {"PATH", "CUDA_VISIBLE_DEVICES"} <= set(own)


@pytest.mark.slow
def test_the_command_line_shows_none(home: Path, told) -> None:
    """`tunebook doctor` looks at all of them and says what is wrong, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor"], capture_output=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    assert b"mail" in said.lower()
    assert not found(said), said.decode()
