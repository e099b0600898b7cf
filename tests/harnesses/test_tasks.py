"""An experiment's test items as tasks, from the page and the API; a log of such a task becomes a run with scores."""

import io
import json
import zipfile

import pytest
import yaml
from fastapi.testclient import TestClient
from sqlmodel import Session, select

from app.datasets.stored import part_items
from app.harnesses import Question, TaskSet, harnesses
from app.lab.actor import Actor
from app.tables import Dataset, Experiment, Run, RunState, Scoring, Split
from tests.experiments.checked import checked_dataset, first_split
from tests.harnesses.logs import inspect_eval, inspect_sample

HOSTILE = TaskSet(
    name="tunebook_1",
    title='a "title" \\ with {{ braces }}\nand a line',
    questions=[
        Question(
            "i1",
            [{"role": "system", "content": "{% if %} be"}, {"role": "user", "content": "{{ x }} {# y #}"}],
            "{{ z }}",
        )
    ],
    models=["run-3", "run-4"],
    address="https://tunebook.example/v1",
    max_tokens=12,
)


@pytest.fixture
def experiment_id(session: Session, actor: Actor) -> int:
    """The number of an experiment with one run that is done; its data was really checked."""
    dataset = checked_dataset(session, actor, 20)
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id, "dataset_id": dataset.id or 0}
    split_id = first_split(session, actor, dataset).id or 0
    made = Experiment(**owner, name="Acid or base?", split_id=split_id, launch_key="one")
    session.add(made)
    session.flush()
    session.add(
        Run(
            **owner,
            experiment_id=made.id or 0,
            split_id=split_id,
            model="baseline/majority",
            state=RunState.DONE,
            launch_key="two",
        )
    )
    found = made.id or 0
    session.commit()
    return found


@pytest.mark.laptop
def test_each_harness_writes_all_test_items(client: TestClient, experiment_id: int) -> None:
    page = client.get(f"/experiments/{experiment_id}").text
    for name, kind in harnesses().items():
        address = f"/experiments/{experiment_id}/tasks/{name}.zip"
        assert address in page
        assert kind.label in page
        answer = client.get(address)
        assert answer.headers["content-type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            files = {path.partition("/")[2]: archive.read(path).decode() for path in archive.namelist()}
        items = next(text for path, text in files.items() if path.endswith(".jsonl"))
        assert len(items.splitlines()) == 4
        asked = f"{str(client.base_url).rstrip('/')}/v1"
        assert any(asked in text for text in files.values())
        assert "run-1" in files["README.md"] + files.get("promptfooconfig.yaml", "")
    assert client.get(f"/experiments/{experiment_id}/tasks/nothing.zip").status_code == 404


@pytest.mark.laptop
def test_the_log_of_a_task_becomes_a_run_with_scores(
    client: TestClient, session: Session, experiment_id: int
) -> None:
    experiment = session.get_one(Experiment, experiment_id)
    dataset, split = (
        session.get_one(Dataset, experiment.dataset_id),
        session.get_one(Split, experiment.split_id),
    )
    items = list(part_items(session, dataset, split, "test"))
    log = inspect_eval(*(inspect_sample(item.item_id, item.answer) for item in reversed(items)))
    session.rollback()
    answer = client.post(
        f"/experiments/{experiment_id}/predictions",
        data={"model": "inspect run-1"},
        files={"file": ("log.eval", log)},
        follow_redirects=False,
    )
    assert answer.status_code == 303
    run = session.exec(select(Run).where(Run.model == "imported/inspect run-1")).one()
    assert run.state == RunState.DONE
    assert session.exec(select(Scoring)).one() is not None


def test_texts_that_look_like_templates_are_written_as_they_are() -> None:
    kinds = harnesses()
    promptfoo = kinds["promptfoo"].files(HOSTILE)
    config = yaml.safe_load(promptfoo["promptfooconfig.yaml"])
    assert config["description"] == HOSTILE.title
    assert [one["id"] for one in config["providers"]] == ["openai:chat:run-3", "openai:chat:run-4"]
    test = json.loads(promptfoo["tests.jsonl"])
    assert json.loads(test["vars"]["messages"]) == list(HOSTILE.questions[0].messages)
    assert not any(mark in test["vars"]["messages"] for mark in ("{{", "{%", "{#"))
    compile(kinds["inspect"].files(HOSTILE)["task.py"], "task.py", "exec")
    lm_eval = kinds["lm-eval"].files(HOSTILE)
    assert yaml.safe_load(lm_eval["tunebook_1.yaml"])["description"] == "{{ system }}"
    assert json.loads(lm_eval["items.jsonl"])["system"] == "{% if %} be"


def test_turns_are_no_task_of_lm_eval() -> None:
    turns = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    tasks = TaskSet("t", "t", [Question("i1", turns, "a")], ["run-1"], "http://127.0.0.1:8000/v1", 4)
    assert "hold more" in harnesses()["lm-eval"].problem(tasks)
    assert harnesses()["inspect"].problem(tasks) == ""
