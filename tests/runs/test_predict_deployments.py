"""A tuned model that must be deployed: put to serve once, asked, and stopped whatever happens."""

import time
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, update
from sqlmodel import Session, select

from app.clock import now
from app.config import settings
from app.db import session_scope
from app.lab.actor import Actor, first_actor
from app.providers import providers
from app.runs import deployments, reply_chat
from app.runs.ledger import open_ledger
from app.runs.service import cancel_run
from app.tables import DeploymentRow, DeploymentState, RunState
from tests.emulator._world import World
from tests.fresh import forget_settings
from tests.hosting import change, go, read
from tests.runs.predicting import answered, finish, right

CREATE = "together POST /v2/projects/*/deployments"
CHAT = "together POST /v1/chat/completions"
ITEMS = 12


@pytest.fixture
def tuned(launch: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> int:
    """A run at the emulated Together whose training has just been asked for."""
    monkeypatch.setenv("TUNEBOOK_TOGETHER_API_KEY", "tg-canary-77")
    monkeypatch.setenv("TUNEBOOK_TOGETHER_BASE_URL", world.url("together", "/v1"))
    monkeypatch.setattr("workers.runs.send", lambda *_: None)
    monkeypatch.setattr(reply_chat, "GATES", {})
    forget_settings()
    settings.cache_clear()
    world.replies["*"] = right
    world.speed = 600.0
    (run_id,) = launch("baseline/char-trees")
    provider = providers()["together"]
    offer = next(each for each in provider.offers if each.can_train)
    facts = {
        "task": "classification",
        "labels": ("acid", "base", "salt"),
        "train_items": 48,
        "validation_items": 0,
        "test_items": 12,
        "mean_tokens": 20.0,
        "max_tokens": 40,
        "mean_characters": 60.0,
        "answer_tokens": 8,
    }
    assert provider.training is not None
    values = dict(provider.training.suggest(offer, facts))
    change(run_id, model=f"together/{offer.model}", ledger=open_ledger(values, values, {}), due_at=None)
    return int(run_id)


def rows(run_id: int) -> list[DeploymentRow]:
    with session_scope(write=False) as session:
        return list(session.exec(select(DeploymentRow).where(DeploymentRow.run_id == run_id)))


def look(run_id: int) -> list[DeploymentRow]:
    """What the sweep and the worker do for each deployment."""
    from workers.deployments import watch_one

    for row in rows(run_id):
        watch_one(row.id)
    return rows(run_id)


def stopped(run_id: int, looks: int = 60) -> DeploymentRow:
    """The deployment once it is stopped."""
    for _ in range(looks):
        row = look(run_id)[-1]
        if row.state == DeploymentState.STOPPED:
            return row
        time.sleep(0.05)
    raise AssertionError(row)


def served(world: World) -> int:
    """How many deployments cost money at the service now."""
    found = [
        each for (_, _, kind), own in world.things.items() if kind == "deployment" for each in own.values()
    ]
    return sum("_stopped" not in each for each in found)


def test_it_is_put_to_serve_asked_and_stopped(tuned: int, world: World) -> None:
    run = finish(tuned, 40)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert len(answered(tuned)) == ITEMS
    row = stopped(tuned)
    assert row.hourly_microdollars
    assert (world.count_made("together", "deployment"), served(world)) == (1, 0)
    assert read(tuned).cost_microdollars >= run.cost_microdollars


def deployed(tuned: int) -> DeploymentRow:
    """The run's deployment, running, before anything was asked."""
    go(
        tuned,
        until=lambda run: bool(rows(tuned)) and rows(tuned)[0].state == DeploymentState.RUNNING,
        seconds=40,
    )
    return rows(tuned)[0]


@pytest.mark.laptop
@pytest.mark.parametrize("how", ["cancelled", "failed", "idle", "worker gone"])
def test_it_is_stopped_whatever_becomes_of_the_run(
    session: Session, actor: Actor, tuned: int, world: World, how: str
) -> None:
    world.fail(CHAT, 429, times=-1, headers={"retry-after": "60"})
    deployed(tuned)
    look(tuned)
    assert served(world) == 1
    if how == "cancelled":
        cancel_run(session, actor, tuned)
        session.commit()
        finish(tuned)
    elif how == "failed":
        change(tuned, state=RunState.FAILED)
    elif how == "idle":
        long_ago = now() - timedelta(minutes=31)
        with session_scope() as own:
            own.execute(update(DeploymentRow).values(last_used_at=long_ago))
    else:
        # Its lease is held by a process that has died; the watch has a lease of its own.
        change(tuned, owner="gone", lease_until=now() + timedelta(hours=1), cancel_asked=True)
    assert stopped(tuned).state == DeploymentState.STOPPED
    assert served(world) == 0


@pytest.mark.laptop
@pytest.mark.parametrize(("kind", "effect"), [("drop", True), (500, True), ("cut", True), (500, False)])
def test_a_lost_answer_to_the_create_makes_no_second_one(
    tuned: int, world: World, kind: str | int, effect: bool
) -> None:
    world.fail(CREATE, kind, effect=effect)
    run = finish(tuned, 40)
    assert world.count_made("together", "deployment") == effect
    assert run.state == (RunState.DONE if effect else RunState.PAUSED)
    assert "Not confirmed" in run.error or effect
    assert stopped(tuned).state == DeploymentState.STOPPED
    assert served(world) == 0


@pytest.mark.laptop
def test_stopping_goes_on_until_the_service_has_stopped_it(tuned: int, world: World) -> None:
    deployed(tuned)
    change(tuned, state=RunState.FAILED)
    world.fail("together PATCH */deployments/*", 500, times=3)
    look(tuned)
    (line,) = live(tuned)
    assert (line.state, "500" in line.trouble) == ("stopping", True)
    assert line.microdollars is not None
    assert stopped(tuned, 200).state == DeploymentState.STOPPED
    assert live(tuned) == []
    assert served(world) == 0


@pytest.mark.laptop
def test_it_is_listed_and_stopped_from_the_api(client: TestClient, tuned: int, world: World) -> None:
    world.fail(CHAT, 429, times=-1, headers={"retry-after": "60"})
    deployed(tuned)
    (told,) = client.get("/api/v1/deployments").json()
    assert (told["run_id"], told["state"]) == (tuned, "running")
    assert client.post(f"/api/v1/deployments/{told['id']}/stop").json()["state"] == "stopping"
    assert stopped(tuned).state == DeploymentState.STOPPED
    assert client.get("/api/v1/deployments").json() == []
    assert client.post("/api/v1/deployments/99/stop").status_code == 404


def live(tuned: int) -> list[deployments.DeploymentLine]:
    """As the first page shows them."""
    with session_scope(write=False) as session:
        return deployments.live_deployments(session, first_actor(session))


@pytest.mark.laptop
def test_one_that_stopped_itself_is_made_anew(tuned: int, world: World) -> None:
    deployed(tuned)
    for (_, _, kind), own in world.things.items():
        if kind == "deployment":
            for each in own.values():
                each["_stopped"] = world.now() - 3600
    assert finish(tuned, 40).state == RunState.DONE
    assert len(answered(tuned)) == ITEMS
    stopped(tuned)
    assert served(world) == 0


@pytest.mark.laptop
def test_a_running_one_that_no_row_knows_is_found_and_stopped(tuned: int, world: World) -> None:
    deployed(tuned)
    with session_scope() as session:
        session.execute(delete(DeploymentRow))
    change(tuned, state=RunState.FAILED)
    assert deployments.look_for_unknown(tuned) == 1
    assert deployments.look_for_unknown(tuned) == 0
    assert [line.run_id for line in live(tuned)] == [tuned]
    assert stopped(tuned).state == DeploymentState.STOPPED
    assert served(world) == 0


@pytest.mark.laptop
def test_one_that_was_said_to_be_stopped_is_stopped_again_and_its_hours_count_once(
    tuned: int, world: World
) -> None:
    deployed(tuned)
    change(tuned, state=RunState.FAILED)
    (row,) = rows(tuned)
    with session_scope() as session:
        earlier = now() - timedelta(hours=10)
        values = {"state": DeploymentState.STOPPED, "asked_at": earlier, "stopped_at": now()}
        session.execute(update(DeploymentRow).where(DeploymentRow.id == row.id).values(**values))
    assert deployments.look_for_unknown(tuned) == 1
    hourly = stopped(tuned).hourly_microdollars or 0
    assert served(world) == 0
    assert hourly > 0
    assert read(tuned).cost_microdollars < hourly  # not the ten hours once more


@pytest.mark.laptop
def test_nothing_is_deployed_while_the_disk_does_not_keep_that_it_was_asked(
    tuned: int, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("app.runs.reply_deploy.sync_to_disk", full)
    assert finish(tuned).state == RunState.FAILED
    assert served(world) == 0
    assert world.count(CREATE) == 0
