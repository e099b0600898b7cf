"""MLX: mlx_lm.lora on chats, then answers by MLX itself."""

import json
import math
import random
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from ..failures import Failure
from ..files import read_json, write_folder
from ..job import Job
from ..predict import note_decoding, tell_cut
from ..predict import predict as answer
from ..reporting import Reporter
from ..template_limit import limited
from ._hub import chats, encoder_of, number, write_rows
from ._progress import Step
from ._resolved import flatten
from ._run import data, work
from ._script import script

PACKAGES = ("jinja2", "mlx", "mlx-lm", "numpy", "safetensors", "tokenizers", "transformers")
PROGRESS_FILE = "metrics.jsonl"
CONFIG = "mlx.yaml"
WEIGHTS = ("adapter_config.json", "adapters.safetensors")
# Rows whose tokens are compared with those that are predicted with.
COMPARED = 20
SCHEDULES = {"cosine_decay": "cosine"}


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl and data/valid.jsonl, filled up to whole batches: MLX leaves out what does not fill one."""
    encoder = encoder_of(job, base)
    for row in job.train[:COMPARED]:
        _compare(job, encoder, row)
    whole = [len(_tokens(encoder, row)) for row in job.train]
    longest, allowed = max(whole), int(job.values["max_seq_len"])
    if longest > allowed:
        raise Failure(
            f"{sum(length > allowed for length in whole):,} rows are longer than the {allowed:,} tokens allowed, and MLX "
            "would cut off their answers.",
            f"Set the longest row to {longest:,} tokens, or train with another trainer, which cuts the beginning.",
        )
    size = int(job.values["batch_size"])
    for name, rows in (("train", job.train), ("valid", job.validation)):
        if rows:
            write_rows(data(job) / f"{name}.jsonl", filled(_rows(encoder, rows), size, job.seed))


def _rows(encoder: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Chats as the template takes them: some want the system message within the user's first."""
    return chats([{**row, "messages": encoder.chat(row["messages"])} for row in rows])


def _tokens(encoder: Any, row: dict[str, Any]) -> list[int]:
    chat = _rows(encoder, [row])[0]["messages"]
    with limited():
        return list(encoder.tokenizer.apply_chat_template(chat, tokenize=True, return_dict=False))


def filled(rows: list[dict[str, Any]], size: int, seed: int) -> list[dict[str, Any]]:
    """The rows, then so many of them by chance once more that they fill whole batches."""
    lacking = math.ceil(len(rows) / size) * size - len(rows)
    return [*rows, *random.Random(seed).choices(rows, k=lacking)]


def _compare(job: Job, encoder: Any, row: dict[str, Any]) -> None:
    own, theirs = encoder.row(row)[0], _tokens(encoder, row)
    if len(own) < job.values["max_seq_len"] and own != theirs[: len(own)]:
        raise Failure(
            f"MLX writes line {row['line']} with other tokens than those that are predicted with: "
            f"...{encoder.tokenizer.decode(theirs)[-120:]!r} for ...{encoder.tokenizer.decode(own)[-120:]!r}. Most "
            "likely the model's chat template does not end an answer, or the row has tools.",
            "Train with another trainer, or take a model whose template ends an answer with its end token.",
        )


def command(job: Job) -> list[str]:
    """mlx_lm.lora with a callback."""
    return ["python", script(job, "mlx_lora.py"), CONFIG, f"out/work/{PROGRESS_FILE}"]


def export(job: Job) -> list[str]:
    """Writes the fused model to work/merged; [] where it is not asked for."""
    if job.values["export"] != "merged":
        return []
    model = str(job.config["model_path"])
    return [
        "mlx_lm.fuse",
        "--model",
        model,
        "--adapter-path",
        "out/adapter",
        "--save-path",
        "out/work/merged",
    ]


def variables(job: Job) -> dict[str, str]:
    """Nothing of its own."""
    return {}


def read(line: str) -> Step | None:
    """A report: iteration, train_loss, learning_rate, tokens_per_second; or iteration, val_loss."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    step = number(found.get("iteration"))
    return Step(
        step=None if step is None else int(step),
        fraction=None if step is None else step / max(1, number(found.get("iters")) or 1),
        loss=number(found.get("train_loss")),
        validation_loss=number(found.get("val_loss")),
        learning_rate=number(found.get("learning_rate")),
    )


def collect(job: Job) -> None:
    """out/adapter, by MLX's own names."""
    made = work(job) / "adapter"
    if not all((made / name).is_file() for name in WEIGHTS):
        raise Failure(
            "MLX ended without an adapter.", "The log below says what stopped it; mend that, then retry."
        )

    def fill(folder: Path) -> None:
        for name in WEIGHTS:
            shutil.copy2(made / name, folder / name)

    write_folder(job.out / "adapter", fill)


def resolved(job: Job) -> dict[str, Any]:
    """The arguments that MLX wrote beside the adapter."""
    found = flatten(read_json(job.out / "adapter" / "adapter_config.json"))
    betas = found.pop("optimizer_config.adamw.betas")
    rank, scale = found["lora_parameters.rank"], found.pop("lora_parameters.scale")
    batches = math.ceil(len(job.train) / found["batch_size"])
    name, arguments = found.pop("lr_schedule.name"), found.pop("lr_schedule.arguments")
    steps = found["iters"] // found["grad_accumulation_steps"]
    epochs = steps * found["grad_accumulation_steps"] // batches
    warmup = found.pop("lr_schedule.warmup")
    asked = job.values["warmup_ratio"]
    constant = arguments[0] == arguments[1]
    return found | {
        "method": "lora",
        "use_dora": found.pop("fine_tune_type") == "dora",
        "epochs": job.values["epochs"] if job.values["epochs"] == epochs else found["iters"] / batches,
        "lora_alpha": scale * rank,
        "lora_targets": job.values["lora_targets"],
        "adam_beta1": betas[0],
        "adam_beta2": betas[1],
        "schedule": SCHEDULES.get(name, "constant" if constant else "linear"),
        "warmup_ratio": asked if math.ceil(asked * steps) == warmup else warmup / steps,
        "grad_checkpoint": "yes" if found.pop("grad_checkpoint") else "no",
    }


def predict(job: Job, reporter: Reporter, base: str, values: dict[str, Any]) -> None:
    """Answers every part with the base model and out/adapter, prompt by prompt."""
    from mlx_lm.utils import load

    from ._mlx_engine import MlxEngine

    encoder = encoder_of(job, base)
    model, _ = load(base, adapter_path=str(job.out / "adapter"))
    labels = {label: encoder.label(job.test[0], label) for label in job.labels}
    engine = MlxEngine(
        model,
        encoder.ends,
        lambda tokens: str(encoder.tokenizer.decode(tokens, skip_special_tokens=True)),
        labels,
        job.max_new_tokens,
    )
    note_decoding(job, 1, f"MLX {metadata.version('mlx-lm')}")
    for part in job.predict:
        prompts = [encoder.prompt(row, job.max_new_tokens) for row in job.rows(part)]
        answer(job, reporter, engine, part, prompts)
    tell_cut(reporter, encoder.cut, values["max_seq_len"])
