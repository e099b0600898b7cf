"""GET / and GET /home/under-way."""

from datetime import timedelta

from fastapi.testclient import TestClient
from sqlmodel import Session

from app.clock import now
from app.datasets.queries import list_samples
from app.home.newest import newest_experiments
from app.home.queries import RUNNING, WAITING, home_view
from app.lab.actor import Actor
from app.tables import DatasetState, RunState
from tests.pages import (
    ESCAPED,
    HOSTILE,
    add_dataset,
    add_experiment,
    counted_statements,
    region,
    stranger,
)

BASELINE = {"model": "baseline/majority", "score": (0.4, 0.3, 0.5)}
BETTER_BASELINE = {"model": "baseline/tfidf-linear", "score": (0.6, 0.5, 0.7)}
STARTER = {"model": "starter/tiny", "seed": 2, "score": (0.8, 0.7, 0.9)}


def test_newcomer_sees_three_steps_and_samples(client: TestClient) -> None:
    text = client.get("/").text
    for said in ("Upload your examples", "Tick models", "Launch, and compare", "Drop a file here"):
        assert said in text
    for sample in list_samples():
        assert f'<input type="hidden" name="sample" value="{sample.name}">' in text
    assert 'id="under-way"' not in text
    assert "Needs attention" not in text


def test_sample_is_one_click_away(client: TestClient) -> None:
    sample = list_samples()[0]
    answer = client.post("/datasets/samples", data={"sample": sample.name}, follow_redirects=False)
    assert answer.status_code == 303
    assert sample.title in client.get(answer.headers["location"]).text
    assert "Latest datasets" in client.get("/").text


def test_steps_give_way_to_experiments(client: TestClient, session: Session, actor: Actor) -> None:
    add_experiment(session, actor, add_dataset(session, actor), "one", [STARTER])
    session.commit()
    text = client.get("/").text
    assert "Tick models" not in text
    assert "Latest experiments" in text


def test_experiment_shows_best_run_beside_best_baseline(session: Session, actor: Actor) -> None:
    dataset = add_dataset(session, actor)
    add_experiment(
        session, actor, dataset, "one", [BASELINE, STARTER, BETTER_BASELINE, {"model": "starter/small"}]
    )
    (row,) = newest_experiments(session, actor)
    assert row.best
    assert row.baseline
    assert row.axis
    assert row.whisker
    assert (row.best.label, row.best.seed, row.best.value, row.best.low, row.best.high) == (
        "Starter, 0.85 M", 2, "80.0", "70.0", "90.0",
    )  # fmt: skip
    assert (row.baseline.label, row.baseline.value) == ("Words, linear", "60.0")
    assert (row.runs, row.done, row.state, row.metric) == (
        4,
        3,
        "running",
        "Accuracy, %",
    )
    assert row.axis.reference is not None
    assert row.axis.reference < row.whisker.x


def test_experiments_share_one_axis(session: Session, actor: Actor) -> None:
    dataset = add_dataset(session, actor)
    add_experiment(session, actor, dataset, "low", [BASELINE])
    add_experiment(session, actor, dataset, "high", [STARTER])
    high, low = newest_experiments(session, actor)
    assert high.whisker
    assert low.whisker
    assert low.whisker.x < high.whisker.x
    assert high.axis
    assert low.axis
    assert high.axis.ticks == low.axis.ticks


def test_page_without_scores_says_so(client: TestClient, session: Session, actor: Actor) -> None:
    add_experiment(session, actor, add_dataset(session, actor), "fresh", [{"model": "baseline/majority"}])
    session.commit()
    assert "no score yet" in client.get("/").text


def test_fragment_is_the_region_of_the_page(client: TestClient, session: Session, actor: Actor) -> None:
    runs = [
        {"model": "starter/tiny", "seed": 1, "state": RunState.TRAINING, "progress": 0.5, "seconds_left": 90}
    ]
    runs += [{"model": "starter/tiny", "seed": seed} for seed in range(2, 2 + RUNNING)]
    add_experiment(session, actor, add_dataset(session, actor), "busy", runs)
    session.commit()
    page, part = client.get("/"), client.get("/home/under-way")
    assert region(page.text, "under-way") == " ".join(part.text.split())
    assert 'hx-trigger="every 2s"' in part.text
    assert f"{RUNNING + 1} runs, {RUNNING} waiting" in part.text
    assert part.text.count("<tr id=") == 1 + WAITING
    assert f"and {RUNNING - WAITING} more" in part.text
    assert 'value="0.5"' in part.text
    assert "1 min 30 s left" in part.text


def test_fragment_stops_asking_when_nothing_runs(client: TestClient) -> None:
    part = client.get("/home/under-way")
    assert "hx-get" not in part.text
    assert part.headers["hx-refresh"] == "true"


def test_what_needs_a_person_is_shown_for_two_weeks(
    client: TestClient, session: Session, actor: Actor
) -> None:
    problem = {"line": 3, "where": "", "code": "x", "message": "The list of messages is empty.", "hint": ""}
    state = {"state": DatasetState.REFUSED, "problems": [problem], "problem_count": 4}
    refused = add_dataset(session, actor, "broken", **state)
    add_dataset(session, actor, "ancient", **state, created_at=now() - timedelta(days=15))
    failed = {
        "model": "starter/tiny",
        "state": RunState.FAILED,
        "error": "It ran out of memory.",
        "hint": "Halve the batch.",
    }
    add_experiment(session, actor, add_dataset(session, actor), "one", [failed])
    session.commit()
    text = client.get("/").text
    troubles = text[text.index("Needs attention") : text.index("Latest experiments")]
    assert f'href="/datasets/{refused.id}"' in troubles
    for said in ("The list of messages is empty. (3 more)", "It ran out of memory.", "Halve the batch."):
        assert said in troubles
    assert "ancient" not in troubles


def test_hostile_names_are_escaped(client: TestClient, session: Session, actor: Actor) -> None:
    dataset = add_dataset(session, actor, HOSTILE)
    failed = {"model": "hf/<script>alert(1)", "state": RunState.FAILED, "error": HOSTILE}
    add_experiment(
        session,
        actor,
        dataset,
        HOSTILE,
        [{**BASELINE}, failed, {"model": "imported/<b>", "state": RunState.SCORING}],
    )
    session.commit()
    text = client.get("/").text
    assert "<script>alert" not in text
    assert "<b>" not in text.replace("<b>Title", "")
    assert ESCAPED in text


def test_others_work_is_not_shown(client: TestClient, session: Session) -> None:
    other = stranger(session)
    dataset = add_dataset(session, other, "not yours")
    add_dataset(session, other, "nor refused", state=DatasetState.REFUSED)
    add_experiment(session, other, dataset, "nor this", [BASELINE, {"model": "starter/tiny"}])
    session.commit()
    text = client.get("/").text
    for name in ("not yours", "nor refused", "nor this", "under way"):
        assert name not in text


def test_query_count_does_not_grow(session: Session, actor: Actor) -> None:
    def fill(times: int) -> None:
        for number in range(times):
            dataset = add_dataset(session, actor, f"dataset {number}")
            runs = [
                BASELINE,
                STARTER,
                {"model": "starter/small"},
                {"model": "starter/tiny", "state": RunState.FAILED},
            ]
            add_experiment(session, actor, dataset, f"experiment {number}", runs)
        session.commit()

    def count() -> int:
        session.expunge_all()
        with counted_statements() as statements:
            home_view(session, actor)
        return len(statements)

    fill(1)
    before = count()
    fill(9)
    assert count() == before
    assert before <= 18
