"""Ludwig: its YAML file (model_type: llm) on a table of rendered prompts and answers."""

import csv
import json
import random
from pathlib import Path
from typing import Any

from ..failures import Failure
from ..files import read_json, write_json
from ..job import Job
from ..reporting import Reporter
from ._hub import adapter_values, encoder_of, keep_adapter, number
from ._hub import predict as answer
from ._old_format import old_format
from ._progress import Step
from ._rendered import check, halves_of, tokens_of
from ._resolved import flatten, read_yaml
from ._run import data, work
from ._script import script

PACKAGES = (
    "accelerate", "bitsandbytes", "datasets", "ludwig", "numpy", "pandas", "peft", "safetensors", "tokenizers", "torch",
    "transformers",
)  # fmt: skip
PROGRESS_FILE = "metrics.jsonl"
CONFIG = "ludwig.yaml"
RESULT = "experiment_run/model"
# Parts of its resolved configuration that say something about the training.
TOLD = ("adapter.", "quantization.", "trainer.", "preprocessing.global_max_sequence_length")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.model")
# Split in its table; a row of it is (split, row, prompt, answer).
TRAIN, VALIDATION = 0, 1
Row = tuple[int, dict[str, Any], str, str]


def prepare(job: Job, base: str) -> None:
    """data/rows.csv, data/model (the base model with the tokens named that Ludwig needs), and data/ludwig.yaml, which
    names that model and its layers."""
    import yaml

    if job.values["keep_best"] and not job.validation:
        raise Failure(
            "The best weights are those of the lowest validation loss, and this split has no validation items.",
            "Set keep the best weights to no, or take a split with a validation part.",
        )
    old = old_format(job, base)
    encoder = encoder_of(job, str(old))
    end = end_of(encoder, job.train[0])
    parts = (
        (TRAIN, filled(job.train, int(job.values["batch_size"]), job.seed)),
        (VALIDATION, job.validation),
    )
    rows = [(part, row, *halves(encoder, row, end)) for part, found in parts for row in found]
    _check_length(job, encoder.tokenizer, rows, old)
    unused = _unused_token(job, encoder.tokenizer, rows)
    tokenizer = _write_model(
        data(job) / "model", old, {"pad_token": unused, "bos_token": unused, "eos_token": end}
    )
    _write_rows(data(job) / "rows.csv", encoder, tokenizer, rows)
    given = read_yaml(job.folder / CONFIG, flat=False)
    given["base_model"] = "./data/model"
    given["adapter"]["target_modules"] = given["adapter"]["target_modules"] or linear_layers(old)
    (data(job) / CONFIG).write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")


def filled(rows: list[dict[str, Any]], size: int, seed: int) -> list[dict[str, Any]]:
    """The rows, one by chance once more where the last batch would have one alone: Ludwig leaves out such a batch."""
    alone = size > 1 and len(rows) > 1 and len(rows) % size == 1
    return [*rows, random.Random(seed).choice(rows)] if alone else list(rows)


def end_of(encoder: Any, row: dict[str, Any]) -> str:
    """The token that ends an answer in the model's template."""
    last = next(token for token in reversed(encoder.row(row)[0]) if token in encoder.ends)
    return str(encoder.tokenizer.convert_ids_to_tokens(last))


def halves(encoder: Any, row: dict[str, Any], end: str) -> tuple[str, str]:
    """(prompt, answer) as text without the end token, which Ludwig adds itself."""
    prompt, reply = halves_of(encoder, row)
    ended = reply.rstrip()
    return prompt, ended.removesuffix(end) if ended.endswith(end) else reply


def _check_length(job: Job, tokenizer: Any, rows: list[Row], folder: Path) -> None:
    """Ludwig would cut the end of a longer row, which is its answer."""
    allowed = int(job.values["max_seq_len"])
    allowed = min(allowed, int(read_json(folder / "config.json").get("max_position_embeddings") or allowed))
    lengths = [len(tokens_of(tokenizer, prompt + reply)) + 1 for _, _, prompt, reply in rows]
    longer = sum(length > allowed for length in lengths)
    if longer:
        raise Failure(
            f"{longer:,} rows are longer than the {allowed:,} tokens allowed, and Ludwig would cut off their answers.",
            f"Set the longest row to {max(lengths):,} tokens where the model takes so many, or train with another "
            "trainer, which cuts the beginning.",
        )


