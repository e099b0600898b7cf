"""Several values for a hyperparameter, and growing training sets: what becomes of them in plan, runs and API."""

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.catalog.models import find_model
from app.errors import Invalid
from app.experiments.grid import parse_grid, shown, variants
from app.experiments.plan import MAX_RUNS, make_plan
from app.experiments.planned import GridRow
from app.lab.actor import Actor
from app.runs.ledger import sent_values
from app.tables import Split
from tests.experiments.checked import checked_dataset, finish, first_split, launch
from tests.experiments.test_plan import facts

STARTER = find_model("starter/tiny")


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        ({"batch_size": "8; 16; 32"}, [8, 16, 32]),
        ({"batch_size": "8, 16, 32"}, [8, 16, 32]),
        ({"batch_size": [8, 16, 8]}, [8, 16]),
        ({"batch_size": "1,024"}, 1024),
        ({"batch_size": "16;"}, 16),
        ({"batch_size": [16]}, 16),
        ({"learning_rate": "1e-3; 2e-3"}, [0.001, 0.002]),
        ({"schedule": "cosine; linear"}, ["cosine", "linear"]),
        ({"shuffle": "yes; no"}, [True, False]),
        ({"shuffle": [True, False]}, [True, False]),
    ],
)
def test_lists_of_values_are_read(asked: dict, values: object) -> None:
    (name,) = asked
    assert parse_grid(STARTER, asked)[name] == values


def test_names_of_layers_are_no_list() -> None:
    model = find_model("hf/owner/name")
    assert parse_grid(model, {"lora_targets": "q_proj, v_proj"}) == {"lora_targets": "q_proj, v_proj"}
    several = parse_grid(model, {"lora_targets": "all-linear; q_proj, v_proj"})
    assert several == {"lora_targets": ["all-linear", "q_proj, v_proj"]}


@pytest.mark.parametrize("asked", [{"batch_size": "8; many"}, {"batch_size": [8, -1]}, {"batch_size": []}])
def test_one_bad_value_is_refused(asked: dict) -> None:
    with pytest.raises(Invalid) as refused:
        parse_grid(STARTER, asked)
    assert "batch_size" in refused.value.fields


def test_every_combination_becomes_runs() -> None:
    plan = make_plan(
        facts(),
        [GridRow("starter/tiny", {"batch_size": "8; 16", "shuffle": "yes; no", "epochs": 3})],
        [1, 2, 3],
    )
    (row,) = plan.rows
    assert plan.runs == len(row.runs) == 12
    assert plan.seconds == pytest.approx(sum(run.estimate["seconds"] for run in row.runs))
    assert [run.variant for run in row.runs[::3]] == [
        "batch size 8, shuffle yes", "batch size 8, shuffle no", "batch size 16, shuffle yes", "batch size 16, shuffle no",
    ]  # fmt: skip
    for run in row.runs:
        sent = sent_values(run.ledger)
        assert f"batch size {sent['batch_size']}, shuffle {'yes' if sent['shuffle'] else 'no'}" == run.variant
        assert (sent["epochs"], run.ledger["batch_size"]["source"]) == (3, "you")
    assert shown(row.values["batch_size"]) == "8; 16"


def test_a_huge_grid_is_refused_before_it_is_made() -> None:
    many = {name: list(range(1, 100)) for name in ("epochs", "batch_size", "predict_batch_size")}
    with pytest.raises(Invalid, match="970,299 combinations"):
        variants(STARTER, parse_grid(STARTER, many))
    with pytest.raises(Invalid, match=f"takes .{MAX_RUNS}"):
        make_plan(facts(), [GridRow("starter/tiny", {"epochs": list(range(1, 300))})], [1, 2])


def test_a_dry_run_states_runs_time_and_cost(session: Session, actor: Actor, client: TestClient) -> None:
    dataset = checked_dataset(session, actor)
    body = {
        "dataset_id": dataset.id,
        "models": [
            {"model": "baseline/nearest"},
            {"model": "baseline/char-trees", "hyperparameters": {"trees": [10, 20]}},
        ],
        "seeds": [1, 2],
        "design": {"kind": "folds", "folds": 3},
        "dry_run": True,
    }
    answer = client.post("/api/v1/experiments", json=body)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert [row["runs"] for row in plan["models"]] == [3, 12]
    assert (plan["runs"], plan["cells"], plan["cost_microdollars"]) == (15, 3, 0)
    assert plan["seconds"] == pytest.approx(sum(row["seconds"] for row in plan["models"]))
    assert any("3-fold cross-validation" in remark for remark in plan["remarks"])
    assert any("With 60 test items" in remark for remark in plan["remarks"])


def test_sizes_are_nested_and_tested_on_the_same_items(
    session: Session, actor: Actor, client: TestClient
) -> None:
    dataset = checked_dataset(session, actor)
    design = {"kind": "sizes", "shares": "10, 50, 100"}
    experiment, runs = launch(session, actor, dataset, "baseline/majority", design=design)
    assert [run.variant for run in runs] == ["10 % of train", "50 % of train", "100 % of train"]
    splits = [session.get_one(Split, run.split_id) for run in runs]
    assert [split.counts["train"] for split in splits] == [4, 21, 42]
    parts = [split.parts for split in splits]
    tests = [[number for number, part in enumerate(one) if part == 2] for one in parts]
    assert tests[0] == tests[1] == tests[2]
    trains = [{number for number, part in enumerate(one) if part == 0} for one in parts]
    assert trains[0] < trains[1] < trains[2]
    assert experiment.split_id == splits[2].id
    assert [run.snapshot["design"]["train_items"] for run in runs] == [4, 21, 42]
    session.commit()
    finish(runs)
    found = client.get(f"/api/v1/experiments/{experiment.id}").json()
    assert {run["scores"]["accuracy"]["n"] for run in found["runs"]} == {12}
    page = client.get(f"/experiments/{experiment.id}").text
    assert "50 % of train" in page
    assert "Growing training set" in page


def test_the_launch_page_keeps_a_grid_and_a_design(
    session: Session, actor: Actor, client: TestClient
) -> None:
    dataset = checked_dataset(session, actor)
    split = first_split(session, actor, dataset)
    session.commit()
    form = {
        "split": str(split.id), "dataset": str(dataset.id), "models": "baseline/char-trees", "seeds": "1", "design": "folds", "folds": "4",
        "fold_seed": "2", "choose_on": "", "memory:baseline/char-trees": '{"shown": {"trees": "500"}}',
        "h:baseline/char-trees:trees": "10; 20", "action": "plan",
    }  # fmt: skip
    page = client.post("/experiments", data=form)
    assert page.status_code == 200
    assert "10; 20" in page.text
    assert "<b>8 runs</b>" in page.text
    assert "pooled over 4 folds" in page.text
    assert "4-fold cross-validation (seed 2)" in page.text
    bad = client.post("/experiments", data={**form, "folds": "many", "action": "launch"})
    assert bad.status_code == 422
    assert "many" in bad.text
    done = client.post("/experiments", data={**form, "action": "launch"}, follow_redirects=False)
    assert done.status_code == 303
    experiment = client.get(f"/api/v1{done.headers['location']}").json()
    assert experiment["design"] == {"kind": "folds", "folds": 4, "seed": 2}
    assert len(experiment["runs"]) == 8
