"""Trained tokens per second of the built-in trainer on the processor, against TRL's SFTTrainer with its defaults and a
plain loop that puts rows of like length together: same model, rows, batch size, epochs and loss.

`python -m tests.bench training`. The model (0.85 M parameters) and the rows are made here. All contenders run in turn,
TRAINING_ROUNDS times (3), and the fastest of each counts, by the processor time of its one thread, which other work on
the machine does not change. Padding does not count as tokens.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench import Figure, at_least, at_most

ROUNDS = int(os.environ.get("TRAINING_ROUNDS", "3"))
THREADS = int(os.environ.get("TRAINING_THREADS", "1"))
ROWS, EPOCHS, BATCH = 400, 6, 8
# A loss within so much of the others', as a part of what training took off, counts as the same training.
SAME_LOSS = 0.1
WORDS = ("stone", "river", "copper", "lamp", "violet", "thunder", "paper", "salt", "ash", "window")
METALS, ANSWERS = ("Iron", "Gold", "Zinc", "Tin"), ("metal", "none")


def figures() -> Iterator[Figure]:
    """Ratios of tokens per second, and how far the final losses lie apart."""
    with tempfile.TemporaryDirectory(prefix="tunebook-bench-") as folder:
        base = Path(folder) / "model-0.85M"
        rows = made_rows(ROWS)
        make_model(base, rows)
        for method, rate in (("full", 5e-4), ("lora", 2e-3)):
            short = {"method": method, "learning_rate": rate, "max_seq_len": 512}
            found = race(Path(folder), base, rows, short, ("builtin", "trl", "trl_lean", "plain"))
            yield at_least(
                f"training_{method}_short_rows_over_trl", ratio(found, "builtin", "trl"), "times", 2.0
            )
            yield at_least(
                f"training_{method}_short_rows_over_plain", ratio(found, "builtin", "plain"), "times", 1.0
            )
            yield at_most(
                f"training_{method}_loss_beside_plain", apart(found, "builtin", "plain"), "nats", SAME_LOSS
            )
            packed = short | {"packing": True, "batch_size": 1}
            found = race(Path(folder), base, rows, packed, ("builtin", "trl_packed"))
            yield at_least(
                f"training_{method}_packed_over_trl", ratio(found, "builtin", "trl_packed"), "times", 1.2
            )
            yield at_most(
                f"training_{method}_packed_loss", apart(found, "builtin", "trl_packed"), "nats", SAME_LOSS
            )


def ratio(found: dict[str, dict[str, float]], ours: str, theirs: str) -> float:
    """How many times as many tokens a second."""
    return found[theirs]["processor_seconds"] / found[ours]["processor_seconds"]


def apart(found: dict[str, dict[str, float]], ours: str, theirs: str) -> float:
    """How much higher our loss on the training rows is at the end; 0 when it is lower."""
    return max(0.0, found[ours]["loss"] - found[theirs]["loss"])


def made_rows(count: int) -> list[dict[str, Any]]:
    """Chats of 20 to about 250 tokens, whose answer says whether a metal is among the words."""
    chance, rows = random.Random(1), []
    for number in range(count):
        words = [chance.choice(WORDS) for _ in range(min(80, 3 + int(chance.expovariate(1 / 12))))]
        answer = ANSWERS[number % 2]
        if answer == "metal":
            words[chance.randrange(len(words))] = chance.choice(METALS)
        rows.append({
            "item": f"item-{number}", "number": number, "line": number + 1,
            "messages": [
                {"role": "system", "content": "Is there a metal among the words, or none?"},
                {"role": "user", "content": " ".join(words)},
                {"role": "assistant", "content": answer},
            ],
        })  # fmt: skip
    return rows


def make_model(folder: Path, rows: list[dict[str, Any]]) -> None:
    """A Llama with random weights and a tokenizer made from the rows."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from workers.training.starter_tokenizer import make_tokenizer, save_tokenizer

    tokenizer = make_tokenizer(iter(rows), 1024)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=max(1024, tokenizer.get_vocab_size()), hidden_size=128, intermediate_size=336, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=2048, pad_token_id=0, eos_token_id=1,
        bos_token_id=None, tie_word_embeddings=True, initializer_range=0.1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 2048)


def race(
    folder: Path, base: Path, rows: list[dict[str, Any]], changes: dict[str, Any], names: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """The fastest of each contender's rounds."""
    bundle = folder / "bundle"
    write_bundle(bundle, base, rows, changes)
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name in names:
            said = _run(name, bundle)
            if name not in best or said["processor_seconds"] < best[name]["processor_seconds"]:
                best[name] = said
    for name, said in best.items():
        rate, loss = said["tokens"] / said["processor_seconds"], said["loss"]
        print(f"# {changes['method']:5} {name:10} {rate:8,.0f} tokens/s, loss {loss:.4f}", flush=True)
    return best


def write_bundle(bundle: Path, base: Path, rows: list[dict[str, Any]], changes: dict[str, Any]) -> None:
    """What all contenders read."""
    from app.trainers.builtin.fields import hyperparameters

    values = {field.name: field.default for field in hyperparameters("hf/bench")}
    values |= {"epochs": EPOCHS, "batch_size": BATCH, "gradient_accumulation": 1, **changes}
    config = {
        "launch_key": "bench", "kind": "hf", "model": "hf/bench", "model_path": str(base), "task": "text", "labels": [],
        "hyperparameters": values, "seed": 1, "threads": THREADS, "max_new_tokens": 8, "predict": ["test"],
        "checkpoint_seconds": 1e9,
    }  # fmt: skip
    bundle.mkdir(exist_ok=True)
    (bundle / "config.json").write_text(json.dumps(config))
    (bundle / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _run(name: str, bundle: Path) -> dict[str, float]:
    environment = os.environ | {
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": str(THREADS),
        "ACCELERATE_USE_CPU": "1",
    }
    command = [sys.executable, "-W", "ignore", "-m", "tests.bench._training", name, str(bundle)]
    answer = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found
