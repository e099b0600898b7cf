"""TRL's command line: `trl sft` on rows of prompt and completion."""

from typing import Any

from ..job import Job
from ._hub import adapter_values, halves, keep_adapter, keep_model, predict, read_dict, write_rows
from ._resolved import read_yaml
from ._run import data, work

__all__ = [
    "PACKAGES",
    "PROGRESS_FILE",
    "collect",
    "command",
    "predict",
    "prepare",
    "read",
    "resolved",
    "variables",
]

PACKAGES = ("accelerate", "datasets", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")
PROGRESS_FILE = ""
CONFIG = "trl.yaml"
ADAPTER = {"r": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}
read = read_dict


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl."""
    write_rows(data(job) / "train.jsonl", halves(job.train))


def command(job: Job) -> list[str]:
    """By accelerate, as TRL starts itself."""
    return ["trl", "sft", "--config", CONFIG]


def variables(job: Job) -> dict[str, str]:
    """No GPU is looked for where the configuration is for a CPU."""
    return {} if job.config.get("gpu") else {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}


def collect(job: Job) -> None:
    """out/adapter for LoRA, out/model for full fine-tuning."""
    keep = keep_adapter if job.values["method"] == "lora" else keep_model
    keep(job, work(job))


def resolved(job: Job) -> dict[str, Any]:
    """TRL leaves its arguments only as a pickle, which is not opened: what it was given is strict (an unknown key stops
    it), so the file it read is what it ran with; the adapter's own configuration is read back over it."""
    given = read_yaml(job.folder / CONFIG)
    bits = "4bit" if given.get("load_in_4bit") else "8bit" if given.get("load_in_8bit") else "none"
    named = {
        "method": "lora" if given.pop("use_peft") else "full",
        "quantization": bits,
        "precision": "bf16" if given.get("bf16") else "fp32",
        "gradient_checkpointing": "yes" if given.pop("gradient_checkpointing") else "no",
        "schedule": str(given.pop("lr_scheduler_type")).removesuffix("_with_warmup"),
        "lora_targets": given.pop("lora_target_modules", None),
    }
    adapter = adapter_values(job)
    told = {f"lora_{name}": adapter.get(own) for name, own in ADAPTER.items()}
    return given | named | {name: value for name, value in told.items() if value is not None}
