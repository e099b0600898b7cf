"""Choose on validation, then unlock: while the test set is locked, no address gives a test score or prediction."""

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func
from sqlmodel import Session, select

from app.datasets.stored import part_items
from app.experiments.imports import import_predictions
from app.exports.kinds import KINDS
from app.lab.actor import Actor
from app.tables import Dataset, Endpoint, Evaluation, Experiment, Export, Judging, PairTest, Run, Scoring
from app.web.session import METRICS
from tests.experiments.checked import checked_dataset, finish, first_split, launch
from tests.web.test_route_walk import ALL

# An answer that nothing but a test prediction holds, and an accuracy (5 of 12) that nothing else has.
CANARY = "canaryanswer"
ACCURACY = ("41.7", "0.4166", "0.417")
# What makes something of a run's answers to the test items.
STARTS = re.compile(
    r"\{run_id\}/(exports|judge|judgings|rules)|/comparisons/|^/compare/|\{judging_id\}/(label|resume)"
)
GETS = sorted({path for method, path in ALL if method == "GET"})
Locked = tuple[Dataset, Experiment, list[Run]]


@pytest.fixture
def models() -> tuple[str, ...]:
    """The baselines of the locked experiment; another one takes a second longer."""
    return ("baseline/majority",)


@pytest.fixture
def locked(session: Session, actor: Actor, models: tuple[str, ...]) -> Locked:
    """Baselines, and imported answers of which 5 of 12 are right, in an experiment that is locked."""
    dataset = checked_dataset(session, actor)
    experiment, runs = launch(session, actor, dataset, *models, choose_on="validation")
    finish(runs)
    split = first_split(session, actor, dataset)
    items = list(part_items(session, dataset, split, "test"))
    rows = [
        {"item": item.item_id, "answer": item.answer if place < 5 else f"{CANARY}{place}"}
        for place, item in enumerate(items)
    ]
    file = io.BytesIO("\n".join(map(json.dumps, rows)).encode())
    run, _ = import_predictions(session, actor, experiment.id or 0, "elsewhere", file)
    session.commit()
    return dataset, experiment, [*runs, run]


def addresses(dataset: Dataset, experiment: Experiment, runs: list[Run]) -> Iterator[str]:
    """Every GET address, for every run of the experiment where it names one."""
    ids = ",".join(str(run.id) for run in runs)
    queries = ("", f"?runs={ids}", f"?runs={ids}&show=disagree", f"?runs={ids}&experiment={experiment.id}")
    for path in GETS:
        names = {"experiment_id": experiment.id, "dataset_id": dataset.id}
        for run in runs if "{run_id}" in path else runs[:1]:
            values = names | {"run_id": run.id}
            address = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(values.get(found[1], "csv")), path)  # noqa: B023
            for query in queries:
                yield address + query


@pytest.mark.laptop
def test_no_address_gives_test_scores_or_predictions(locked: Locked, client: TestClient) -> None:
    given, asked = [], 0
    for address in addresses(*locked):
        answer = client.get(address, follow_redirects=False)
        asked += 1
        assert answer.status_code < 500, (address, answer.text[:300])
        text = answer.content.decode("utf-8", "replace")
        # A server's own seconds and bytes may hold any digits.
        wanted = (CANARY,) if address.startswith(METRICS) else (CANARY, *ACCURACY)
        given += [address for told in wanted if told in text]
    assert asked > 100
    assert not given, given


@pytest.mark.laptop
def test_no_export_and_no_judging_starts(
    locked: Locked, client: TestClient, session: Session, actor: Actor
) -> None:
    _, _, runs = locked
    first, second, *_ = numbers = [str(run.id) for run in runs]
    ids = ",".join(numbers)
    judging = judged(session, actor, runs[0])
    before = counts(session)
    posts = sorted(
        path for method, path in ALL if method == "POST" and STARTS.search(path) and not path.endswith("/end")
    )
    assert {"/api/v1/runs/{run_id}/exports", "/runs/{run_id}/judge", "/compare/bundle"} <= set(posts)
    for path in posts:
        address = path.replace("{run_id}", first).replace("{judging_id}", str(judging))
        address += f"?runs={ids}&a={first}&b={second}"
        for kind in (*KINDS, ""):
            body: dict[str, Any] = {
                "kind": kind, "repo": "owner/name", "runs": ids, "endpoint_id": 1, "endpoint": "1", "scale": "right",
                "ignore_case": True, "a": first, "b": second, "number": 1, "label": "1",
            }  # fmt: skip
            if path.endswith("/rules"):
                body = {"ignore_case": True}
            how: dict[str, Any] = {"json": body} if path.startswith("/api/") else {"data": body}
            answer = client.post(address, follow_redirects=False, **how)
            assert answer.status_code == 403, (path, kind, answer.status_code, answer.text[:300])
            assert "locked: choose on validation first" in answer.text
    assert counts(session) == before


