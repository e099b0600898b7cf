"""Pushes to a stand-in of the Hub: once, whole, and never twice blindly."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from app import hub as client_of_hub
from app.config import settings
from app.errors import Unavailable
from app.queue import MAKE_EXPORT
from app.storage import run_folder
from tests.emulator.hub import TOKEN, Hub, serve
from tests.exports.conftest import export_now

REPO = "my-lab/metals"


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, named in the settings with the right token."""
    import huggingface_hub._commit_api as commits

    monkeypatch.setattr(commits, "is_xet_available", lambda: False)
    with serve() as made:
        monkeypatch.setenv("TUNEBOOK_HF_ENDPOINT", made.base)
        monkeypatch.setenv("TUNEBOOK_HF_TOKEN", TOKEN)
        settings.cache_clear()
        yield made
    settings.cache_clear()


@pytest.fixture
def run_id(finished: Any) -> int:
    """A LoRA run with an adapter of some bytes."""
    made = int(finished("hf/small", "adapter"))
    folder = run_folder(made) / "out" / "adapter"
    (folder / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    return made


def ask(client: TestClient, run_id: int, kind: str = "push-model", **more: Any) -> Any:
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": kind, "repo": REPO, **more})
    assert answer.status_code == 202, answer.text
    return export_now(answer.json()["id"])


def test_a_model_goes_up_with_its_card_in_one_commit(hub: Hub, client: TestClient, run_id: int) -> None:
    made = ask(client, run_id, license="mit")
    assert (made.state, made.error) == ("ready", "")
    repo = hub.repos["model", REPO]
    assert repo.private
    assert sorted(repo.files) == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert repo.files["adapter_model.safetensors"] == b"weights" * 1000
    head = yaml.safe_load(repo.files["README.md"].decode().split("---\n")[1])
    assert (head["license"], head["library_name"]) == ("mit", "peft")
    assert made.result == {"url": f"{hub.base}/{REPO}", "commit": repo.commits[-1], "changed": 3}
    assert len(repo.commits) == 2


def test_the_same_again_sends_nothing(hub: Hub, client: TestClient, run_id: int) -> None:
    ask(client, run_id)
    again = ask(client, run_id)
    assert (again.state, again.result["changed"]) == ("ready", 0)
    assert hub.count("/commit/") == 1


def test_an_answer_that_was_cut_is_compared_not_repeated(hub: Hub, client: TestClient, run_id: int) -> None:
    hub.fail("/commit/", "cut")
    made = ask(client, run_id)
    assert (made.state, made.error) == ("ready", "")
    assert hub.count("/commit/") == 1
    assert len(hub.repos["model", REPO].commits) == 2


@pytest.mark.parametrize(
    ("where", "fault", "said"),
    [
        ("/commit/", 500, "answered 500"),
        ("/commit/", 409, "changed by somebody else"),
        ("/create", 401, "token"),
    ],
)
def test_a_refusal_is_a_sentence_and_asked_again_it_goes_on(
    hub: Hub, client: TestClient, run_id: int, where: str, fault: int, said: str
) -> None:
    hub.fail(where, fault)
    made = ask(client, run_id)
    assert made.state == "failed"
    assert said in made.error
    again = ask(client, run_id)
    assert (again.state, again.result["changed"]) == ("ready", 3)


def test_a_wrong_token_is_told_and_appears_nowhere(
    hub: Hub, client: TestClient, run_id: int, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "hf_wrong_and_secret"
    answer = client.post(
        f"/api/v1/runs/{run_id}/exports", json={"kind": "push-model", "repo": REPO, "token": secret}
    )
    assert answer.status_code == 202
    made = client.get(f"/api/v1/exports/{answer.json()['id']}").json()
    assert made["state"] == "failed"
    assert "does not know the token" in made["error"]
    assert secret not in str(made)
    assert secret not in caplog.text
    kept = [path for path in home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert kept == []


def test_a_token_of_the_form_is_used_at_once(
    hub: Hub, client: TestClient, run_id: int, monkeypatch: pytest.MonkeyPatch, sent: list[tuple[str, int]]
) -> None:
    monkeypatch.setenv("TUNEBOOK_HF_TOKEN", "")
    settings.cache_clear()
    form = {"kind": "push-model", "repo": REPO, "private": ["", "on"], "token": TOKEN}
    answer = client.post(f"/runs/{run_id}/exports", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    assert client.get(f"/api/v1/runs/{run_id}/exports").json()["exports"][0]["state"] == "ready"
    assert not [task for task, _ in sent if task == MAKE_EXPORT], "no worker is asked"
    assert hub.repos["model", REPO].private


def test_a_push_whose_process_died_is_told(hub: Hub, client: TestClient, run_id: int, session: Any) -> None:
    from app.exports.service import queue_export
    from app.lab.actor import first_actor

    export = queue_export(session, first_actor(session), run_id, "push-model", {"repo": REPO}, once=True)
    export.owner = export.lease_until = None
    session.commit()
    made = export_now(export.id or 0)
    assert made.state == "failed"
    assert "the token was not kept" in made.error


def test_without_any_token_nothing_is_asked(
    hub: Hub, client: TestClient, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEBOOK_HF_TOKEN", "")
    settings.cache_clear()
    made = ask(client, run_id)
    assert (made.state, made.error) == ("failed", "There is no Hugging Face token.")
    assert hub.calls == []


def test_a_data_set_goes_up_by_parts(hub: Hub, client: TestClient, run_id: int) -> None:
    made = ask(client, run_id, "push-dataset", license="cc-by-4.0")
    assert (made.state, made.error) == ("ready", "")
    files = hub.repos["dataset", REPO].files
    assert sorted(files) == ["README.md", "test.jsonl", "train.jsonl", "validation.jsonl"]
    assert [len(files[f"{part}.jsonl"].splitlines()) for part in ("train", "validation", "test")] == [
        21,
        3,
        6,
    ]
    head = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert head["configs"][0]["data_files"][0] == {"split": "train", "path": "train.jsonl"}


@pytest.mark.parametrize("repo", ["", "no-owner", "a/b/c", "../x/y"])
def test_a_bad_name_is_refused_at_once(hub: Hub, client: TestClient, run_id: int, repo: str) -> None:
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "push-model", "repo": repo})
    assert answer.status_code == 422
    assert answer.json()["fields"] == {"repo": "owner/name"}


def test_no_network_is_a_sentence(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBOOK_HF_ENDPOINT", "http://127.0.0.1:9")
    settings.cache_clear()
    with pytest.raises(Unavailable, match="could not be reached"):
        client_of_hub.push(REPO, "model", {"a": tmp_path / "tunebook.db"}, "m", private=True, token="x")
