"""Axolotl: `axolotl train` on rows that are tokens already."""

import json
from typing import Any

from ..failures import Failure
from ..job import Job
from ._hub import adapter_values, keep_adapter, keep_model, predict, read_dict, token_rows, write_rows
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

PACKAGES = (
    "accelerate", "axolotl", "bitsandbytes", "datasets", "peft", "safetensors", "tokenizers", "torch", "transformers",
    "trl",
)  # fmt: skip
PROGRESS_FILE = ""
CONFIG = "axolotl.yaml"
ADAPTER = {"lora_r": "r", "lora_alpha": "lora_alpha", "lora_dropout": "lora_dropout"}
read = read_dict


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl; the configuration's keys are held against Axolotl's schema, since it takes unknown ones in
    silence."""
    unknown = sorted(set(read_yaml(job.folder / CONFIG, flat=False)) - known_keys())
    if unknown:
        raise Failure(
            f"Axolotl does not know {', '.join(unknown)}.",
            "Mend the settings of its own: the names stand in Axolotl's list of configuration options.",
        )
    write_rows(data(job) / "train.jsonl", token_rows(job, base))


def known_keys() -> set[str]:
    """Every top-level key that this version of Axolotl's schema has."""
    from axolotl.utils.schemas.config import AxolotlConfigWCapabilities

    fields = AxolotlConfigWCapabilities.model_fields
    return set(fields) | {field.alias for field in fields.values() if field.alias}


def command(job: Job) -> list[str]:
    """One process: accelerate would ask for a configuration of its own."""
    return ["axolotl", "train", CONFIG, "--launcher", "python"]


def variables(job: Job) -> dict[str, str]:
    """No telemetry; no GPU is looked for where the configuration is for a CPU."""
    quiet = {"AXOLOTL_DO_NOT_TRACK": "1"}
    return quiet if job.config.get("gpu") else quiet | {"ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}


def collect(job: Job) -> None:
    """out/adapter for LoRA, out/model for full fine-tuning."""
    keep = keep_adapter if job.values["method"] == "lora" else keep_model
    keep(job, work(job) / "trained")


def resolved(job: Job) -> dict[str, Any]:
    """What Axolotl says that it runs with, after its own decisions: the JSON that its log begins with; the adapter's own
    configuration is read over it."""
    found = _from_log(job) or read_yaml(job.folder / CONFIG)
    bits = "4bit" if found.get("load_in_4bit") else "8bit" if found.get("load_in_8bit") else "none"
    checkpointing = found.pop("gradient_checkpointing", False)
    schedule = str(found.pop("lr_scheduler", job.values["schedule"]))
    named = {
        "method": "lora" if found.get("adapter") else "full",
        "quantization": bits,
        "precision": "bf16" if found.get("bf16") else "fp32",
        "gradient_checkpointing": "yes" if checkpointing else "no",
        "schedule": schedule.removesuffix("_with_warmup"),
    }
    if named["method"] == "lora":
        named["lora_targets"] = found.pop("lora_target_modules", None) or "all-linear"
    adapter = adapter_values(job)
    told = {ours: adapter.get(theirs) for ours, theirs in ADAPTER.items()}
    return found | named | {ours: value for ours, value in told.items() if value is not None}


def _from_log(job: Job) -> dict[str, Any]:
    """The top level of the first JSON object in its log that stands alone on its lines."""
    log = work(job) / "trained" / "debug.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    begun = text.partition("config:\n{")[2]
    body, ended, _ = begun.partition("\n}")
    if not ended:
        return {}
    try:
        found = json.loads("{" + body + "}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
