"""/v1/files and /v1/fine_tuning/jobs: what OpenAI's client sends becomes a dataset, an experiment and one run."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlmodel import select

from app.clock import in_seconds
from app.db import session_scope
from app.storage import door_file
from app.tables import Dataset, DoorFile, DoorJob, Experiment, Run, Split
from tests.door.strict import by_openai, strictly
from workers.door import tidy

RULE = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}
Work = Callable[[], None]


def found(statement: Any) -> list[Any]:
    """Rows, read without keeping writers out."""
    with session_scope(write=False) as session:
        return list(session.exec(statement))


def chats(count: int, start: int = 0, **more: Any) -> bytes:
    """Rows in OpenAI's own shape: no part is named."""
    lines = []
    for number in range(start, start + count):
        key = list(RULE)[number % 3]
        messages = [
            {"role": "user", "content": f"sample {number}: a spoon of {key}"},
            {"role": "assistant", "content": RULE[key]},
        ]
        lines.append(json.dumps({"messages": messages, **more}))
    return ("\n".join(lines) + "\n").encode()


def send(client: TestClient, data: bytes, purpose: str = "fine-tune", **form: str) -> str:
    """A file's id."""
    answer = client.post("/v1/files", files={"file": ("rule.jsonl", data)}, data={"purpose": purpose, **form})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def job(client: TestClient, data: bytes, status: int = 200, **body: Any) -> Any:
    """A job on that data; its object, or the error's."""
    asked = {"model": "baseline/majority", "training_file": send(client, data), **body}
    answer = client.post("/v1/fine_tuning/jobs", json=asked)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_openais_client_reads_every_answer(client: TestClient, work: Work) -> None:
    async def use(api: openai.AsyncOpenAI) -> str:
        file = strictly(await api.files.create(file=("a.jsonl", chats(60)), purpose="fine-tune"))
        assert (file.bytes, file.status, file.purpose) == (len(chats(60)), "processed", "fine-tune")
        assert (await api.files.content(file.id)).content == chats(60)
        assert strictly(await api.files.retrieve(file.id)) == file
        made = strictly(
            await api.fine_tuning.jobs.create(
                model="baseline/tfidf-linear",
                training_file=file.id,
                suffix="lab",
                method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}},
                metadata={"paper": "two"},
            )
        )
        assert (made.status, made.fine_tuned_model, made.seed) == ("validating_files", None, 1)
        listed = [strictly(each) async for each in api.files.list(limit=1)]
        assert [each.id for each in listed] == [file.id]
        return str(made.id)

    made = by_openai(client, use)
    work()

    async def look(api: openai.AsyncOpenAI) -> None:
        there = strictly(await api.fine_tuning.jobs.retrieve(made))
        assert there.status == "queued"
        assert there.metadata == {"paper": "two"}
        page = strictly(await api.fine_tuning.jobs.list_events(made, limit=2))
        events = [each async for each in page]
        assert [each.message for each in events][-2:] == [
            f"Validating training file: {there.training_file}",
            f"Created fine-tuning job: {made}",
        ]
        assert "48 train, 6 validation, 6 test items" in events[1].message
        strictly(await api.fine_tuning.jobs.checkpoints.list(made))
        by_label = [
            each.id async for each in api.fine_tuning.jobs.list(extra_query={"metadata[paper]": "two"})
        ]
        assert by_label == [made]
        assert not [each async for each in api.fine_tuning.jobs.list(extra_query={"metadata[paper]": "one"})]
        assert strictly(await api.fine_tuning.jobs.cancel(made)).id == made
        with pytest.raises(openai.ConflictError, match="cannot be paused"):
            await api.fine_tuning.jobs.pause(made)
        with pytest.raises(openai.NotFoundError):
            await api.fine_tuning.jobs.retrieve("ftjob-none")

    by_openai(client, look)


