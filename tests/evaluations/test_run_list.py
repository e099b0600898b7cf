"""GET /runs and /api/v1/runs: what is listed in which order, page after page, and for whom."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.evaluations.run_list import PAGE, RunFilter, list_runs, models_of
from app.lab.actor import Actor
from app.tables import Experiment, Score, Scoring
from tests.pages import ESCAPED, HOSTILE, add_dataset, add_experiment, counted_statements, stranger


@pytest.fixture
def experiment(session: Session, actor: Actor) -> Experiment:
    """Runs of two models, two of them scored, one under way, and one failed."""
    runs = [
        {"model": "baseline/majority", "seed": 1, "score": (0.5, 0.4, 0.6)},
        {"model": "hf/lab/small", "seed": 1, "score": (0.75, 0.7, 0.8)},
        {"model": "hf/lab/small", "seed": 2, "state": "training", "progress": 0.5},
        {"model": "hf/lab/small", "seed": 3, "state": "failed"},
    ]
    made = add_experiment(session, actor, add_dataset(session, actor), "first", runs)
    session.commit()
    return made


def _listed(client: TestClient, **asked: str) -> list[tuple[str, int | None, float | None]]:
    answer = client.get("/api/v1/runs", params=asked)
    assert answer.status_code == 200, (answer.status_code, answer.headers, answer.text)
    runs = answer.json()["runs"]
    return [(run["model"], run["seed"], run["score"] and run["score"]["value"]) for run in runs]


def test_runs_are_listed_newest_first_and_filtered(client: TestClient, experiment: Experiment) -> None:
    """Newest first with the task's score; by model, by state, by what is under way."""
    small = "hf/lab/small"
    assert _listed(client) == [
        (small, 3, None),
        (small, 2, None),
        (small, 1, 0.75),
        ("baseline/majority", 1, 0.5),
    ]
    assert _listed(client, model="baseline/majority") == [("baseline/majority", 1, 0.5)]
    assert _listed(client, state="failed") == [(small, 3, None)]
    assert _listed(client, state="active", model=small) == [(small, 2, None)]
    assert _listed(client, order="accuracy") == [(small, 1, 0.75), ("baseline/majority", 1, 0.5)]
    assert _listed(client, order="mae") == []


def test_a_newer_reading_takes_the_place_of_the_old(
    client: TestClient, session: Session, actor: Actor, experiment: Experiment
) -> None:
    """A run scored twice stands once, where its newest scoring puts it."""
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    made = Scoring(**owner, evaluation_id=1)
    session.add(made)
    session.flush()
    session.add(Score(scoring_id=made.id or 0, name="accuracy", value=0.9, low=None, high=None, n=2))
    session.commit()
    assert [value for *_, value in _listed(client, order="accuracy")] == [0.9, 0.75]
    assert [value for *_, value in _listed(client)] == [None, None, 0.75, 0.9]


def test_pages_follow_each_other_without_gap_or_overlap(
    client: TestClient, session: Session, actor: Actor
) -> None:
    """More runs than a page holds, most of them with equal scores."""
    runs = [{"model": "baseline/majority", "seed": n, "score": (n % 3 / 4, 0, 1)} for n in range(PAGE + 6)]
    add_experiment(session, actor, add_dataset(session, actor), "many", runs)
    session.commit()
    for order in ("newest", "accuracy"):
        seen: list[int] = []
        values: list[float] = []
        after: str | None = ""
        while after is not None:
            answer = client.get("/api/v1/runs", params={"order": order, "after": after}).json()
            assert len(answer["runs"]) <= PAGE
            seen += [run["id"] for run in answer["runs"]]
            values += [run["score"]["value"] for run in answer["runs"]]
            after = answer["next"]
        assert len(seen) == len(set(seen)) == len(runs)
        assert (seen if order == "newest" else values) == sorted(
            seen if order == "newest" else values, reverse=True
        )


def test_the_page_asks_the_database_as_often_for_many_runs_as_for_few(
    session: Session, actor: Actor, experiment: Experiment
) -> None:
    """The number of statements does not grow with the runs."""
    counts = []
    for _ in range(2):
        for order in ("newest", "accuracy"):
            with counted_statements() as statements:
                list_runs(session, actor, RunFilter(order=order))
            counts.append(len(statements))
        runs = [{"model": f"hf/lab/m{n}", "score": (0.5, 0.4, 0.6)} for n in range(20)]
        add_experiment(session, actor, add_dataset(session, actor, "more"), "more", runs)
    assert counts[:2] == counts[2:]


def test_locked_scores_are_in_no_order(client: TestClient, session: Session, experiment: Experiment) -> None:
    """An experiment that chooses on validation tells nothing of its test scores, not even their order."""
    experiment.choose_on = "validation"
    session.add(experiment)
    session.commit()
    assert _listed(client, order="accuracy") == []
    assert {value for *_, value in _listed(client)} == {None}
    page = client.get("/runs").text
    assert "locked" in page
    assert "75" not in page


def test_a_stranger_sees_no_run(session: Session, experiment: Experiment) -> None:
    """Runs and names of models of another project are not listed."""
    other = stranger(session)
    for order in ("newest", "accuracy"):
        assert list_runs(session, other, RunFilter(order=order)).lines == ()
    assert models_of(session, other) == []


def test_the_page_shows_names_safely_and_keeps_the_filter(
    client: TestClient, session: Session, actor: Actor, experiment: Experiment
) -> None:
    """Hostile names are escaped; the next page asks for the same."""
    runs = [{"model": "hf/lab/a b&c", "variant": HOSTILE, "score": (0.5, 0.4, 0.6)} for _ in range(PAGE + 1)]
    add_experiment(session, actor, add_dataset(session, actor), HOSTILE, runs)
    session.commit()
    page = client.get("/runs", params={"model": "hf/lab/a b&c", "order": "accuracy"}).text
    assert HOSTILE not in page
    assert ESCAPED in page
    assert "/runs?model=hf%2Flab%2Fa+b%26c&amp;order=accuracy&amp;after=0.5~" in page
    assert 'href="/runs"' in client.get("/experiments").text


def test_an_empty_list_and_a_filter_without_runs_say_what_to_do(client: TestClient) -> None:
    """Nothing launched yet; nothing matches."""
    assert "No run yet" in client.get("/runs").text
    assert "No run matches" in client.get("/runs?state=failed").text


@pytest.mark.laptop
def test_what_is_no_filter_is_refused(client: TestClient) -> None:
    """A wrong address is answered with words, on the page and in JSON."""
    for wrong in (
        "state=odd",
        "order=odd",
        "after=x",
        "after=1~2",
        "after=nan",
        "order=accuracy&after=1",
        "after=1e99",
    ):
        assert client.get(f"/runs?{wrong}").status_code == 422, wrong
        assert client.get(f"/api/v1/runs?{wrong}").status_code == 422, wrong
