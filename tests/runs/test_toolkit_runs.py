"""Runs that a toolkit trains, from launch to scores, on this machine."""

import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.config import settings
from app.storage import run_folder
from app.tables import RunState
from tests.runs.conftest import Launch, drive
from tests.training.base_model import make_base

pytestmark = [pytest.mark.train, pytest.mark.laptop]


def test_a_toolkit_s_run_ends_with_scores_and_a_whole_ledger(
    launch: Launch, client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_base(tmp_path / "models" / "small-llama")
    monkeypatch.setattr(settings(), "model_dirs", [tmp_path / "models"])
    monkeypatch.setattr(settings(), "toolkit_pythons", {"trl": sys.executable})
    (run_id,) = launch("trl/small-llama", epochs=1, max_seq_len=64)
    (run,) = drive(run_id)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert run.ledger["lora_r"]["resolved"] == run.ledger["lora_r"]["sent"]
    assert run.ledger["precision"] == {
        "asked": None, "sent": "auto", "resolved": "fp32", "source": "our default"
    }  # fmt: skip
    assert run.snapshot["environment"]["packages"]["trl"]
    assert (run_folder(run_id) / "out" / "adapter" / "adapter_model.safetensors").is_file()
    told = next(
        file for file in client.get(f"/api/v1/runs/{run_id}").json()["files"] if "trl.yaml" in file["href"]
    )
    written = (run_folder(run_id) / "trl.yaml").read_text()
    assert client.get(told["href"]).text == written
    assert "trl sft --config trl.yaml" in client.get(f"/runs/{run_id}").text
    assert client.get(f"/runs/{run_id}/files/here.json").status_code == 404
