"""AutoTrain: its YAML file on rows of text, with the run's seed; always packed, with the loss on every token."""

from typing import Any

from ..files import read_json
from ..job import Job
from ..reporting import Reporter
from ._hub import adapter_values, encoder_of, keep_adapter, keep_model, read_dict, write_rows
from ._hub import predict as answer
from ._old_format import old_format
from ._progress import Step
from ._rendered import check, halves_of
from ._resolved import read_yaml
from ._run import data, work
from ._script import script

PACKAGES = (
    "accelerate", "autotrain-advanced", "bitsandbytes", "datasets", "peft", "safetensors", "tokenizers", "torch",
    "transformers", "trl",
)  # fmt: skip
PROGRESS_FILE = ""
CONFIG = "autotrain.yaml"
ADAPTER = {"r": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl, data/base in the form that Transformers 4.48 reads, and work/autotrain.yaml, which names both
    from there: AutoTrain writes beside where it runs."""
    import yaml

    folder = old_format(job, base)
    encoder = encoder_of(job, str(folder))
    write_rows(data(job) / "train.jsonl", [{"text": text_of(encoder, row)} for row in job.train])
    given = read_yaml(job.folder / CONFIG, flat=False)
    given["base_model"] = "../../data/base"
    given["data"]["path"] = "../../data"
    (work(job) / CONFIG).write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")


def text_of(encoder: Any, row: dict[str, Any]) -> str:
    """A row as text without what TRL 0.13 adds to each: the begin token of tokenizers that add one, and the end token.
    Raises Failure where it would read other tokens than those that are predicted with."""
    tokenizer = encoder.tokenizer
    text = "".join(halves_of(encoder, row))
    begin, end = tokenizer.bos_token, tokenizer.eos_token
    if begin and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]:
        text = text.removeprefix(begin)
    if text.rstrip().endswith(end):
        text = text.rstrip().removesuffix(end)
    check(encoder, row, [*tokenizer(text)["input_ids"], tokenizer.eos_token_id], "AutoTrain")
    return text


def command(job: Job) -> list[str]:
    """`autotrain --config` with the seed."""
    return ["python", script(job, "autotrain_sft.py"), f"out/work/{CONFIG}"]


def variables(job: Job) -> dict[str, str]:
    """No code of models runs; packed rows are not taken from another run's cache; no GPU is looked for where the
    configuration is for a CPU."""
    own = {"ALLOW_REMOTE_CODE": "false", "HF_DATASETS_CACHE": str(work(job) / "cache")}
    return own if job.config.get("gpu") else own | {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}


def read(line: str) -> Step | None:
    """A line of its log; Trainer prints each of them once more."""
    return read_dict(line) if ":on_log:" in line else None


def collect(job: Job) -> None:
    """out/adapter for LoRA, out/model for full fine-tuning. AutoTrain ends with 0 when training failed too."""
    keep = keep_adapter if job.values["method"] == "lora" else keep_model
    keep(job, work(job) / "trained")


def resolved(job: Job) -> dict[str, Any]:
    """What AutoTrain wrote down as its parameters; the adapter's own configuration is read over it."""
    found = read_json(work(job) / "trained" / "training_params.json")
    for place in ("model", "project_name", "data_path"):
        found.pop(place, None)
    bits = str(found.pop("quantization") or "none")
    named = {
        "method": "lora" if found.pop("peft") else "full",
        "quantization": {"int4": "4bit", "int8": "8bit"}.get(bits, bits),
        "precision": "bf16" if found.pop("mixed_precision") == "bf16" else "fp32",
        "gradient_checkpointing": "no" if found.pop("disable_gradient_checkpointing") else "yes",
        "schedule": str(found.pop("scheduler")).removesuffix("_with_warmup"),
        "lora_targets": str(found.pop("target_modules")).replace(",", ", "),
        "max_seq_len": found.pop("block_size"),
    }
    adapter = adapter_values(job)
    told = {f"params.lora_{name}": adapter.get(own) for name, own in ADAPTER.items()}
    given = {f"params.{name}": value for name, value in found.items()}
    return given | named | {name: value for name, value in told.items() if value is not None}


def predict(job: Job, reporter: Reporter, base: str, values: dict[str, Any]) -> None:
    """As every toolkit of Transformers does, from the model's folder in the old form."""
    answer(job, reporter, str(old_format(job, base)), values)
