"""Launches that cost money: what is refused, what is reserved, and that nobody can pass a cap, however many launch."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.clock import now
from app.db import session_scope
from app.errors import Conflict, Invalid, OutOfCredit
from app.experiments.planned import GridRow
from app.experiments.service import LaunchRequest, launch_experiment, plan_experiment
from app.lab.actor import Actor
from app.lab.budgets import add_budget, list_budgets, month_start
from app.lab.reservations import cover, run_money, to_reserve
from app.lab.spending import spending
from app.runs.lifecycle import move
from app.runs.service import retry_run
from app.tables import Dataset, Reservation, Run, RunState, Split
from tests.experiments.checked import checked_dataset, first_split

MODEL = "together/Qwen/Qwen3.5-9B"
UNKNOWN = "together/somebody/unheard-of"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_TOGETHER_API_KEY", "sk-nobody")


@pytest.fixture
def data(session: Session, actor: Actor) -> tuple[Dataset, Split]:
    dataset = checked_dataset(session, actor)
    split = first_split(session, actor, dataset)
    session.commit()
    return dataset, split


def asked(data: tuple[Dataset, Split], model: str = MODEL, **more: object) -> LaunchRequest:
    dataset, split = data
    return LaunchRequest(dataset.id or 0, split.id or 0, "", [GridRow(model, {})], [1], **more)


def launch(session: Session, actor: Actor, data: tuple[Dataset, Split], **more: object) -> Run:
    experiment = launch_experiment(session, actor, asked(data, **more))
    session.commit()
    return session.exec(select(Run).where(Run.experiment_id == experiment.id)).one()


def test_reserved_at_launch_and_settled_at_the_end(
    session: Session, actor: Actor, data: tuple[Dataset, Split]
) -> None:
    run = launch(session, actor, data)
    estimate = run.estimate["microdollars"]
    assert estimate > 4_000_000  # the least that a training costs there, and serving
    assert "price" in run.snapshot["service"]
    assert run.snapshot["service"]["undisclosed"]
    money = run_money(session, run.id or 0)
    assert money
    assert (money.spent, money.reserved, money.open) == (0, to_reserve(estimate), True)
    move(session, run, RunState.FAILED, cost_microdollars=1_500_000)
    session.commit()
    money = run_money(session, run.id or 0)
    assert money
    assert (money.spent, money.reserved, money.open) == (1_500_000, 0, False)
    retry_run(session, actor, run.id or 0)
    session.commit()
    money = run_money(session, run.id or 0)
    assert money
    assert (money.spent, money.reserved) == (1_500_000, to_reserve(estimate))
    assert spending(session, actor).total == 1_500_000


@pytest.mark.laptop
def test_over_budget_nothing_is_made(session: Session, actor: Actor, data: tuple[Dataset, Split]) -> None:
    add_budget(session, actor, "lab", 5)
    session.commit()
    with pytest.raises(Invalid, match=r"the lab's budget of \$5.00 has \$5.00 left"):
        launch_experiment(session, actor, asked(data))
    session.rollback()
    assert session.exec(select(Run)).first() is None


@pytest.mark.laptop
def test_every_scope_refuses(session: Session, actor: Actor, data: tuple[Dataset, Split]) -> None:
    for scope in ("member", "experiment", "run"):
        add_budget(session, actor, scope, 1)
    problems = " ".join(plan_experiment(session, actor, asked(data)).problems)
    for sentence in ("your budget", "an experiment's budget", "each run may cost"):
        assert sentence in problems


@pytest.mark.laptop
def test_own_cap_on_an_experiment_is_kept(
    session: Session, actor: Actor, data: tuple[Dataset, Split]
) -> None:
    plan = plan_experiment(session, actor, asked(data, cap_dollars=2.0))
    assert "you allow this experiment $2.00" in plan.problems[0]
    run = launch(session, actor, data, cap_dollars=100.0)
    cover(session, run, 99_000_000, "Together")
    with pytest.raises(OutOfCredit, match="an experiment's budget"):
        cover(session, run, 101_000_000, "Together")


@pytest.mark.laptop
def test_unknown_price_needs_a_budget_that_allows_it(
    session: Session, actor: Actor, data: tuple[Dataset, Split]
) -> None:
    plan = plan_experiment(session, actor, asked(data, UNKNOWN))
    assert plan.microdollars is None
    assert "Nobody knows what Together unheard-of costs" in plan.problems[0]
    add_budget(session, actor, "lab", 10, allow_unknown=True)
    (asks,) = plan_experiment(session, actor, asked(data, UNKNOWN)).problems
    assert "must also set a cap on each run" in asks
    add_budget(session, actor, "run", 7)
    run = launch(session, actor, data, model=UNKNOWN)
    row = session.get_one(Reservation, run.id)
    assert (row.price_known, row.reserved_microdollars) == (False, 7_000_000)
    (over,) = plan_experiment(session, actor, asked(data, UNKNOWN)).problems
    assert over == "This may cost $7.00; the lab's budget of $10.00 has $3.00 left."


@pytest.mark.laptop
def test_months_count_alone(session: Session, actor: Actor, data: tuple[Dataset, Split]) -> None:
    run = launch(session, actor, data)
    row = session.get_one(Reservation, run.id)
    row.created_at = month_start().replace(year=now().year - 1)
    session.add(row)
    cap = row.reserved_microdollars / 1e6
    add_budget(session, actor, "lab", cap, "month")
    session.commit()
    assert list_budgets(session, actor)[0].left == row.reserved_microdollars
    assert not plan_experiment(session, actor, asked(data)).problems


@pytest.mark.laptop
def test_retry_is_refused_without_money(session: Session, actor: Actor, data: tuple[Dataset, Split]) -> None:
    run = launch(session, actor, data)
    move(session, run, RunState.FAILED, cost_microdollars=run.estimate["microdollars"])
    add_budget(session, actor, "lab", run.estimate["microdollars"] / 1e6 + 1)
    session.commit()
    with pytest.raises(Conflict, match="the lab's budget"):
        retry_run(session, actor, run.id or 0)


def test_fifty_at_once_start_as_many_as_the_cap_allows(
    session: Session, actor: Actor, data: tuple[Dataset, Split]
) -> None:
    one = to_reserve(plan_experiment(session, actor, asked(data)).microdollars) or 0
    add_budget(session, actor, "lab", 5.5 * one / 1e6)
    session.commit()
    ready = threading.Barrier(25)

    def start(_: int) -> bool:
        ready.wait()
        try:
            with session_scope() as own:
                launch_experiment(own, actor, asked(data))
        except Invalid:
            return False
        return True

    with ThreadPoolExecutor(25) as pool:
        assert sum(pool.map(start, range(50))) == 5
    session.expire_all()
    assert len(session.exec(select(Run)).all()) == len(session.exec(select(Reservation)).all()) == 5
    assert list_budgets(session, actor)[0].left == round(5.5 * one) - 5 * one


@pytest.mark.laptop
def test_the_page_says_why_and_what_it_reserves(client: TestClient, data: tuple[Dataset, Split]) -> None:
    dataset, split = data
    form = {"dataset": dataset.id, "split": split.id, "models": [MODEL], "seeds": "1", "launch_key": "k" * 16}
    plan = client.post("/experiments/plan", data=form).text
    assert "reserves $" in plan
    assert "Will not be known: optimiser" in plan
    assert "Together" in plan
    assert client.post(
        "/settings/budgets", data={"scope": "lab", "cap": "1"}, follow_redirects=False
    ).status_code
    refused = client.post("/experiments", data=form)
    assert refused.status_code == 422
    assert "the lab&#39;s budget of $1.00 has $1.00 left" in refused.text
    shown = client.get("/settings/budgets").text
    assert "$1.00" in shown
    assert "the whole lab" in shown
    (line,) = client.get("/api/v1/budgets").json()["budgets"]
    assert line["left"] == 1_000_000
    assert client.delete(f"/api/v1/budgets/{line['id']}").status_code == 204
    started = client.post("/experiments", data=form, follow_redirects=False)
    assert started.status_code == 303


@pytest.mark.laptop
def test_without_a_key_the_plan_says_where_to_enter_it(
    client: TestClient, data: tuple[Dataset, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEBOOK_TOGETHER_API_KEY")
    dataset, split = data
    body = {"dataset_id": dataset.id, "split_id": split.id, "models": [{"model": MODEL}], "seeds": [1]}
    refused = client.post("/api/v1/experiments", json=body)
    assert refused.status_code == 422
    assert "needs a key. Enter it under Settings" in refused.json()["detail"]
    page = client.get(f"/experiments/new?dataset={dataset.id}").text
    assert "/settings/services#together" in page