@pytest.mark.laptop
def test_a_job_is_an_experiment_with_one_run(client: TestClient, work: Work) -> None:
    values = {"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 0.5, "vocabulary": 400}
    asked = {"type": "supervised", "supervised": {"hyperparameters": values}}
    made = job(client, chats(60), model="starter/tiny", seed=7, suffix="short", method=asked)
    work()
    run = found(select(Run))[0]
    assert (run.model, run.seed, run.state) == ("starter/tiny", 7, "queued")
    assert found(select(Experiment.name))[0] == "short"
    named = {name: row["asked"] for name, row in run.ledger.items() if row["source"] == "you"}
    assert named["epochs"] == 3
    assert named["vocabulary"] == 400
    assert set(named) == {"epochs", "vocabulary", "learning_rate"}
    plain = client.get(f"/v1/fine_tuning/jobs/{made['id']}").json()
    assert plain["hyperparameters"]["learning_rate_multiplier"] == 0.5
    assert plain["hyperparameters"]["n_epochs"] == 3
    assert plain["method"]["supervised"]["hyperparameters"]["vocabulary"] == 400
    again = job(client, chats(60), model="starter/tiny")
    work()
    suggested = found(select(Run).where(Run.id != run.id))[0].ledger["learning_rate"]["sent"]
    assert named["learning_rate"] == pytest.approx(suggested / 2)
    # The same bytes are one dataset.
    assert len(found(select(Dataset))) == 1
    assert again["id"] != made["id"]


@pytest.mark.laptop
def test_a_validation_file_becomes_the_validation_part(client: TestClient, work: Work) -> None:
    validation = send(client, chats(9, start=100))
    for _ in range(2):
        job(client, chats(40), validation_file=validation)
        work()
    [dataset], runs = found(select(Dataset)), found(select(Run))
    assert len({run.split_id for run in runs}) == 1
    split = found(select(Split).where(Split.id == runs[0].split_id))[0]
    assert split.counts == {"train": 36, "validation": 9, "test": 4, "unused": 0}
    assert dataset.items == 49
    assert split.parts[40:] == bytes([1] * 9)
    events = client.get(f"/v1/fine_tuning/jobs/{found(select(DoorJob.public_id))[-1]}/events").json()["data"]
    assert any("drawn by seed 1" in each["message"] for each in events)


@pytest.mark.laptop
def test_what_cannot_be_used_is_told_with_its_parameter(client: TestClient, work: Work) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"model": "starter/none"}, "model"),
        ({"model": "prompt/openai/gpt-4o"}, "model"),
        ({"training_file": "file-none"}, "training_file"),
        ({"training_file": send(client, b"{}", "batch")}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
        ({"method": {"type": "reinforcement"}}, "method"),
        ({"method": {"type": "dpo"}}, "method"),
        ({"hyperparameters": {"n_epoch": 3}}, "hyperparameters"),
        ({"model": "starter/tiny", "hyperparameters": {"n_epochs": [1, 2]}}, "hyperparameters"),
        ({"model": "starter/tiny", "hyperparameters": {"n_epochs": "many"}}, "hyperparameters"),
        ({"suffix": "a:b"}, "suffix"),
        ({"metadata": {"x" * 65: "y"}}, "metadata"),
        ({"seed": -1}, "seed"),
        ({"nonsense": 1}, "nonsense"),
    ]
    for values, param in wrong:
        error = job(client, chats(60), status=400, **values)
        assert (error["param"], error["type"]) == (param, "invalid_request_error"), (values, error)
    for text in (
        '"hyperparameters": {"x": "\\ud800"}',
        '"hyperparameters": {"beta": 1e999}',
        '"metadata": {"\\ud800": ""}',
        '"metadata": {"a": "\\u0000"}',
        '"validation_file": "\\u0000"',
    ):
        body = f'{{"model": "starter/tiny", "training_file": "{send(client, chats(3))}", {text}}}'
        json_type = {"content-type": "application/json"}
        answer = client.post("/v1/fine_tuning/jobs", content=body, headers=json_type)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, text.split('"')[1])
    broken = job(client, chats(5) + b'{"messages": []}\n')
    tiny = job(client, chats(1))
    work()
    error = client.get(f"/v1/fine_tuning/jobs/{broken['id']}").json()["error"]
    assert (error["code"], error["param"]) == ("invalid_training_file", "training_file")
    assert "Line 6" in error["message"]
    failed = client.get(f"/v1/fine_tuning/jobs/{tiny['id']}").json()
    assert failed["status"] == "failed"
    assert (
        "training items: at least 2 are needed" in failed["error"]["message"]
        or "no test" in failed["error"]["message"]
    )


