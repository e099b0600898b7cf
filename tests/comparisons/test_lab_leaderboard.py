"""GET /compare/lab, /compare/lab.csv and /api/v1/leaderboard."""

import csv
import io

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.comparisons.lab_leaderboard import LabFilter, lab_leaderboard
from app.lab.actor import Actor
from app.tables import Evaluation, Experiment, Look, Run, RunState, Score
from tests.pages import ESCAPED, HOSTILE, add_dataset, add_experiment, counted_statements, stranger

MAJORITY = {"model": "baseline/majority", "score": (0.40, 0.30, 0.50)}
WORDS = {"model": "baseline/tfidf-linear", "score": (0.60, 0.50, 0.70)}


def starter(value: float, **more: object) -> dict[str, object]:
    return {"model": "starter/tiny", "score": (value, value - 0.05, value + 0.05), **more}


@pytest.fixture
def two_tasks(session: Session, actor: Actor) -> tuple[int, int]:
    """The starter (three seeds) beats the baselines on the first task and loses on the second."""
    first, second = add_dataset(session, actor, "first"), add_dataset(session, actor, "second")
    seeds = [starter(0.9, seed=1), starter(0.7, seed=2), starter(0.8, seed=3, cost_microdollars=5)]
    add_experiment(session, actor, first, "one", [MAJORITY, WORDS, *seeds])
    add_experiment(
        session,
        actor,
        second,
        "two",
        [WORDS, starter(0.5, seed=1), {"model": "hf/a/b", "state": RunState.FAILED}],
    )
    session.commit()
    return first.id or 0, second.id or 0


def entry(view, model: str, task: int):  # type: ignore[no-untyped-def]
    return next(one for one in view.tasks[task].entries if one.model == model)


@pytest.mark.usefixtures("two_tasks")
def test_typical_run_is_the_middle_one_and_best_the_best(session: Session, actor: Actor) -> None:
    typical = entry(lab_leaderboard(session, actor, LabFilter()), "starter/tiny", 0)
    assert typical.cell.runs == 3
    assert (typical.shown.value, typical.shown.low, typical.shown.high) == pytest.approx((0.8, 0.75, 0.85))
    assert typical.cell.best.value == 0.9
    assert typical.over == pytest.approx(0.2)
    assert typical.cell.microdollars == 5
    best = entry(lab_leaderboard(session, actor, LabFilter(by="best")), "starter/tiny", 0)
    assert best.shown.value == 0.9
    assert best.over == pytest.approx(0.3)


@pytest.mark.usefixtures("two_tasks")
def test_average_rank_says_on_how_many_tasks_it_rests(session: Session, actor: Actor) -> None:
    view = lab_leaderboard(session, actor, LabFilter())
    found = {model.model: (model.average_rank, model.ranked_on, model.wins) for model in view.models}
    assert found == {
        "starter/tiny": (1.5, 2, 1),
        "baseline/tfidf-linear": (1.5, 2, 1),
        "baseline/majority": (3.0, 1, 0),
        "hf/a/b": (None, 0, 0),
    }
    failed = entry(view, "hf/a/b", 1)
    assert (failed.cell, failed.rank, failed.failed) == (None, None, 1)


def test_of_two_runs_the_worse_is_typical(session: Session, actor: Actor) -> None:
    add_experiment(
        session, actor, add_dataset(session, actor), "one", [starter(0.9, seed=1), starter(0.7, seed=2)]
    )
    assert entry(lab_leaderboard(session, actor, LabFilter()), "starter/tiny", 0).shown.value == 0.7


def test_equal_scores_share_their_rank(session: Session, actor: Actor) -> None:
    rows = [{**WORDS, "model": f"hf/a/{n}"} for n in range(2)] + [MAJORITY]
    add_experiment(session, actor, add_dataset(session, actor), "one", rows)
    view = lab_leaderboard(session, actor, LabFilter())
    assert [one.rank for one in view.tasks[0].entries] == [1.5, 1.5, 3.0]


def test_less_is_better_for_errors(session: Session, actor: Actor) -> None:
    made = add_experiment(
        session, actor, add_dataset(session, actor, task="number"), "one", [WORDS, starter(0.2), starter(0.4)]
    )
    for score in session.exec(select(Score)):
        session.delete(score)
        session.add(Score(scoring_id=score.scoring_id, name="mae", value=score.value, low=0.1, high=0.9, n=2))
    session.flush()
    view = lab_leaderboard(session, actor, LabFilter())
    found = entry(view, "starter/tiny", 0)
    assert made.id
    assert (found.rank, found.cell.best.value, found.shown.value) == (1, 0.2, 0.4)
    assert found.over == pytest.approx(0.2)


def test_fewer_items_are_shown_but_not_ranked(session: Session, actor: Actor) -> None:
    imported = {"model": "imported/paper", "score": (0.99, 0.9, 1.0)}
    add_experiment(session, actor, add_dataset(session, actor), "one", [WORDS, starter(0.8), imported])
    run = session.exec(select(Run).where(Run.model == "imported/paper")).one()
    session.exec(select(Evaluation).where(Evaluation.run_id == run.id)).one().items = 1
    session.flush()
    view = lab_leaderboard(session, actor, LabFilter())
    found = entry(view, "imported/paper", 0)
    assert (found.rank, found.cell.items) == (None, 1)
    assert view.tasks[0].winner.model == "starter/tiny"
    assert [model.group for model in view.models] == ["Local", "Baselines", "Imported"]


