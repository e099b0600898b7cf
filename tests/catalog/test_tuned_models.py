"""GET /models/tuned and GET /api/v1/models/tuned: what the accounts have tuned, and a way to ask it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.config import settings
from app.lab.actor import Actor
from app.providers._shapes import Offer, Price, TunedModel
from app.providers.openai import PROVIDER
from app.settings.key_check import check_credential, store_offers
from app.settings.keys import look_soon
from app.settings.offers import facts_of, tuned_offers
from app.tables import Credential, CredentialState, RemoteJobRow, Run, StoredOffer
from app.vault import seal
from tests.emulator import emulator
from tests.emulator._world import World
from tests.pages import HOSTILE, add_dataset, add_experiment, counted_statements, stranger

TUNED = "ft:gpt-4.1-mini-2025-04-14:lab:mine:abc"


@pytest.fixture
def world(home: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with emulator() as running:
        monkeypatch.setenv("TUNEBOOK_OPENAI_BASE_URL", running.url("openai", "/v1"))
        monkeypatch.setenv("TUNEBOOK_ALLOW_PRIVATE_BASE_URLS", "1")
        settings.cache_clear()
        yield running


def add_key(session: Session, actor: Actor, host: str = "https://api.openai.com:443") -> Credential:
    made = Credential(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        provider="openai",
        host=host,
        sealed_key=seal("sk-mine"),
        state=CredentialState.READY,
        checked_at=now(),
    )
    session.add(made)
    session.flush()
    return made


def add_tuned(session: Session, actor: Actor, *models: TunedModel) -> None:
    key = add_key(session, actor)
    for offer in tuned_offers(PROVIDER, models, []):
        session.add(
            StoredOffer(
                credential_id=key.id or 0,
                provider="openai",
                model=offer.model,
                facts=facts_of(offer),
                looked_at=now(),
            )
        )
    session.commit()


def in_days(days: int) -> str:
    return (now().date() + timedelta(days=days)).isoformat()


def test_a_check_of_the_key_finds_models_that_were_made_elsewhere(
    client: TestClient, session: Session, actor: Actor, world: World
) -> None:
    rows = [
        f'{{"messages": [{{"role": "user", "content": "n{n}"}}, {{"role": "assistant", "content": "a"}}]}}'
        for n in range(12)
    ]
    with httpx.Client(base_url=world.url("openai", "/v1/"), headers={"authorization": "Bearer k"}) as other:
        sent = {"file": ("train.jsonl", "\n".join(rows).encode())}
        file = other.post("files", files=sent, data={"purpose": "fine-tune"}).json()
        job = {"model": "gpt-4.1-mini-2025-04-14", "training_file": file["id"], "suffix": "elsewhere"}
        other.post("fine_tuning/jobs", json=job)
    world.advance(10)
    key = add_key(session, actor, world.base)
    add_dataset(session, actor)
    session.commit()
    found = check_credential(key)
    assert found.state == CredentialState.READY
    store_offers(session, key, found)
    session.commit()
    listed = client.get("/api/v1/models/tuned").json()["models"]
    assert len(listed) == 3  # the model and the checkpoints of two earlier epochs
    assert {row["base"] for row in listed} == {"gpt-4.1-mini-2025-04-14"}
    assert {row["ends_on"] for row in listed} == {"2027-01-14"}
    assert {row["price"] for row in listed} == {"$0.8 in, $3.2 out / M"}
    text = client.get("/models/tuned").text
    assert all(row["model"] in text for row in listed)
    assert "elsewhere" in text


def test_a_ticked_model_is_on_the_launch_page(client: TestClient, session: Session, actor: Actor) -> None:
    add_tuned(session, actor, TunedModel(TUNED, "gpt-4.1-mini-2025-04-14", ends_on=in_days(20)))
    dataset = add_dataset(session, actor, "the test set")
    session.commit()
    text = client.get("/models/tuned").text
    assert "the test set" in text
    assert f'value="prompt/openai/{TUNED}" aria-label="{TUNED}" checked' in text
    page = client.get("/experiments/new", params={"dataset": dataset.id, "models": f"prompt/openai/{TUNED}"})
    assert page.status_code == 200


def test_those_that_end_first_stand_first(client: TestClient, session: Session, actor: Actor) -> None:
    base = "gpt-4o-2024-08-06"
    add_tuned(
        session,
        actor,
        TunedModel("ft:late", base, 100.0, in_days(300)),
        TunedModel("ft:ended", base, 100.0, in_days(-1)),
        TunedModel("ft:soon", base, 100.0, in_days(3)),
        TunedModel("ft:strange", base, 100.0, "some day"),
    )
    rows = client.get("/api/v1/models/tuned").json()["models"]
    assert [row["model"] for row in rows] == ["ft:soon", "ft:late", "ft:strange", "ft:ended"]
    text = client.get("/models/tuned").text
    assert "3 days left" in text
    assert 'value="prompt/openai/ft:ended"' not in text


def test_its_run_and_what_is_stored_are_named(client: TestClient, session: Session, actor: Actor) -> None:
    add_tuned(session, actor, TunedModel(TUNED, "gpt-4.1-mini-2025-04-14", ends_on=in_days(9)))
    runs = [
        {"model": "openai/gpt-4.1-mini-2025-04-14", "seed": 1, "score": (0.5, 0.4, 0.6)},
        {"model": f"prompt/openai/{TUNED}", "score": (0.5, 0.4, 0.6)},
        {"model": f"prompt/openai/{TUNED}"},
    ]
    experiment = add_experiment(session, actor, add_dataset(session, actor), "one", runs)
    first = min(session.scalars(_runs_of(experiment.id or 0)))
    session.add(
        RemoteJobRow(
            run_id=first, provider="openai", base_url="x", model="gpt-4.1-mini-2025-04-14", tuned_model=TUNED
        )
    )
    session.commit()
    (row,) = client.get("/api/v1/models/tuned").json()["models"]
    assert (row["run_id"], row["stored"]) == (first, 1)
    assert f'href="/runs/{first}"' in client.get("/models/tuned").text


def _runs_of(experiment_id: int) -> Any:
    return select(Run.id).where(Run.experiment_id == experiment_id)


def test_the_services_are_asked_again(client: TestClient, session: Session, actor: Actor) -> None:
    key = add_key(session, actor)
    session.commit()
    assert "being asked now" not in client.get("/models/tuned").text
    answer = client.post("/models/tuned", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models/tuned")
    session.refresh(key)
    assert key.state == CredentialState.CHECKING
    session.commit()
    assert "being asked now" in client.get("/models/tuned").text


def test_a_working_key_is_looked_at_soon_after_a_training(session: Session, actor: Actor) -> None:
    key = add_key(session, actor)
    look_soon(session, key.id)
    assert key.due_at is not None
    assert key.due_at <= now()
    key.due_at, key.state = None, CredentialState.FAILED
    look_soon(session, key.id)
    assert key.due_at is None
    look_soon(session, None)


def test_nobody_sees_the_models_of_others(client: TestClient, session: Session) -> None:
    add_tuned(session, stranger(session), TunedModel(TUNED, "x", ends_on=in_days(9)))
    assert client.get("/api/v1/models/tuned").json() == {"models": []}
    assert "No fine-tuned model is known" in client.get("/models/tuned").text


def test_hostile_names_are_escaped(client: TestClient, session: Session, actor: Actor) -> None:
    add_tuned(session, actor, TunedModel(f"ft:{HOSTILE}", HOSTILE, ends_on=in_days(9)))
    text = client.get("/models/tuned").text
    assert "<script>alert" not in text


def test_many_models_cost_no_more_statements(client: TestClient, session: Session, actor: Actor) -> None:
    add_tuned(session, actor, *(TunedModel(f"ft:{n}", "x", ends_on=in_days(9)) for n in range(3)))
    with counted_statements() as few:
        client.get("/models/tuned")
    for n in range(40):
        session.add(
            StoredOffer(
                credential_id=1,
                provider="openai",
                model=f"ft:more{n}",
                facts=facts_of(Offer(f"ft:more{n}", base="x")),
                looked_at=now(),
            )
        )
    session.commit()
    with counted_statements() as many:
        assert "ft:more39" in client.get("/models/tuned").text
    assert len(many) == len(few)


def test_a_tuned_model_has_the_price_of_being_asked() -> None:
    price = Price("page 2026-01-01", 5, 1, 2, tuned_input=3, tuned_output=4)
    listed = [Offer("base", price=price, ends_on="2027-01-01", context_tokens=99)]
    tuned = [TunedModel("ft:a", "base", ends_on="2027-02-02"), TunedModel("ft:b", "unknown")]
    offer, other = tuned_offers(PROVIDER, tuned, listed)
    assert (offer.price.input, offer.price.output, offer.price.train) == (3, 4, None)
    assert (offer.ends_on, offer.context_tokens, offer.can_train, offer.can_chat) == (
        "2027-02-02",
        99,
        False,
        True,
    )
    assert (other.price, other.ends_on, other.base) == (None, "", "unknown")