def counts(session: Session) -> list[int]:
    """How many exports, judgings, paired tests and scorings there are."""
    session.rollback()
    tables = (Export, Judging, PairTest, Scoring)
    found = [session.exec(select(func.count()).select_from(table)).one() for table in tables]
    session.rollback()
    return found


def judged(session: Session, actor: Actor, run: Run) -> int:
    """The id of a judging of the run that was there before the lock."""
    owner: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    endpoint = Endpoint(**owner, name="judge", base_url="https://judge.example/v1", model="judge-1")
    session.add(endpoint)
    session.flush()
    evaluation = session.exec(select(Evaluation).where(Evaluation.run_id == run.id)).first()
    assert evaluation is not None
    made = Judging(
        **owner, run_id=run.id or 0, evaluation_id=evaluation.id or 0, endpoint_id=endpoint.id or 0, items=1,
        base_url=endpoint.base_url, model="judge-1", scale="right", state="failed", prompt="?", prompt_sha256="a" * 64, of_items=1,
    )  # fmt: skip
    session.add(made)
    session.commit()
    return made.id or 0


def test_refusals_say_why(locked: Locked, client: TestClient) -> None:
    _, _, runs = locked
    for run in runs:
        for address in (f"/api/v1/runs/{run.id}/predictions.csv", f"/runs/{run.id}/predictions.csv"):
            answer = client.get(address)
            assert answer.status_code == 403
            assert "locked: choose on validation first" in answer.text
        assert client.get(f"/api/v1/runs/{run.id}/bundle.zip").status_code == 403
        assert client.post(f"/api/v1/runs/{run.id}/rules", json={"ignore_case": True}).status_code == 403
    ids = ",".join(str(run.id) for run in runs)
    answer = client.get(f"/api/v1/comparisons?runs={ids}")
    assert answer.status_code == 403
    assert "locked" in answer.text


@pytest.mark.laptop
@pytest.mark.parametrize("models", [("baseline/majority", "baseline/nearest")])
def test_models_are_ranked_on_validation(locked: Locked, client: TestClient) -> None:
    _, experiment, _ = locked
    found = client.get(f"/api/v1/experiments/{experiment.id}").json()
    assert found["locked"] is True
    baselines = [run for run in found["runs"] if run["model"].startswith("baseline/")]
    assert [run["part"] for run in baselines] == ["validation", "validation"]
    assert [run["scores"]["accuracy"]["n"] for run in baselines] == [6, 6]
    values = [run["scores"]["accuracy"]["value"] for run in baselines]
    assert values == sorted(values, reverse=True)
    page = client.get(f"/experiments/{experiment.id}").text
    assert "on validation" in page
    assert "Unlock the test set" in page


def test_unlocking_is_recorded_for_good(locked: Locked, client: TestClient) -> None:
    _, experiment, runs = locked
    opened = client.post(f"/api/v1/experiments/{experiment.id}/unlock")
    assert opened.status_code == 200
    found = client.get(f"/api/v1/experiments/{experiment.id}").json()
    assert found["locked"] is False
    assert (found["unlocked"]["by"], found["unlocked"]["runs"]) == ("Lab", len(runs))
    assert {run["part"] for run in found["runs"]} == {"test"}
    imported = next(run for run in found["runs"] if run["model"] == "imported/elsewhere")
    assert imported["scores"]["accuracy"]["value"] == pytest.approx(5 / 12)
    assert CANARY in client.get(f"/runs/{runs[-1].id}/predictions.csv").text
    page = client.get(f"/experiments/{experiment.id}").text
    assert re.search(r"unlocked by Lab on .* UTC, when the experiment had 2 runs", page)
    assert "On validation" in page
    again = client.post(f"/api/v1/experiments/{experiment.id}/unlock")
    assert again.status_code == 409


def test_new_rules_score_both_parts(locked: Locked, client: TestClient) -> None:
    _, experiment, runs = locked
    client.post(f"/experiments/{experiment.id}/unlock")
    # Read as their first letter, no answer is a label.
    answer = client.post(f"/api/v1/runs/{runs[0].id}/rules", json={"pattern": "^[a-z]", "ignore_case": True})
    assert answer.status_code == 200
    assert answer.json()["scores"]["accuracy"]["n"] == 12


def test_a_split_without_validation_cannot_be_locked(
    session: Session, actor: Actor, client: TestClient
) -> None:
    dataset = checked_dataset(session, actor)
    body = {
        "dataset_id": dataset.id,
        "models": [{"model": "baseline/majority"}],
        "design": {"kind": "folds", "folds": 3},
        "choose_on": "validation",
    }
    refused = client.post("/api/v1/experiments", json=body)
    assert refused.status_code == 422
    assert "folds have no validation part" in refused.text
    unknown = client.post("/api/v1/experiments", json={**body, "choose_on": "test"})
    assert unknown.status_code == 422
