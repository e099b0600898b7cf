"""Trainings made elsewhere as runs: what is read of their folders, what is refused, and who predicts."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import select

from app.config import settings
from app.db import session_scope
from app.experiments import adopt
from app.storage import run_folder
from app.tables import RunMetric, RunState
from tests.runs.conftest import Launch, drive, read
from tests.runs.trained import Schedule, training_args, zipped

HEADER = json.dumps({"__metadata__": {"format": "pt"}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER
ADAPTER = {"base_model_name_or_path": "/data/models/base", "peft_type": "LORA", "r": 8, "lora_alpha": 16,
           "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}  # fmt: skip
STATE = {
    "num_train_epochs": 3, "train_batch_size": 4, "max_steps": 30,
    "log_history": [
        {"step": 10, "loss": 2.5, "learning_rate": 1e-4}, {"step": 10, "eval_loss": 2.0},
        {"step": 20, "loss": 1.25, "learning_rate": 5e-5}, {"step": "x", "loss": 1}, {"step": 30, "loss": float("nan")},
    ],
}  # fmt: skip
YAML = "base_model: Qwen/Qwen3-0.6B\nlearning_rate: 0.0002\nsequence_len: 512\nsample_packing: true\nhub_token: hf_secret\n"
EXPERIMENT = "/api/v1/experiments/1/adopted"


def folder(**more: bytes) -> dict[str, bytes]:
    """What TRL leaves: adapter, last checkpoint, arguments; names with "__" for dots."""
    files = {
        "lora/adapter_config.json": json.dumps(ADAPTER).encode(),
        "lora/adapter_model.safetensors": WEIGHTS,
        "lora/checkpoint-10/trainer_state.json": b'{"log_history": [{"step": 10, "loss": 9.0}]}',
        "lora/checkpoint-30/trainer_state.json": json.dumps(STATE).encode(),
        "lora/training_args.bin": training_args(
            learning_rate=1e-4, lr_scheduler_type=Schedule.LINEAR, seed=7, output_dir="/x"
        ),
    }
    return files | {f"lora/{name.replace('__', '.')}": data for name, data in more.items()}


def predictions(client: TestClient) -> bytes:
    """A right answer for every test item."""
    items = client.get("/api/v1/datasets/1/items?part=test").json()["items"]
    return "".join(
        json.dumps({"item": each["item"], "answer": each["answer"]}) + "\n" for each in items
    ).encode()


def send(client: TestClient, files: dict[str, bytes], name: str = "cluster", **more: str) -> Any:
    data = {"name": name, **more}
    return client.post(EXPERIMENT, data=data, files={"file": ("training.zip", zipped(files))})


def test_a_folder_with_predictions_is_a_run_at_once(client: TestClient, launch: Launch) -> None:
    launch("baseline/majority")
    answer = send(client, folder(predictions__jsonl=predictions(client)))
    assert answer.status_code == 201, answer.text
    run = read(answer.json()["id"])
    assert (run.model, run.state, run.seed) == ("imported/cluster", RunState.DONE, 7)
    told = {name: (line["resolved"], line["source"]) for name, line in run.ledger.items()}
    assert told["lora_r"] == (8, "adapter_config.json")
    assert told["lora_targets"] == ("q_proj, v_proj", "adapter_config.json")
    assert told["learning_rate"] == (1e-4, "training_args.bin")
    assert told["schedule"] == ("linear", "training_args.bin")
    assert told["epochs"] == (3, "trainer_state.json")
    assert "output_dir" not in told
    with session_scope(write=False) as session:
        points = session.exec(select(RunMetric.name, RunMetric.step, RunMetric.value)).all()
    assert {("loss", 10, 2.5), ("loss", 20, 1.25), ("validation_loss", 10, 2.0)} <= set(points)
    assert len([point for point in points if point[0] == "loss"]) == 2
    assert list(run.snapshot["adopted"]["files"]) == ["adapter_config.json", "adapter_model.safetensors"]
    shown = client.get(f"/api/v1/runs/{run.id}").json()
    assert shown["scores"]["accuracy"]["value"] == 1.0
    assert client.get(f"/runs/{run.id}").status_code == 200
    assert client.post(f"/api/v1/runs/{run.id}/retry").status_code == 409


@pytest.mark.laptop
def test_axolotl_and_mlflow_say_their_values(client: TestClient, launch: Launch) -> None:
    launch("baseline/majority")
    right = predictions(client)
    axolotl = send(client, {"config.yaml": YAML.encode(), "predictions.jsonl": right}, "axolotl").json()
    told = {name: line["resolved"] for name, line in axolotl["ledger"].items()}
    assert told == {
        "base_model": "Qwen/Qwen3-0.6B",
        "learning_rate": 2e-4,
        "max_seq_len": 512,
        "packing": True,
    }
    logged = {
        "params": {"learning_rate": "0.0002", "num_train_epochs": "3", "note": "hi"},
        "metrics": {"loss": [[5, 0.5]]},
    }
    files = {"mlflow_run.json": json.dumps(logged).encode(), "predictions.jsonl": right}
    found = send(client, files, "mlflow").json()
    assert found["ledger"]["epochs"] == {"asked": None, "sent": None, "resolved": 3, "source": "MLflow"}
    assert client.get(f"/api/v1/runs/{found['id']}/metrics").json()["series"] == {"loss": [[5, 0.5]]}
    assert "hf_secret" not in str(axolotl)


def test_strange_values_are_stored(client: TestClient, launch: Launch) -> None:
    launch("baseline/majority")
    files = {"predictions.jsonl": predictions(client)}
    for value in ("\0x", "\ud800", 10**300, 2**70, "x" * 10_000):
        params = {"seed": value, "x": value, f"name {value}": 1}
        files["mlflow_run.json"] = json.dumps({"params": params}).encode()
        answer = send(
            client, files, f"try {str(value).encode().hex()[:20] if value != chr(0xD800) else 'half'}"
        )
        assert answer.status_code == 201, answer.text
    assert client.get(f"/runs/{answer.json()['id']}").status_code == 200


@pytest.mark.laptop
@pytest.mark.parametrize(
    ("files", "more", "words"),
    [
        (folder(), {}, "is a folder of another machine"),
        ({"adapter_config.json": b"{}"}, {}, "Nothing in the zip is of a training"),
        ({"adapter_config.json": b'{"r": 8}'}, {}, "neither weights (safetensors) nor predictions"),
        (
            {"adapter_config.json": b"[]", "adapter_model.safetensors": WEIGHTS},
            {},
            "adapter_config.json is no JSON object",
        ),
        (folder(adapter_model__bin=b"x"), {}, "can run code when it is loaded"),
        (folder(), {"base": "/etc"}, "is a folder of another machine"),
        (folder(), {"name": "../x"}, "cannot be a name"),
        (folder(), {"name": ""}, "has no name"),
        ({"a.txt": b"x"}, {}, "Nothing in the zip is of a training"),
        ({"model.yaml": b"a: 1", "x.txt": b"0" * 500_000_000}, {}, "holds more than it should"),
    ],
)
def test_what_cannot_be_used_is_explained(
    client: TestClient, launch: Launch, files: dict[str, bytes], more: dict[str, str], words: str
) -> None:
    launch("baseline/majority")
    if "x.txt" in files:
        files = {**files, "x.txt": b"0" * 80_000_000}
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        answer = client.post(EXPERIMENT, data={"name": "x"}, files={"file": ("x.zip", out.getvalue())})
    else:
        answer = send(client, files, **{"name": "cluster", **more})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


@pytest.mark.laptop
def test_nothing_is_kept_of_a_refused_one(
    client: TestClient, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    [first] = launch("baseline/majority")
    broken = folder(predictions__jsonl=predictions(client), adapter_model__safetensors=b"no header")
    answer = send(client, broken)
    assert answer.status_code == 422
    assert "is no safetensors file" in answer.json()["detail"]
    assert not run_folder(first + 1).exists() or not any(run_folder(first + 1).iterdir())
    page = client.post("/experiments/1/adopted", data={"name": "x"}, files={"file": ("x.zip", b"no zip")})
    assert page.status_code == 422
    assert "The file is no zip." in page.text
    assert client.get("/experiments/1/adopted").status_code == 200
    assert adopt.NAME.match("first try, 2") is None


@pytest.mark.slow
@pytest.mark.train
def test_an_adapter_predicts_here_and_is_not_trained(
    client: TestClient, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real adapter of PEFT, with real arguments of Transformers, on a base model of this machine."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, TrainingArguments

    from tests.training.base_model import make_base

    base = make_base(tmp_path / "models" / "base")
    monkeypatch.setenv("TUNEBOOK_MODEL_DIRS", str(tmp_path / "models"))
    settings.cache_clear()
    made = tmp_path / "lora"
    torch.manual_seed(3)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(made)
    arguments = TrainingArguments(
        output_dir="/gone", learning_rate=3e-4, lr_scheduler_type="linear", report_to=[], seed=11
    )
    torch.save(arguments, made / "training_args.bin")
    drive(*launch("baseline/majority"))
    files = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    answer = send(client, files)
    assert answer.status_code == 201, answer.text
    [run] = drive(answer.json()["id"], seconds=200)
    assert (run.state, run.error) == (RunState.DONE, "")
    assert (run.model, run.variant, run.seed) == ("hf/base", "adopted: cluster", 11)
    assert run.ledger["learning_rate"]["resolved"] == 3e-4
    assert run.ledger["learning_rate"]["source"] == "training_args.bin"
    assert run.ledger["schedule"]["resolved"] == "linear"
    kept = run_folder(run.id or 0) / "out" / "adapter" / "adapter_model.safetensors"
    assert kept.read_bytes() == files["adapter_model.safetensors"]
    shown = client.get(f"/api/v1/runs/{run.id}").json()
    assert shown["items"] == 12
    assert client.get(f"/api/v1/runs/{run.id}/metrics").json()["series"] == {}
