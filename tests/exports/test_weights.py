"""Adapters merged into their base, and the Cog package: really loaded and asked in processes of their own."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import Conflict
from app.exports.weights import whole_model
from app.storage import export_file, export_work, run_folder
from tests.exports.conftest import export_now
from tests.exports.test_gguf import make_llama
from tests.training.bundles import bundle, items, job, values_of

ROWS = [{"messages": [*i.prompt, i.answer_message]} for i in items(4, 1)]


def make_adapter(run_id: int, base: Path) -> None:
    """A LoRA adapter with random weights on every linear layer, as a done run leaves it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(2)
    config = LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"
    )
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    values = values_of("hf/small-llama", max_seq_len=64)
    bundle(run_folder(run_id), job("hf/small-llama", values, model_path=str(base)), 8)
    model.save_pretrained(run_folder(run_id) / "out" / "adapter")


def asked(client: Any, run_id: int, kind: str, **more: Any) -> Any:
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": kind, **more})
    assert answer.status_code == 202, answer.text
    made = export_now(answer.json()["id"])
    assert (made.state, made.error) == ("ready", "")
    assert not export_work(made.id or 0).exists()
    return made


@pytest.mark.train
def test_the_merged_model_says_what_base_and_adapter_say(client: Any, finished: Any, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = make_llama(tmp_path / "base")
    run_id = finished("hf/small-llama", "adapter")
    make_adapter(run_id, base)
    made = asked(client, run_id, "merged")
    folder = tmp_path / "merged"
    with zipfile.ZipFile(export_file(made.id or 0)) as archive:
        archive.extractall(folder)
    merged: Any = AutoModelForCausalLM.from_pretrained(folder)
    plain: Any = AutoModelForCausalLM.from_pretrained(base)
    ids = AutoTokenizer.from_pretrained(folder)("copper river Zinc", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        before = plain(ids).logits
        both = PeftModel.from_pretrained(plain, str(run_folder(run_id) / "out" / "adapter"))(ids).logits
        after = merged(ids).logits
    assert (after - both).abs().max() < 1e-4
    assert (after - before).abs().max() > 1e-2
    assert merged.generation_config.eos_token_id == [1]


@pytest.mark.train
def test_a_base_that_is_gone_is_told(client: Any, finished: Any, tmp_path: Path) -> None:
    run_id = finished("hf/small-llama", "adapter")
    make_adapter(run_id, make_llama(tmp_path / "base"))
    (tmp_path / "base" / "config.json").unlink()
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "merged"}).json()
    made = export_now(answer["id"])
    assert made.state == "failed"
    assert "holds no config.json" in made.error
    again = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "merged"}).json()
    assert (again["state"], again["error"]) == ("queued", None)


STAND_IN = """
class BasePredictor: pass
def Input(description="", default=None, **limits): return default
"""
ASK = """
import json, predict
predictor = predict.Predictor()
predictor.setup()
rows = json.load(open("rows.json"))
print(json.dumps([predictor.predict(prompt=u, system=s, max_new_tokens=8) for s, u in rows]))
"""


@pytest.mark.train
def test_the_cog_package_answers_as_the_model_does(client: Any, finished: Any, tmp_path: Path) -> None:
    import yaml
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run_id = finished("starter/tiny", "model")
    folder = make_llama(run_folder(run_id) / "out" / "model")
    made = asked(client, run_id, "cog")
    package = tmp_path / "package"
    with zipfile.ZipFile(export_file(made.id or 0)) as archive:
        archive.extractall(package)
    assert yaml.safe_load((package / "cog.yaml").read_text())["predict"] == "predict.py:Predictor"
    (package / "cog.py").write_text(STAND_IN)
    chats = [[turn["content"] for turn in row["messages"][:2]] for row in ROWS]
    (package / "rows.json").write_text(json.dumps(chats))
    done = subprocess.run(
        [sys.executable, "-c", ASK], cwd=package, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    wanted = []
    for row in ROWS:
        ids = tokenizer.apply_chat_template(
            row["messages"][:2], add_generation_prompt=True, return_tensors="pt"
        )["input_ids"]
        out = model.generate(ids, max_new_tokens=8, do_sample=False)
        wanted.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    assert json.loads(done.stdout) == wanted
    assert any(wanted)


def test_a_run_without_weights_has_none_to_share(client: Any, finished: Any) -> None:
    run_id = finished("baseline/majority")
    answer = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "merged"})
    assert answer.status_code == 409
    assert "no trained weights" in answer.json()["detail"]


def test_the_same_again_is_the_same_export(client: Any, finished: Any) -> None:
    run_id = finished("baseline/majority")
    made = asked(client, run_id, "model-card", license="mit")
    again = client.post(
        f"/api/v1/runs/{run_id}/exports", json={"kind": "model-card", "license": "mit"}
    ).json()
    other = client.post(
        f"/api/v1/runs/{run_id}/exports", json={"kind": "model-card", "license": "other"}
    ).json()
    assert (again["id"], again["state"]) == (made.id, "ready")
    assert other["id"] != made.id


def test_the_page_offers_shows_and_removes(client: Any, finished: Any) -> None:
    run_id = finished("baseline/majority")
    first = client.get(f"/runs/{run_id}/exports").text
    assert "Model card" in first
    assert "GGUF" not in first, "a baseline has no weights"
    asked = client.post(
        f"/runs/{run_id}/exports",
        data={"kind": "model-card", "license": "mit", "language": "", "dataset_repo": ""},
    )
    assert 'hx-trigger="every 1s"' in asked.text
    export_id = client.get(f"/api/v1/runs/{run_id}/exports").json()["exports"][0]["id"]
    assert client.get(f"/api/v1/exports/{export_id}/file").status_code == 409
    export_now(export_id)
    page = client.get(f"/runs/{run_id}/exports").text
    assert f'href="/exports/{export_id}/file"' in page
    assert "hx-trigger" not in page
    file = client.get(f"/exports/{export_id}/file")
    assert file.headers["content-disposition"].endswith(
        f'filename="run-{run_id}-baseline-majority-README.md"'
    )
    assert file.text.startswith("---\nlicense: mit\n")
    gone = client.post(f"/exports/{export_id}/remove", follow_redirects=False)
    assert gone.headers["location"] == f"/runs/{run_id}/exports"
    assert not export_file(export_id).exists()
    bad = client.post(f"/runs/{run_id}/exports", data={"kind": "model-card", "license": "My Own!"})
    assert bad.status_code == 422
    assert "an identifier such as apache-2.0" in bad.text


def test_an_adapter_in_its_trainer_s_own_form_is_not_merged_here(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "adapter").mkdir(parents=True)
    (out / "adapter" / "adapters.safetensors").write_bytes(b"")
    work: Any = SimpleNamespace(run=SimpleNamespace(id=7), run_folder=tmp_path, folder=tmp_path, say=print)
    with pytest.raises(Conflict, match="its trainer's own form"):
        whole_model(work)
    (out / "merged").mkdir()
    (out / "merged" / "config.json").write_text("{}")
    assert whole_model(work) == out / "merged"
