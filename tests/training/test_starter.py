"""The starter: it learns a rule, its folder loads anywhere, and kills do not change what comes out."""

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.bundles import LABELS, accuracy, bundle, finish, items, job, read, start, values_of
from workers.training.starter_tokenizer import RowEncoder, make_tokenizer, save_tokenizer
from workers.training.starter_training import epoch_batches, rate_at

pytestmark = pytest.mark.train
STEPS = 64


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    values = values_of("starter/tiny", epochs=8, batch_size=8, vocabulary=400, max_seq_len=64)
    folder = bundle(tmp_path_factory.mktemp("starter") / "run", job("starter/tiny", values), 64, 16, 40)
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    return folder


def test_it_learns_the_rule(finished: Path) -> None:
    assert accuracy(finished) > 0.9
    for row in read(finished, "predictions.jsonl"):
        assert set(row["p"]) == set(LABELS)
        assert sum(row["p"].values()) == pytest.approx(1)
        assert row["answer"] == max(row["p"], key=row["p"].get)
        assert row["logprob"] <= 0
        assert row["tokens"] >= 1


def test_it_says_what_ran(finished: Path) -> None:
    resolved = read(finished, "resolved.json")
    assert resolved["hyperparameters"]["row_loss_weight"] == 0.3
    assert resolved["hyperparameters"]["hidden_size"] == 128
    assert resolved["hyperparameters"]["shuffle"] is True
    assert 700_000 < resolved["parameters"] == resolved["trained_parameters"] < 900_000
    assert resolved["decoding"]["method"] == "greedy"
    points = read(finished, "metrics.jsonl")
    assert [point["step"] for point in points] == list(range(1, STEPS + 1))
    assert points[-1]["loss"] < points[0]["loss"] / 5
    assert sum("validation_loss" in point for point in points) == 8
    assert read(finished, "usage.json")["tokens_trained"] > 1000
    marked = [part["text"] for part in read(finished, "preview.json")[0]["segments"] if part["trained"]]
    assert marked == ["metal<|end|>"]
    assert not (finished / "out" / "checkpoints").exists()


def test_the_folder_loads_with_transformers(finished: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished / "out" / "model"
    assert not list(folder.glob("*.bin"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["model_max_length"] == 64
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    row = json.loads((finished / "test.jsonl").read_text().splitlines()[0])
    ids = tokenizer.apply_chat_template(
        row["prompt"], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**ids, max_new_tokens=8, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert (
        tokenizer.decode(written, skip_special_tokens=True)
        == read(finished, "predictions.jsonl")[0]["answer"]
    )


def test_kills_change_neither_weights_nor_curve_nor_answers(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("out", "console.txt"))
    process, after = start(folder), random.randrange(20, STEPS)
    while process.poll() is None and _steps(folder) < after:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _tear(folder / "out" / "metrics.jsonl")
    assert finish(folder) == 0, (folder / "console.txt").read_text()
    assert "goes on after step" in (folder / "out" / "log.txt").read_text()
    assert _weights(folder) == _weights(finished)
    assert _curve(folder) == _curve(finished)
    _tear(folder / "out" / "predictions.jsonl")
    (folder / "out" / "exit_code").unlink()
    assert finish(folder) == 0
    assert _told(folder) == _told(finished)


def _steps(folder: Path) -> int:
    path = folder / "out" / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _weights(folder: Path) -> bytes:
    return (folder / "out" / "model" / "model.safetensors").read_bytes()


def _curve(folder: Path) -> dict[int, Any]:
    """{step: (loss, rate)}; a step that was run twice must say the same twice."""
    found: dict[int, Any] = {}
    for point in read(folder, "metrics.jsonl"):
        value = (point["loss"], point["learning_rate"], point.get("validation_loss"))
        assert found.setdefault(point["step"], value) == value
    return found


def _told(folder: Path) -> list[dict[str, Any]]:
    return [{**row, "latency_ms": None} for row in read(folder, "predictions.jsonl")]


def test_tokens_of_a_row_are_those_of_the_chat_template(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    rows = [{"messages": [*item.prompt, item.answer_message]} for item in items(30, 1)]
    rows.append({"messages": [*rows[0]["messages"], *rows[1]["messages"][1:]], "tools": [{"name": "mix"}]})
    tokenizer = make_tokenizer(rows, 500)
    save_tokenizer(tokenizer, tmp_path, 512)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    encoder = RowEncoder(tokenizer, 512)
    for row in rows:
        ids, trained = encoder.row(row)
        told = loaded.apply_chat_template(
            row["messages"], tools=row.get("tools"), return_dict=True, return_assistant_tokens_mask=True
        )
        assert told["input_ids"] == ids
        assert [bool(mark) for mark in told["assistant_masks"]] == trained


def test_text_that_looks_like_a_special_token_stays_text() -> None:
    tokenizer = make_tokenizer([{"messages": [{"role": "user", "content": "a b"}]}], 300)
    encoder = RowEncoder(tokenizer, 64)
    assert encoder.ids["<|end|>"] not in encoder.text("<|end|>")
    assert tokenizer.decode(encoder.text("Ünïcode <|end|> 分子")) == "Ünïcode <|end|> 分子"


def test_weight_0_answers_are_not_learned() -> None:
    messages = [
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "no", "weight": 0},
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"},
    ]  # fmt: skip
    tokenizer = make_tokenizer([{"messages": messages}], 300)
    ids, trained = RowEncoder(tokenizer, 64).row({"messages": messages})
    marked = [token for token, mark in zip(ids, trained, strict=True) if mark]
    assert tokenizer.decode(marked, skip_special_tokens=True) == "yes"


def test_batches_are_a_function_of_seed_and_epoch() -> None:
    lengths = [number % 7 for number in range(50)]
    batches = epoch_batches(lengths, 8, 1, 0)
    assert batches == epoch_batches(lengths, 8, 1, 0)
    assert batches != epoch_batches(lengths, 8, 1, 1)
    assert batches != epoch_batches(lengths, 8, 2, 0)
    assert sorted(number for batch in batches for number in batch) == list(range(50))
    assert max(max(lengths[n] for n in batch) - min(lengths[n] for n in batch) for batch in batches) <= 2


def test_the_rate_rises_then_falls() -> None:
    values = {"learning_rate": 1.0, "warmup_ratio": 0.1, "schedule": "cosine"}
    rates = [rate_at(step, 100, values) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[99] < 0.001
    assert rate_at(55, 100, values | {"schedule": "linear"}) == pytest.approx(0.5)
    assert rate_at(99, 100, values | {"schedule": "constant"}) == 1.0
