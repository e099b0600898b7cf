"""KerasHub: a script of ours trains Gemma with Keras; the adapter is written in PEFT's form, exactly the same update."""

import json
from typing import Any

from ..failures import Failure
from ..files import read_json
from ..job import Job
from ._hub import adapter_values, keep_adapter, number, predict, token_rows, write_rows
from ._progress import Step
from ._resolved import flatten
from ._run import data, work
from ._script import script

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
    "jax", "keras", "keras-hub", "numpy", "peft", "safetensors", "tensorflow", "tokenizers", "torch", "transformers",
)  # fmt: skip
PROGRESS_FILE = "metrics.jsonl"
CONFIG = "kerashub.json"
KINDS = ("gemma", "gemma2")


def prepare(job: Job, base: str) -> None:
    """data/train.jsonl: the tokens of the built-in trainer. Refuses models that are no Gemma."""
    from transformers import AutoConfig

    kind = AutoConfig.from_pretrained(base, trust_remote_code=False).model_type
    if kind not in KINDS:
        raise Failure(
            f"KerasHub trains Gemma and Gemma 2 here, and this model is a {kind}.",
            "Take a Gemma, or train with another trainer.",
        )
    write_rows(data(job) / "train.jsonl", token_rows(job, base))


def command(job: Job) -> list[str]:
    """The script."""
    return ["python", script(job, "keras_gemma.py"), CONFIG]


def variables(job: Job) -> dict[str, str]:
    """The backend; no GPU is looked for where the configuration is for a CPU."""
    chosen = {
        "KERAS_BACKEND": str(read_json(job.folder / CONFIG).get("backend")),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return chosen if job.config.get("gpu") else chosen | {"CUDA_VISIBLE_DEVICES": ""}


def read(line: str) -> Step | None:
    """A line of metrics.jsonl: step, of, loss, learning_rate."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    step, every = number(found.get("step")), number(found.get("of"))
    if step is None or not every:
        return None
    return Step(
        step=int(step),
        fraction=step / every,
        loss=number(found.get("loss")),
        learning_rate=number(found.get("learning_rate")),
    )


def collect(job: Job) -> None:
    """out/adapter, as PEFT reads it."""
    keep_adapter(job, work(job) / "adapter")


def resolved(job: Job) -> dict[str, Any]:
    """The script has no default and refuses other keys, so its file is what it ran with; rank and alpha are read back
    from the adapter."""
    given = flatten(read_json(job.folder / CONFIG))
    adapter = adapter_values(job)
    given.pop("output")
    warmup, asked = given.pop("warmup_steps"), job.values["warmup_ratio"]
    return given | {
        "lora_targets": job.values["lora_targets"],
        "lora.rank": adapter["r"],
        "lora.alpha": adapter["lora_alpha"],
        "precision": "bf16" if given.pop("dtype") == "bfloat16" else "fp32",
        "warmup_ratio": asked if warmup >= asked * given["steps"] else warmup / given["steps"],
    }
