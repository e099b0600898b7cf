"""GET /models and /models/{id}."""

from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.catalog.facts import hyperparameters
from app.catalog.models import all_models, find_model
from app.catalog.page import allowed
from app.hyperparameters import Hyperparameter
from app.lab.actor import Actor
from tests.pages import ESCAPED, HOSTILE, add_dataset, counted_statements, stranger


def test_list_shows_every_model(client: TestClient) -> None:
    text = client.get("/models").text
    for model in all_models():
        assert f'href="/models/{model.id}"' in text
        assert model.label in text
    for said in ("Baselines", "Local", "every hyperparameter shown", "$0.00"):
        assert said in text


@pytest.mark.parametrize("model_id", [model.id for model in all_models()])
def test_model_page_shows_every_hyperparameter(client: TestClient, model_id: str) -> None:
    answer = client.get(f"/models/{model_id}")
    assert answer.status_code == 200
    for field in hyperparameters(find_model(model_id)):
        assert f">{field.name}</code>" in answer.text


def test_hub_name_is_looked_up(client: TestClient) -> None:
    answer = client.get("/models", params={"name": " owner/some model "}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/models/hf/owner/some%20model")
    page = client.get("/models/hf/owner/name")
    assert page.status_code == 200
    assert "lora_r" in page.text


@pytest.mark.parametrize("name", ["nothing", "baseline/none", "hf/", "hf/a/b/c", "hf//etc", "hf/../../etc"])
def test_unknown_model_is_not_found(client: TestClient, name: str) -> None:
    for path in ("/models", "/api/v1/models"):
        assert client.get(f"{path}/{quote(name, safe='')}").status_code == 404


def test_hostile_names_are_escaped(client: TestClient, session: Session, actor: Actor) -> None:
    add_dataset(session, actor, HOSTILE)
    session.commit()
    text = client.get("/models/baseline/majority").text
    assert "<script>alert" not in text
    assert ESCAPED in text
    found = client.get(f"/models/hf/{quote('<script>alert(1)<')}")
    assert "<script>alert" not in found.text


def test_launch_form_offers_own_ready_datasets(client: TestClient, session: Session, actor: Actor) -> None:
    mine = add_dataset(session, actor, "mine")
    add_dataset(session, actor, "refused one", state="refused")
    add_dataset(session, stranger(session), "not yours")
    session.commit()
    text = client.get("/models/baseline/majority").text
    assert f'<option value="{mine.id}">mine</option>' in text
    assert 'name="models" value="baseline/majority"' in text
    assert "refused one" not in text
    assert "not yours" not in text


def test_query_count_does_not_grow(client: TestClient, session: Session, actor: Actor) -> None:
    def count() -> int:
        session.commit()
        with counted_statements() as statements:
            client.get("/models/baseline/majority")
        return len(statements)

    add_dataset(session, actor, "first")
    before = count()
    for number in range(15):
        add_dataset(session, actor, f"dataset {number}")
    assert count() == before


@pytest.mark.parametrize(
    ("field", "said"),
    [
        (Hyperparameter("a", "A", "int", 1, minimum=1, maximum=9), "1 to 9"),
        (Hyperparameter("a", "A", "float", 1, minimum=0.5), "0.5 or more"),
        (Hyperparameter("a", "A", "float", 1, maximum=2), "2 or less"),
        (Hyperparameter("a", "A", "float", 1), "any number"),
        (Hyperparameter("a", "A", "bool", True), "yes · no"),
        (Hyperparameter("a", "A", "choice", "x", choices=("x", 0.5)), "x · 0.5"),
        (Hyperparameter("a", "A", "text", "x"), "text"),
    ],
)
def test_allowed_values_in_words(field: Hyperparameter, said: str) -> None:
    assert allowed(field) == said