@pytest.mark.laptop
def test_a_model_without_epochs_says_that_they_were_left_out(client: TestClient, work: Work) -> None:
    made = job(client, chats(60), hyperparameters={"n_epochs": 3, "batch_size": 4})
    work()
    events = client.get(f"/v1/fine_tuning/jobs/{made['id']}/events").json()["data"]
    warned = [each["message"] for each in events if each["level"] == "warn"]
    assert len(warned) == 2
    assert all("was left out" in said for said in warned)


def test_one_idempotency_key_makes_one_job(client: TestClient, sent: list[Any]) -> None:
    file = send(client, chats(60))
    body = {"model": "baseline/majority", "training_file": file}
    key = {"Idempotency-Key": "once"}
    first = client.post("/v1/fine_tuning/jobs", json=body, headers=key).json()
    assert client.post("/v1/fine_tuning/jobs", json=body, headers=key).json()["id"] == first["id"]
    other = client.post("/v1/fine_tuning/jobs", json={**body, "seed": 2}, headers=key)
    assert other.status_code == 409
    assert client.post("/v1/fine_tuning/jobs", json=body).json()["id"] != first["id"]


@pytest.mark.laptop
def test_a_job_is_cancelled_before_its_run_is_made(client: TestClient, work: Work) -> None:
    made = job(client, chats(60))
    assert client.post(f"/v1/fine_tuning/jobs/{made['id']}/cancel").status_code == 200
    work()
    shown = client.get(f"/v1/fine_tuning/jobs/{made['id']}").json()
    assert shown["status"] == "cancelled"
    assert shown["finished_at"]
    assert found(select(Run)) == []
    assert client.post(f"/v1/fine_tuning/jobs/{made['id']}/cancel").status_code == 409


@pytest.mark.laptop
def test_files_are_listed_removed_and_end(client: TestClient, sent: list[Any]) -> None:
    first, second = send(client, chats(3)), send(client, b"{}\n", "batch")
    names = [each["id"] for each in client.get("/v1/files").json()["data"]]
    assert names == [second, first]
    page = client.get("/v1/files?limit=1").json()
    assert (page["has_more"], page["last_id"]) == (True, second)
    assert [each["id"] for each in client.get(f"/v1/files?after={second}").json()["data"]] == [first]
    assert [each["id"] for each in client.get("/v1/files?purpose=batch").json()["data"]] == [second]
    assert client.delete(f"/v1/files/{second}").json() == {"id": second, "object": "file", "deleted": True}
    assert client.get(f"/v1/files/{second}/content").status_code == 404
    ends = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    third = client.get(f"/v1/files/{send(client, b'{}', 'batch', **ends)}").json()
    assert third["expires_at"] - third["created_at"] == 3600
    with session_scope() as session:
        past = update(DoorFile).where(DoorFile.public_id == third["id"]).values(expires_at=in_seconds(-1))
        session.execute(past)
    assert client.get(f"/v1/files/{third['id']}").status_code == 404
    path = door_file(found(select(DoorFile.id))[-1])
    assert path.is_file()
    tidy()
    tidy()
    assert not path.exists()
    for form in ({"purpose": "vision"}, {"purpose": "batch", **ends, "expires_after[seconds]": "60"}):
        answer = client.post("/v1/files", files={"file": ("x", b"{}")}, data=form)
        assert answer.status_code == 400
    used = client.post("/v1/fine_tuning/jobs", json={"model": "baseline/majority", "training_file": first})
    assert used.status_code == 200
    assert client.delete(f"/v1/files/{first}").status_code == 409
