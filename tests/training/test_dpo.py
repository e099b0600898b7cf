"""Preference training (DPO) on a small model folder that the test makes: real runs of the training process."""

import json
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.datasets.stored import StoredItem
from app.runs.bundle import write_bundle
from app.trainers.builtin import TRAINER
from tests.training.bundles import LABELS, finish, items, job, read, start, values_of
from workers.training.starter_tokenizer import make_tokenizer, save_tokenizer

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 0.1 M parameters with random weights, as a Hugging Face folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "small-llama"
    tokenizer = make_tokenizer(({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1)), 400)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128, pad_token_id=0,
        eos_token_id=1, bos_token_id=None, initializer_range=0.15,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 128)
    return folder


def pairs(count: int, seed: int, first: int = 0) -> list[StoredItem]:
    """Items whose rejected answer is the other label; every eighth has none."""
    found = []
    for item in items(count, seed, first):
        other = LABELS[1 - LABELS.index(item.answer)]
        rejected = None if item.number % 8 == 7 else {"role": "assistant", "content": other}
        found.append(replace(item, rejected_message=rejected))
    return found


def _bundle(folder: Path, base: Path, **changes: Any) -> Path:
    values = values_of("hf/small-llama", max_seq_len=64, objective="dpo", batch_size=8, **changes)
    rendered = TRAINER.render(job("hf/small-llama", values, model_path=str(base)))
    config = json.loads(rendered.files["config.json"]) | {"checkpoint_seconds": 0.1}
    parts = {"train": pairs(64, 1), "validation": pairs(16, 2, first=64), "test": items(20, 3, first=80)}
    write_bundle(folder, {**rendered.files, "config.json": json.dumps(config)}, rendered.code, parts)
    return folder


LORA = {"epochs": 10, "learning_rate": 5e-3, "lora_r": 8, "gradient_accumulation": 1}


@pytest.fixture(scope="module")
def preferring(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished DPO run with LoRA."""
    folder = _bundle(tmp_path_factory.mktemp("dpo") / "run", base, **LORA)
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


def test_the_margin_rises_and_the_wanted_answers_are_preferred(preferring: Path) -> None:
    points = [point for point in read(preferring, "metrics.jsonl") if "preference_margin" in point]
    assert len(points) == 70
    first, last = points[0], points[-1]
    # Before any step the model is its own reference: no margin, and the loss of a coin.
    assert first["preference_margin"] == pytest.approx(0, abs=1e-5)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert last["preference_margin"] > 1
    assert last["loss"] < 0.3
    assert last["preference_accuracy"] > 0.9
    assert any("validation_loss" in point for point in read(preferring, "metrics.jsonl"))
    told = {json.loads(line)["item"]: json.loads(line)["expected"] for line in _test_rows(preferring)}
    chances = [row["p"][told[row["item"]]] for row in read(preferring, "predictions.jsonl")]
    assert sum(chance > 0.5 for chance in chances) >= 16


def _test_rows(folder: Path) -> list[str]:
    return (folder / "test.jsonl").read_text().splitlines()


def test_it_says_what_ran(preferring: Path) -> None:
    ran = read(preferring, "resolved.json")["hyperparameters"]
    assert (ran["objective"], ran["dpo_beta"], ran["pairs"]) == ("dpo", 0.1, 56)
    assert ran["loss"] == "DPO (sigmoid)"
    log = (preferring / "out" / "log.txt").read_text()
    assert "learns from 56 pairs of answers" in log
    assert "8 training items have no rejected answer and are left out" in log
    assert "2 validation items have no rejected answer and are left out" in log
    marked = [part["text"] for part in read(preferring, "preview.json")[0]["segments"] if part["trained"]]
    assert marked == ["metal<|end|>"]


def test_the_adapter_is_loaded_by_peft_and_prefers_as_it_was_trained_to(preferring: Path, base: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = preferring / "out" / "adapter"
    assert {path.name for path in folder.iterdir() if path.is_dir()} == set()
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    gained = []
    for line in (preferring / "train.jsonl").read_text().splitlines()[:6]:
        row = json.loads(line)
        chances = []
        for answer in (row["messages"][-1], row["rejected"]):
            ids = tokenizer.apply_chat_template(
                [*row["messages"][:-1], answer], return_tensors="pt", return_dict=True
            )["input_ids"]
            chances.append(_logprob(torch, model, ids))
            with model.disable_adapter():
                chances.append(_logprob(torch, model, ids))
        gained.append((chances[0] - chances[1]) - (chances[2] - chances[3]))
    assert min(gained) > 0
    assert sum(gained) / len(gained) > 5


def _logprob(torch: Any, model: Any, ids: Any) -> float:
    with torch.inference_mode():
        logits = model(ids).logits[:, :-1].log_softmax(-1)
    return float(logits.gather(-1, ids[:, 1:, None]).sum())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_goes_on_after_a_kill_as_if_nothing_had_been(method: str, base: Path, tmp_path: Path) -> None:
    changes = {**LORA, "method": method, "epochs": 30, "gradient_accumulation": 2}
    whole = _bundle(tmp_path / "whole", base, **changes)
    assert finish(whole) == 0, (whole / "console.txt").read_text()
    folder = _bundle(tmp_path / "killed", base, **changes)
    process = start(folder)
    while process.poll() is None and not list((folder / "out").glob("checkpoints/*/complete.json")):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    assert "goes on from checkpoint-" in (folder / "out" / "log.txt").read_text()
    name = "adapter/adapter_model.safetensors" if method == "lora" else "model/model.safetensors"
    assert (whole / "out" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_without_a_pair_it_says_so(base: Path, tmp_path: Path) -> None:
    folder = _bundle(tmp_path / "run", base, **LORA)
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    lines = [json.dumps({name: row[name] for name in row if name != "rejected"}) + "\n" for row in rows]
    (folder / "train.jsonl").write_text("".join(lines))
    assert finish(folder) == 1
    assert "No training item has a rejected answer" in read(folder, "error.json")["message"]


def test_a_long_pair_keeps_both_answers() -> None:
    from transformers import PreTrainedTokenizerFast

    from workers.training.hub_chat import ChatEncoder

    first = pairs(1, 1)[0]
    row = {"messages": [*first.prompt, first.answer_message], "rejected": first.rejected_message}
    made = make_tokenizer(({"messages": [*i.prompt, i.answer_message]} for i in items(64, 1)), 400)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>")
    short, long = ChatEncoder(tokenizer, 6, row), ChatEncoder(tokenizer, 64, row)
    whole, cut = long.pair(row), short.pair(row)
    assert tokenizer.decode(whole["chosen_ids"]) == "metal<|end|>"
    assert tokenizer.decode(whole["rejected_ids"]) == "none<|end|>"
    assert (long.cut, short.cut) == (0, 1)
    assert cut["chosen_ids"] == whole["chosen_ids"]
    assert cut["prompt_ids"] == whole["prompt_ids"][-len(cut["prompt_ids"]) :]
    assert max(len(cut["chosen_ids"]), len(cut["rejected_ids"])) + len(cut["prompt_ids"]) == 6
