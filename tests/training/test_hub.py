"""LoRA and full fine-tuning on a small model folder that the test makes."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.runs.bundle import bundle_files
from tests.training.base_model import make_base
from tests.training.bundles import LABELS, accuracy, bundle, finish, items, job, read, values_of
from workers.training.failures import Failure
from workers.training.starter_tokenizer import make_tokenizer

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("models") / "small-llama")


def _bundle(folder: Path, base: Path, train: int = 64, **changes: Any) -> Path:
    values = values_of("hf/small-llama", max_seq_len=64, **changes)
    return bundle(folder, job("hf/small-llama", values, model_path=str(base)), train, 8, 20)


@pytest.fixture(scope="module")
def adapted(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LoRA run."""
    folder = _bundle(
        tmp_path_factory.mktemp("lora") / "run", base, 128, epochs=8, learning_rate=5e-3, lora_r=8, batch_size=8,
        gradient_accumulation=1,
    )  # fmt: skip
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


def test_peft_loads_the_adapter_and_repeats_the_answers(adapted: Path, base: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = adapted / "out" / "adapter"
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (8, "small-llama")
    assert config["target_modules"] == sorted(config["target_modules"])
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    told = {row["item"]: row["answer"] for row in read(adapted, "predictions.jsonl")}
    for line in (adapted / "test.jsonl").read_text().splitlines()[:5]:
        row = json.loads(line)
        ids = tokenizer.apply_chat_template(
            row["prompt"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        written = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert tokenizer.decode(written, skip_special_tokens=True) == told[row["item"]]


def test_it_learns_and_says_what_ran(adapted: Path) -> None:
    assert accuracy(adapted) >= 0.8
    resolved = read(adapted, "resolved.json")
    assert resolved["hyperparameters"]["precision"] in ("fp32", "bf16")
    assert 0 < resolved["trained_parameters"] < resolved["parameters"]
    assert len(resolved["base"]["sha256"]) == 64
    points = read(adapted, "metrics.jsonl")
    assert any("validation_loss" in point for point in points)
    losses = [point["loss"] for point in points if "loss" in point]
    assert len(losses) == 128
    assert losses[-1] < losses[0] / 2
    marked = [part["text"] for part in read(adapted, "preview.json")[0]["segments"] if part["trained"]]
    assert marked == ["metal<|end|>"]
    assert all(set(row["p"]) == set(LABELS) for row in read(adapted, "predictions.jsonl"))


def test_the_bundles_one_command_repeats_the_answers_item_by_item(
    adapted: Path, base: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "downloaded"
    for path in bundle_files(adapted):
        target = folder / path.relative_to(adapted)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
        assert str(base).encode() not in path.read_bytes(), path
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "HOME": str(tmp_path)}

    def run(**more: str) -> "subprocess.CompletedProcess[str]":
        command = ["sh", "run.sh", "--check"]
        env = environment | more
        return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=240)

    missing = run()
    assert missing.returncode == 1
    assert "The model folder ./small-llama is not there" in missing.stderr + missing.stdout
    done = run(MODEL=str(base))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20 answers agree." in done.stdout


def test_a_model_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    from workers.training.hub_model import load_tokenizer
    from workers.training.job import read_job

    folder = _bundle(tmp_path / "run", tmp_path / "no-such-model")
    with pytest.raises(Failure, match=r"no-such-model is not there or holds no config\.json"):
        load_tokenizer(read_job(folder))
    (tmp_path / "no-such-model").mkdir()
    (tmp_path / "no-such-model" / "config.json").write_text("{}")
    (tmp_path / "no-such-model" / "pytorch_model.bin").write_text("")
    with pytest.raises(Failure, match=r"no \.safetensors file"):
        load_tokenizer(read_job(folder))


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML


def _tokenizer(template: str | None) -> Any:
    from transformers import PreTrainedTokenizerFast

    rows = ({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1))
    return PreTrainedTokenizerFast(
        tokenizer_object=make_tokenizer(rows, 400),
        eos_token="<|end|>",
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
        chat_template=template,
    )


@pytest.mark.parametrize("template", [None, CHATML, NO_SYSTEM])
def test_the_loss_is_taken_on_the_answer_alone_with_any_template(template: str | None) -> None:
    from workers.training.hub_chat import ChatEncoder

    [item] = items(1, 1)
    row = {"messages": [*item.prompt, item.answer_message]}
    tokenizer = _tokenizer(template)
    encoder = ChatEncoder(tokenizer, 64, row)
    ids, trained = encoder.row(row)
    marked = tokenizer.decode([token for token, mark in zip(ids, trained, strict=True) if mark])
    end = "<|im_end|>\n" if template else "<|end|>"
    assert marked == f"metal{end}"
    assert "Metal or none?" in tokenizer.decode(ids)
    asked = {"prompt": item.prompt}
    assert encoder.prompt(asked, 8) == ids[: trained.index(True)]
    assert tokenizer.decode(encoder.label(asked, "none")) == f"none{end.strip()}"
    assert tokenizer.convert_tokens_to_ids(end.strip()) in encoder.ends
    assert tokenizer.pad_token is not None


def test_a_long_row_keeps_its_answer() -> None:
    from workers.training.hub_chat import ChatEncoder

    [item] = items(1, 1)
    row = {"messages": [*item.prompt, item.answer_message]}
    tokenizer = _tokenizer(CHATML)
    encoder = ChatEncoder(tokenizer, 8, row)
    ids, trained = encoder.row(row)
    assert encoder.cut == 1
    assert len(ids) == len(trained) == 8
    assert "metal" in tokenizer.decode(ids)
    assert any(trained)


def test_every_answer_of_a_chat_is_learned_where_the_template_marks_them() -> None:
    from workers.training.hub_chat import ChatEncoder

    first, second = items(2, 1)
    messages = [*first.prompt, first.answer_message, second.prompt[1], second.answer_message]
    tokenizer = _tokenizer(None)
    encoder = ChatEncoder(tokenizer, 128, {"messages": messages})
    ids, trained = encoder.row({"messages": messages})
    assert (
        tokenizer.decode([t for t, mark in zip(ids, trained, strict=True) if mark])
        == "metal<|end|>none<|end|>"
    )
    messages = [*first.prompt, {**first.answer_message, "weight": 0}, second.prompt[1], second.answer_message]
    ids, trained = encoder.row({"messages": messages})
    assert tokenizer.decode([t for t, mark in zip(ids, trained, strict=True) if mark]) == "none<|end|>"
