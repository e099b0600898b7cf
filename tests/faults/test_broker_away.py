"""Redis is away, refuses or was emptied: launches are taken at once, pages say what is wrong, work goes on by itself."""

import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.config import settings
from app.tables import Dataset, Run, RunState
from tests.compose import OwnRedis, Server
from tests.faults.test_hosted_kills import Ground
from tests.faults.test_server_kills import ground  # noqa: F401  fixture
from tests.fresh import forget_settings
from tests.stack import rule_rows, wait_for

RUNS = 20
PASSWORD = "r/w@2"
# The matrix asks for 1 s; what other work on the machine takes is not Redis' fault.
PAGE_SECONDS = 2.0


def gone(redis: OwnRedis) -> None:
    """Nobody listens."""
    redis.kill()


def other_password(redis: OwnRedis) -> None:
    """It was started again with another password."""
    redis.kill()
    redis.password = "another"
    redis.start()


def read_only(redis: OwnRedis) -> None:
    """It has become a replica."""
    redis.client().replicaof("127.0.0.1", "1")


def full(redis: OwnRedis) -> None:
    """It has no memory left, and may drop nothing."""
    redis.client().config_set("maxmemory", "1")


def no_disk(redis: OwnRedis) -> None:
    """It was told to keep its data on a disk that takes nothing, and stops writing."""
    redis.kill()
    redis.start("--save", "1 1", "--dbfilename", "dump.rdb", "--rdb-key-save-delay", "0")
    redis.client().set("some", "thing")
    (redis.folder / "dump.rdb").unlink(missing_ok=True)
    (redis.folder / "dump.rdb").mkdir()
    wait_for(lambda: redis.client().info("persistence")["rdb_last_bgsave_status"] == "err", 20)


def hung(redis: OwnRedis) -> None:
    """It takes connections and does not answer."""
    assert redis.process
    redis.process.send_signal(signal.SIGSTOP)


def mend(redis: OwnRedis) -> None:
    """Started afresh as it was."""
    redis.kill()
    redis.password = PASSWORD
    spoilt = redis.folder / "dump.rdb"
    if spoilt.is_dir():
        spoilt.rmdir()
    redis.start()


QUICK = (gone, other_password)
SLOW = (read_only, full, no_disk, hung)
# What is said of each on the first page.
SAID = {
    gone: "Connection refused",
    other_password: "invalid username-password pair",
    read_only: "read only replica",
    full: "maxmemory",
    no_disk: "unable to persist",
    hung: "Timeout",
}


@pytest.fixture
def redis(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnRedis]:
    """A Redis of the test's own, which the settings name."""
    own = OwnRedis(home, PASSWORD)
    own.start()
    monkeypatch.setenv("TUNEBOOK_BROKER_URL", f"redis://127.0.0.1:{own.port}/0")
    monkeypatch.setenv("TUNEBOOK_BROKER_PASSWORD", PASSWORD)
    forget_settings()
    assert settings().broker
    yield own
    own.kill()


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """(seconds, what it gave)"""
    began = time.monotonic()
    given = call()
    return time.monotonic() - began, given


@pytest.mark.laptop
@pytest.mark.parametrize(
    "fault",
    [*QUICK, *(pytest.param(each, marks=pytest.mark.slow) for each in SLOW)],
    ids=lambda f: f.__name__,
)
def test_a_launch_is_taken_at_once_and_the_first_page_says_what_is_wrong(
    redis: OwnRedis,
    client: TestClient,
    session: Session,
    dataset: Dataset,
    fault: Callable[[OwnRedis], None],
) -> None:
    body = {
        "dataset_id": dataset.id,
        "models": [{"model": "baseline/char-trees"}],
        "seeds": list(range(1, RUNS + 1)),
    }
    # The first request of a process waits for imports.
    assert client.post("/api/v1/experiments", json={**body, "dry_run": True}).status_code == 200
    assert "Work waits" not in client.get("/").text
    fault(redis)
    launched, answer = timed(lambda: client.post("/api/v1/experiments", json=body))
    assert answer.status_code == 201, answer.text
    loaded, page = timed(lambda: client.get("/"))
    assert "Work waits" in page.text
    assert SAID[fault] in page.text, page.text
    assert PASSWORD not in page.text
    print(f"{fault.__name__}: {RUNS} runs launched in {launched:.2f} s, first page in {loaded:.2f} s")
    assert launched < PAGE_SECONDS
    assert loaded < PAGE_SECONDS
    assert list(session.exec(select(Run.state))) == [RunState.QUEUED] * RUNS
    session.commit()
    mend(redis)
    assert client.get("/").status_code == 200


@pytest.mark.slow
@pytest.mark.laptop
def test_what_was_launched_meanwhile_goes_on_by_itself(ground: Ground) -> None:  # noqa: F811
    """The whole server: each fault lasts 15 s, longer than a worker tries without a pause."""
    server = ground.stack
    assert isinstance(server, Server)
    dataset, redis = server.upload(rule_rows(60)), server.redis
    plan = {"dataset_id": dataset, "models": [{"model": "baseline/majority"}], "seeds": [99], "dry_run": True}
    # The first request of a process waits for imports.
    server.call("POST", "/experiments", json=plan)
    for number, fault in enumerate((*QUICK, *SLOW, emptied)):
        fault(redis)
        body = {"dataset_id": dataset, "models": [{"model": "baseline/majority"}], "seeds": [number + 1]}
        launched, made = timed(partial(server.call, "POST", "/experiments", json=body))
        headers = {"authorization": f"Bearer {server.token}"}
        loaded, page = timed(partial(httpx.get, f"{server.base}/", headers=headers, timeout=20))
        assert page.status_code == 200
        # Nine processes and whatever else the machine does: still within the time in which a page must say something.
        assert max(launched, loaded) < 10
        time.sleep(15 if fault is not emptied else 0)
        if fault is not emptied:
            mend(redis)
        began = time.monotonic()
        over = "SELECT 1 FROM run WHERE state = 'done' AND experiment_id = "
        wait_for(partial(ground.rows, f"{over}{made['id']}"), 180)
        print(f"{fault.__name__}: launched in {launched:.2f} s, page in {loaded:.2f} s,", end=" ")
        print(f"done {time.monotonic() - began:.0f} s after it was mended")


def emptied(redis: OwnRedis) -> None:
    """FLUSHALL, while workers wait for messages."""
    redis.client().flushall()
