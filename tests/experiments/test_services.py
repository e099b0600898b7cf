"""Models of services on the launch page and in launches: tiles, typed names, looks at their limits."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, col, select

from app.lab.actor import Actor
from app.queue import LOOK_AT_MODEL
from app.settings.environment_keys import note_environment
from app.settings.key_check import look_at_model
from app.tables import Run, StoredOffer
from tests.emulator import emulator
from tests.emulator._world import World
from tests.experiments.checked import checked_dataset, first_split
from tests.fresh import forget_settings
from tests.settings.test_keys import check

MODEL = "together/Qwen/Qwen3.5-9B"
pytestmark = pytest.mark.laptop


@pytest.fixture
def world(home: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with emulator() as running:
        monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
        monkeypatch.setenv("TUNEBOOK_TOGETHER_BASE_URL", running.url("together", "/v1"))
        monkeypatch.setenv("TUNEBOOK_TOGETHER_API_KEY", "sk-test")
        forget_settings()
        yield running


def test_ticked_model_is_asked_about_and_launched(
    client: TestClient, session: Session, actor: Actor, world: World, sent: list[tuple[str, int]]
) -> None:
    dataset = checked_dataset(session, actor)
    split = first_split(session, actor, dataset)
    session.commit()
    note_environment()
    check()
    page = client.get(f"/experiments/new?dataset={dataset.id}").text
    for text in (MODEL, "weights returned", "not disclosed: optimiser", 'name="typed:together"', "a run"):
        assert text in page
    form = {"dataset": dataset.id, "split": split.id, "seeds": "1", "launch_key": "k" * 16}
    form |= {"typed:together": MODEL.partition("/")[2], "models": ["prompt/together/openai/gpt-oss-20b"]}
    plan = client.post("/experiments/plan", data=form).text
    assert "asking Together about its limits" in plan
    assert 'hx-trigger="load delay:1s"' in plan
    (asked,) = {row_id for task, row_id in sent if task == LOOK_AT_MODEL}
    body = {"dataset_id": dataset.id, "models": [{"model": MODEL}], "dry_run": True}
    assert client.post("/api/v1/experiments", json=body).json()["asking"] == ["Together"]
    look_at_model(asked)
    plan = client.post("/experiments/plan", data=form).text
    assert "asking Together" not in plan
    assert client.post("/api/v1/experiments", json=body).json()["asking"] == []
    assert session.get_one(StoredOffer, asked).answered_at
    session.rollback()
    started = client.post("/experiments", data=form, follow_redirects=False)
    assert started.status_code == 303, started.text
    runs = session.exec(select(Run).order_by(col(Run.model))).all()
    assert [run.model for run in runs] == ["prompt/together/openai/gpt-oss-20b", MODEL]
    assert all(run.due_at is None for run in runs)
    service = runs[1].snapshot["service"]
    assert (service["provider"], service["label"]) == ("together", "Together")
    assert service["price"]["source"]
    clone = client.get(f"/experiments/new?clone={runs[1].id}")
    assert clone.status_code == 200
    assert client.get("/models").status_code == 200
    assert client.get(f"/models/{MODEL}").status_code == 200
    assert client.get(f"/api/v1/models/{MODEL}").json()["prices"]["source"]


def test_refused_model_says_so_in_the_plan(
    client: TestClient, session: Session, actor: Actor, world: World, sent: list[tuple[str, int]]
) -> None:
    dataset = checked_dataset(session, actor)
    split = first_split(session, actor, dataset)
    session.commit()
    note_environment()
    check()
    form = {"dataset": dataset.id, "split": split.id, "seeds": "1", "typed:together": "nobody/knows"}
    client.post("/experiments/plan", data=form)
    look_at_model(next(row_id for task, row_id in sent if task == LOOK_AT_MODEL))
    assert "cannot run here: Together says" in client.post("/experiments/plan", data=form).text