def test_locked_experiments_are_left_out(session: Session, actor: Actor) -> None:
    add_experiment(session, actor, add_dataset(session, actor), "one", [WORDS])
    made = session.exec(select(Experiment)).one()
    made.choose_on = "validation"
    session.flush()
    assert lab_leaderboard(session, actor, LabFilter()).tasks == ()
    made.unlocked_at = now()
    session.flush()
    assert len(lab_leaderboard(session, actor, LabFilter()).tasks) == 1


@pytest.mark.usefixtures("two_tasks")
@pytest.mark.parametrize(
    ("chosen", "models"),
    [
        ({"group": "Baselines"}, {"baseline/majority", "baseline/tfidf-linear"}),
        ({"price": "paid"}, {"starter/tiny"}),
        ({"task": "number"}, set()),
        ({"size": "under-1b"}, {"starter/tiny"}),
        ({"size": "unknown"}, {"baseline/majority", "baseline/tfidf-linear", "hf/a/b"}),
    ],
)
def test_filters(session: Session, actor: Actor, chosen: dict[str, str], models: set[str]) -> None:
    for run in session.exec(select(Run).where(Run.model == "starter/tiny")):
        run.snapshot = {"parameters": 850_000}
    session.flush()
    view = lab_leaderboard(session, actor, LabFilter(**chosen))
    assert {model.model for model in view.models} == models


@pytest.mark.usefixtures("two_tasks")
def test_baseline_counts_where_it_is_not_shown(session: Session, actor: Actor) -> None:
    found = entry(lab_leaderboard(session, actor, LabFilter(group="Local")), "starter/tiny", 0)
    assert found.over == pytest.approx(0.2)
    assert (found.rank, found.of) == (1, 1)


@pytest.mark.usefixtures("two_tasks")
def test_page_is_honest_about_few_tasks(client: TestClient) -> None:
    text = client.get("/compare/lab").text
    assert "Average ranks rest on 2 tasks" in text
    assert "+20.0 points" in text
    assert "1 run failed" in text
    assert "over 2 tasks" in text
    assert 'href="/compare/lab"' in client.get("/compare").text


def test_page_without_runs_says_what_to_do(client: TestClient) -> None:
    assert "Nothing to rank here" in client.get("/compare/lab").text


def test_hostile_names_are_escaped(client: TestClient, session: Session, actor: Actor) -> None:
    add_experiment(
        session,
        actor,
        add_dataset(session, actor, HOSTILE),
        "one",
        [{**WORDS, "model": f"imported/{HOSTILE}"}],
    )
    session.commit()
    text = client.get("/compare/lab").text
    assert "<script>alert" not in text
    assert ESCAPED.split("&#34;")[0] in text


@pytest.mark.usefixtures("two_tasks")
@pytest.mark.parametrize(
    "query", ["task=nothing", "by=", "group=x", "first_task=-1", "first_model=99999999999"]
)
def test_unknown_choices_are_refused(client: TestClient, query: str) -> None:
    assert client.get(f"/compare/lab?{query}").status_code == 422


@pytest.mark.usefixtures("two_tasks")
def test_json_and_csv_say_the_same(client: TestClient) -> None:
    answer = client.get("/api/v1/leaderboard")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [task["winner"] for task in body["tasks"]] == ["starter/tiny", "baseline/tfidf-linear"]
    rows = list(csv.DictReader(io.StringIO(client.get("/compare/lab.csv").text)))
    assert len(rows) == len(body["cells"]) == 6
    for row, cell in zip(rows, body["cells"], strict=True):
        assert row == {name: "" if value is None else str(value) for name, value in cell.items()}
    assert client.get("/api/v1/leaderboard?by=worst").status_code == 422


@pytest.mark.usefixtures("two_tasks")
def test_others_see_nothing(session: Session) -> None:
    assert lab_leaderboard(session, stranger(session), LabFilter()).models == ()


def test_statements_do_not_grow_with_runs(client: TestClient, session: Session, actor: Actor) -> None:
    def statements() -> int:
        client.get("/compare/lab")  # the first look is stored
        with counted_statements() as found:
            assert client.get("/compare/lab").status_code == 200
        return len(found)

    add_experiment(session, actor, add_dataset(session, actor), "one", [WORDS])
    session.commit()
    few = statements()
    for number in range(3):
        models = [starter(0.5, seed=n, model=f"hf/a/{n}") for n in range(10)]
        add_experiment(session, actor, add_dataset(session, actor, f"more {number}"), "more", models)
    session.commit()
    assert statements() == few


@pytest.mark.usefixtures("two_tasks")
def test_opening_it_is_a_look_at_the_test_sets(client: TestClient, session: Session) -> None:
    assert client.get("/compare/lab?group=Baselines").status_code == 200
    assert len(session.exec(select(Look)).all()) == 2
