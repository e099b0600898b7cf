"""The first page flags runs whose tuned model its service will shut down soon."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.home import ending
from app.home.ending import SHOWN, ending_models
from app.lab.actor import Actor
from app.tables import Credential, RemoteJobRow, Run, RunState, StoredOffer
from tests.pages import HOSTILE, add_dataset, add_experiment, counted_statements, stranger

BASE = "gpt-4.1-mini-2025-04-14"
SCORED = {"score": (0.5, 0.4, 0.6)}
# OpenAI's models end on 2027-01-14.
TODAY = datetime(2026, 12, 25, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "now", lambda: TODAY)


def add_trained(session: Session, actor: Actor, count: int = 1, provider: str = "openai") -> list[Run]:
    """Done runs with a tuned model each."""
    rows = [{"model": f"{provider}/{BASE}", "seed": n, **SCORED} for n in range(1, count + 1)]
    made = add_experiment(session, actor, add_dataset(session, actor), "hosted", rows)
    runs = list(session.exec(select(Run).where(Run.experiment_id == made.id)))
    for run in runs:
        job = {"provider": provider, "base_url": "x", "model": BASE, "tuned_model": f"ft:{run.id}"}
        session.add(RemoteJobRow(run_id=run.id or 0, **job))
    session.commit()
    return runs


def test_a_model_that_ends_soon_has_one_button(client: TestClient, session: Session, actor: Actor) -> None:
    (run,) = add_trained(session, actor)
    text = client.get("/").text
    assert "Models that end soon" in text
    assert "20 days left" in text
    model = quote(f"prompt/openai/ft:{run.id}")
    assert f'href="/experiments/new?dataset={run.dataset_id}&amp;models={model}"' in text


@pytest.mark.parametrize(
    ("day", "number"),
    [("2026-10-01", 0), ("2026-11-15", 1), ("2027-01-14", 1), ("2027-01-15", 0)],
)
def test_only_what_ends_within_two_months_is_flagged(
    session: Session, actor: Actor, monkeypatch: pytest.MonkeyPatch, day: str, number: int
) -> None:
    add_trained(session, actor)
    monkeypatch.setattr(ending, "now", lambda: datetime.fromisoformat(f"{day}T12:00:00+00:00"))
    assert ending_models(session, actor).total == number


def test_a_model_that_was_asked_again_is_flagged_no_more(session: Session, actor: Actor) -> None:
    first, second, third = add_trained(session, actor, 3)
    runs = [
        {"model": f"prompt/openai/ft:{first.id}", **SCORED},
        {"model": f"prompt/openai/ft:{second.id}", "state": RunState.FAILED},
    ]
    add_experiment(session, actor, add_dataset(session, actor), "rescued", runs)
    session.commit()
    assert {row.run_id for row in ending_models(session, actor).rows} == {second.id, third.id}


def test_the_services_own_word_goes_before_the_files(session: Session, actor: Actor) -> None:
    (run,) = add_trained(session, actor)
    key = Credential(project_id=actor.project_id, maker_id=actor.member_id, provider="openai", host="x")
    session.add(key)
    session.flush()
    offer = {"provider": "openai", "model": f"ft:{run.id}", "looked_at": TODAY}
    facts = {"model": f"ft:{run.id}", "ends_on": "2026-12-27"}
    session.add(StoredOffer(credential_id=key.id or 0, facts=facts, **offer))
    session.commit()
    assert [row.days for row in ending_models(session, actor).rows] == [2]


def test_runs_without_a_known_end_and_of_others_are_not_flagged(
    client: TestClient, session: Session, actor: Actor
) -> None:
    add_trained(session, actor, provider="no-such-service")
    add_trained(session, stranger(session))
    assert ending_models(session, actor).total == 0
    session.commit()
    assert "Models that end soon" not in client.get("/").text


def test_many_are_cut_and_cost_no_more_statements(client: TestClient, session: Session, actor: Actor) -> None:
    add_trained(session, actor)
    with counted_statements() as few:
        ending_models(session, actor)
    add_trained(session, actor, 8)
    with counted_statements() as many:
        found = ending_models(session, actor)
    assert (len(found.rows), found.total) == (SHOWN, 9)
    assert len(few) == len(many) == 3
    session.commit()
    assert "And 4 more" in client.get("/").text


def test_hostile_names_are_escaped(client: TestClient, session: Session, actor: Actor) -> None:
    (run,) = add_trained(session, actor)
    row = session.exec(select(RemoteJobRow).where(RemoteJobRow.run_id == run.id)).one()
    row.tuned_model = HOSTILE
    session.commit()
    assert "<script>alert" not in client.get("/").text