def _unused_token(job: Job, tokenizer: Any, rows: list[Row]) -> str:
    """A token of the vocabulary that is in no row, to stand for the begin and for padding: Ludwig drops what stands
    before either. It fills batches with token 0 whatever the padding is called, and takes only the padding for none."""
    used = {token for _, _, *texts in rows for text in texts for token in tokens_of(tokenizer, text)}
    alone = int(job.values["batch_size"]) == 1
    for token in (0, *(range(len(tokenizer)) if alone else ())):
        if token not in used:
            return str(tokenizer.convert_ids_to_tokens(token))
    raise Failure(
        f"Ludwig fills up batches with the model's token 0, {tokenizer.convert_ids_to_tokens(0)!r}, which these rows "
        "contain: it would take away parts of them.",
        "Set the batch size to 1 and the gradient accumulation to the number wanted, or train with another trainer.",
    )


def _write_model(folder: Path, old: Path, named: dict[str, str]) -> Any:
    """A folder of links to `old` with a tokenizer that adds no token by itself; gives that tokenizer."""
    from transformers import AutoTokenizer

    if not (old / "tokenizer.json").is_file():
        raise Failure(
            "The base model has no tokenizer.json, which Ludwig needs here.",
            "Load its tokenizer with Transformers and save it into the model's folder, or train with another trainer.",
        )
    folder.mkdir()
    for file in old.iterdir():
        if file.name not in TOKENIZER:
            (folder / file.name).symlink_to(file.resolve())
    whole = read_json(old / "tokenizer.json") | {"post_processor": None, "truncation": None, "padding": None}
    write_json(folder / "tokenizer.json", whole)
    told = read_json(old / "tokenizer_config.json") | {"tokenizer_class": "PreTrainedTokenizerFast"} | named
    write_json(folder / "tokenizer_config.json", told)
    return AutoTokenizer.from_pretrained(folder)


def _write_rows(file: Path, encoder: Any, tokenizer: Any, rows: list[Row]) -> None:
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["prompt", "response", "split"])
        for part, row, prompt, reply in rows:
            found = [*tokens_of(tokenizer, prompt), *tokens_of(tokenizer, reply), tokenizer.eos_token_id]
            check(encoder, row, found, "Ludwig")
            writer.writerow([prompt, reply, part])


def linear_layers(folder: Path) -> list[str]:
    """The last names of all linear layers but the output's, like "all-linear" of PEFT."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    head = model.get_output_embeddings()
    kinds = ("Linear", "Conv1D")
    found = {
        name.rpartition(".")[2]
        for name, layer in model.named_modules()
        if type(layer).__name__ in kinds and layer is not head
    }
    return sorted(found)


def command(job: Job) -> list[str]:
    """`ludwig train` with each step told."""
    files = [f"data/{CONFIG}", "data/rows.csv", "out/work", f"out/work/{PROGRESS_FILE}"]
    return ["python", script(job, "ludwig_llm.py"), *files, str(job.seed)]


def variables(job: Job) -> dict[str, str]:
    """No GPU is looked for where the configuration is for a CPU."""
    return {} if job.config.get("gpu") else {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}


def read(line: str) -> Step | None:
    """A line of its script: step, fraction, loss and learning_rate, or validation_loss."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    step = number(found.get("step"))
    if step is None:
        return None
    return Step(
        step=int(step),
        fraction=number(found.get("fraction")),
        loss=number(found.get("loss")),
        validation_loss=number(found.get("validation_loss")),
        learning_rate=number(found.get("learning_rate")),
    )


def collect(job: Job) -> None:
    """out/adapter. Ludwig leaves a lock where it ran."""
    (job.folder / ".lock_preprocessing").unlink(missing_ok=True)
    keep_adapter(job, work(job) / RESULT / "model_weights")


def resolved(job: Job) -> dict[str, Any]:
    """What Ludwig wrote down with all its defaults; the adapter's own configuration is read over it."""
    whole = read_json(work(job) / RESULT / "model_hyperparameters.json")
    found = {key: value for key, value in flatten(whole).items() if key.startswith(TOLD)}
    betas = found.pop("trainer.optimizer.betas", None) or [None, None]
    bits = found.pop("quantization.bits", None)
    named = {
        "method": found.pop("adapter.type", "lora"),
        "quantization": f"{bits}bit" if bits else "none",
        "schedule": found.pop("trainer.learning_rate_scheduler.decay", None) or "constant",
        "adam_beta1": betas[0],
        "adam_beta2": betas[1],
        "gradient_checkpointing": "yes"
        if found.pop("trainer.enable_gradient_checkpointing", False)
        else "no",
        "lora_targets": job.values["lora_targets"],
    }
    adapter = adapter_values(job)
    own = {"adapter.r": "r", "adapter.alpha": "lora_alpha", "adapter.dropout": "lora_dropout"}
    told = {theirs: adapter.get(name) for theirs, name in own.items()}
    return found | named | {name: value for name, value in told.items() if value is not None}


def predict(job: Job, reporter: Reporter, base: str, values: dict[str, Any]) -> None:
    """As every toolkit of Transformers does, from the model's folder in the old form."""
    answer(job, reporter, str(old_format(job, base)), values)
