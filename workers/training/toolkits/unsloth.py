"""Unsloth: a script of ours calls its interface, once to train and once more to export."""

from typing import Any

from ..job import Job
from ._hub import adapter_values, keep_adapter, predict, read_dict, token_rows, write_rows
from ._resolved import read_yaml
from ._run import data, work
from ._script import script

__all__ = [
    "PACKAGES",
    "PROGRESS_FILE",
    "collect",
    "command",
    "export",
    "predict",
    "prepare",
    "read",
    "resolved",
    "variables",
]

PACKAGES = (
    "accelerate", "bitsandbytes", "datasets", "peft", "safetensors", "tokenizers", "torch", "transformers", "triton",
    "trl", "unsloth", "unsloth_zoo", "xformers",
)  # fmt: skip
PROGRESS_FILE = ""
CONFIG = "unsloth.yaml"
read = read_dict


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl: the tokens of the built-in trainer."""
    write_rows(data(job) / "train.jsonl", token_rows(job, base))


def command(job: Job) -> list[str]:
    """The script."""
    return ["python", script(job, "unsloth_sft.py"), "train", CONFIG]


def export(job: Job) -> list[str]:
    """Writes the merged model or the GGUF file to work/merged; [] where none is asked for."""
    form = job.values["export"]
    if form == "none":
        return []
    bits = job.values["gguf_quantization"] if form == "gguf" else "merged_16bit"
    return ["python", script(job, "unsloth_sft.py"), form, CONFIG, bits, "out/adapter", "out/work/merged"]


def variables(job: Job) -> dict[str, str]:
    """No statistics are sent."""
    return {"UNSLOTH_DISABLE_STATISTICS": "1"}


def collect(job: Job) -> None:
    """out/adapter."""
    keep_adapter(job, work(job) / "trained")


def resolved(job: Job) -> dict[str, Any]:
    """Its functions refuse arguments that they do not know, so the file is what it ran with; the adapter's own
    configuration is read over it."""
    given = read_yaml(job.folder / CONFIG)
    adapter = adapter_values(job)
    bits = (
        "4bit" if given.get("model.load_in_4bit") else "8bit" if given.get("model.load_in_8bit") else "none"
    )
    checkpointing = given.pop("lora.use_gradient_checkpointing")
    named = {
        "quantization": bits,
        "precision": "bf16" if given.get("training.bf16") else "fp32",
        "gradient_checkpointing": "yes" if checkpointing else "no",
        "schedule": str(given.pop("training.lr_scheduler_type")).removesuffix("_with_warmup"),
        "lora_targets": job.values["lora_targets"],
        "lora.r": adapter["r"],
        "lora.lora_alpha": adapter["lora_alpha"],
    }
    for place in ("model.model_name", "training.output_dir"):
        given.pop(place, None)
    return given | named
