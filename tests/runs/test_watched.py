"""What many browsers ask about a live run is computed once, and never shown to whom it is not for, nor after it changed."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.lab.actor import Actor
from app.runs import queries
from app.tables import Run, RunMetric, RunState
from tests.pages import add_dataset, add_experiment
from tests.web.lab_rows import Lab, seed_lab

pytestmark = pytest.mark.laptop


@pytest.fixture
def run(session: Session, actor: Actor) -> Run:
    made = add_experiment(session, actor, add_dataset(session, actor), "live", [{"model": "starter/tiny"}])
    found = session.exec(select(Run).where(Run.experiment_id == made.id)).one()
    found.state = RunState.TRAINING
    session.add(RunMetric(run_id=found.id or 0, name="loss", step=1, value=2.0))
    session.commit()
    return found


def test_curves_are_read_once_until_a_reading_comes(
    client: TestClient, session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, read = [], queries.curves

    def counted(*asked: Any) -> Any:
        reads.append(1)
        return read(*asked)

    monkeypatch.setattr(queries, "curves", counted)
    paths = (f"/runs/{run.id}/series.json", f"/runs/{run.id}/curves")
    first = [client.get(path).content for path in paths for _ in range(3)]
    assert len(reads) == 2
    assert len(set(first)) == 2
    session.add(RunMetric(run_id=run.id or 0, name="loss", step=2, value=1.5))
    session.commit()
    assert client.get(paths[0]).json()["series"][0]["values"] == [2.0, 1.5]
    session.get_one(RunMetric, (run.id, "loss", 2)).value = 1.25
    run.state = RunState.PREDICTING
    session.add(run)
    session.commit()
    assert client.get(paths[0]).json()["series"][0]["values"] == [2.0, 1.25]
    assert b"1.25" in client.get(paths[1]).content


def test_what_is_kept_is_not_for_everybody(client: TestClient, session: Session) -> None:
    lab: Lab = seed_lab(session)
    path = f"/runs/{lab.mine['run_id']}/series.json"
    answers = {
        who: client.get(path, headers={"authorization": f"Bearer {lab.bearers[who]}"}).status_code
        for who in ("member", "viewer", "other", "removed")
    }
    assert answers == {"member": 200, "viewer": 200, "other": 404, "removed": 401}
