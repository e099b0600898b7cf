"""Runs that a person does: the bundle or the notebook goes out, its results come back and are checked."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from app.errors import Invalid
from app.lab.actor import Actor
from app.runs.by_hand import take_results
from app.runs.notebook import notebook
from app.storage import run_folder
from app.tables import RunState
from tests.runs.conftest import Launch, drive, read
from workers.runs import advance

pytestmark = pytest.mark.laptop


def test_by_hand_a_person_brings_the_results(
    launch: Launch, session: Session, actor: Actor, tmp_path: Path
) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    advance(run_id)
    assert "waits for you" in read(run_id).progress_note
    folder = run_folder(run_id)
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(["cp", "-r", str(folder), str(elsewhere)], check=True)
    subprocess.run(
        ["sh", "run.sh", "--here"], cwd=elsewhere, env=os.environ | {"PYTHON": sys.executable}, check=True,
        capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["python3", "-m", "zipfile", "-c", str(tmp_path / "out.zip"), "out"], cwd=elsewhere, check=True
    )
    take_results(session, actor, run_id, tmp_path / "out.zip")
    session.commit()
    assert drive(run_id)[0].state == RunState.DONE


def test_the_notebook_holds_the_whole_bundle(
    launch: Launch, session: Session, actor: Actor, tmp_path: Path
) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    run = read(run_id)
    made = json.loads(notebook(run_folder(run_id), run_id, run.model, run.launch_key))
    code = ["".join(cell["source"]) for cell in made["cells"] if cell["cell_type"] == "code"]
    environment = os.environ | {"PYTHON": sys.executable}
    (tmp_path / "cells.py").write_text("\n".join(code))
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    take_results(session, actor, run_id, tmp_path / "out.zip")
    session.commit()
    assert drive(run_id)[0].state == RunState.DONE


def test_a_zip_of_another_run_or_with_paths_outside_is_refused(
    launch: Launch, session: Session, actor: Actor, tmp_path: Path
) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    archive = tmp_path / "out.zip"

    def refused(files: dict[str, str], said: str) -> None:
        with zipfile.ZipFile(archive, "w") as packed:
            for name, text in files.items():
                packed.writestr(name, text)
        with pytest.raises(Invalid, match=said):
            take_results(session, actor, run_id, archive)
        assert not (run_folder(run_id) / "out.part").exists()

    refused({"out/predictions.jsonl": ""}, "no exit_code")
    refused({"out/exit_code": "0"}, "no process.json")
    own = json.dumps({"launch_key": "tb-0000000000000000"})
    refused({"out/exit_code": "0", "out/process.json": own, "out/../../escaped.json": "{}"}, "another run")
    assert not (run_folder(run_id).parent / "escaped.json").exists()
    archive.write_bytes(b"not a zip")
    with pytest.raises(Invalid, match="cannot be read as a zip"):
        take_results(session, actor, run_id, archive)


def test_a_refused_upload_leads_back_to_its_run(launch: Launch, client: TestClient) -> None:
    (run_id,) = launch("baseline/majority", compute="by hand")
    drive(run_id, until=(RunState.TRAINING,))
    page = f"{client.base_url}/runs/{run_id}"
    files = {"file": ("out.zip", b"not a zip")}
    answer = client.post(f"/runs/{run_id}/results", files=files, headers={"referer": page})
    assert answer.status_code == 422
    assert f'href="/runs/{run_id}"' in answer.text
    for strange in ("https://elsewhere.example/runs/1", f"{client.base_url}//elsewhere.example", ""):
        answer = client.post(f"/runs/{run_id}/results", files=files, headers={"referer": strange})
        assert "elsewhere.example" not in answer.text
        assert "Back to the page" not in answer.text
