"""The hyperparameters that trainers share, each under one name and with one meaning. Used by toolkits and the catalog."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Job, Toolkit

SHARED = (
    Hyperparameter(
        "method", "Method", "choice", "lora", "lora trains small added matrices, full trains every weight.",
        choices=("lora", "full"), simple=True,
    ),
    Hyperparameter(
        "epochs", "Epochs", "int", 3, "How often training goes through all items.",
        minimum=1, maximum=1000, simple=True,
    ),
    Hyperparameter(
        "learning_rate", "Learning rate", "float", 2e-4, "2e-4 is usual for LoRA, 2e-5 for full fine-tuning.",
        minimum=1e-8, maximum=1.0, simple=True,
    ),
    Hyperparameter(
        "batch_size", "Batch size", "int", 8, "Items in memory at once.",
        unit="items", minimum=1, maximum=1024, simple=True,
    ),
    Hyperparameter(
        "gradient_accumulation", "Gradient accumulation", "int", 2,
        "Batches per step: the effective batch is this times the batch size.", minimum=1, maximum=1024,
    ),
    Hyperparameter("lora_r", "LoRA rank r", "int", 16, minimum=1, maximum=1024, simple=True),
    Hyperparameter(
        "lora_alpha", "LoRA alpha", "int", 32, "The update is scaled by alpha / r.",
        minimum=1, maximum=4096, simple=True,
    ),
    Hyperparameter("lora_dropout", "LoRA dropout", "float", 0.0, minimum=0, maximum=0.9),
    Hyperparameter(
        "lora_targets", "LoRA targets", "text", "all-linear",
        "all-linear, or names of layers apart by commas, for example q_proj, v_proj.",
    ),
    Hyperparameter(
        "use_dora", "DoRA", "bool", False, "Weight-decomposed LoRA: direction and magnitude are learned apart.",
    ),
    Hyperparameter(
        "quantization", "Quantization", "choice", "none", "The frozen base in fewer bits (QLoRA); needs a GPU.",
        choices=("none", "8bit", "4bit"),
    ),
    Hyperparameter(
        "max_seq_len", "Longest row", "int", 1024, "Longer rows are cut.",
        unit="tokens", minimum=16, maximum=131072,
    ),
    Hyperparameter("schedule", "Schedule", "choice", "cosine", choices=("cosine", "linear", "constant")),
    Hyperparameter(
        "warmup_ratio", "Warm-up", "float", 0.1, "Part of all steps over which the learning rate rises.",
        minimum=0, maximum=1,
    ),
    Hyperparameter("weight_decay", "Weight decay", "float", 0.0, minimum=0, maximum=10),
    Hyperparameter("adam_beta1", "Adam beta 1", "float", 0.9, minimum=0, maximum=0.9999),
    Hyperparameter("adam_beta2", "Adam beta 2", "float", 0.999, minimum=0, maximum=0.99999),
    Hyperparameter("max_grad_norm", "Gradient clip", "float", 1.0, minimum=0.001, maximum=1000),
    Hyperparameter(
        "packing", "Packing", "bool", False, "Several short rows in one of the longest length.",
    ),
    Hyperparameter(
        "precision", "Precision", "choice", "auto", "auto: bf16 on a GPU, fp32 on a CPU.",
        choices=("auto", "bf16", "fp32"),
    ),
    Hyperparameter(
        "gradient_checkpointing", "Gradient checkpointing", "choice", "auto",
        "Saves memory, costs about a third more time. auto: on with a GPU, off on a CPU.",
        choices=("auto", "yes", "no"),
    ),
    Hyperparameter(
        "predict_batch_size", "Items at once when predicting", "int", 16, minimum=1, maximum=4096
    ),
)  # fmt: skip
# Every toolkit has these: the seed is the run's own, and Tunebook predicts itself.
ALWAYS = ("predict_batch_size",)
LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_targets", "use_dora")


def fields_of(toolkit: Toolkit) -> tuple[Hyperparameter, ...]:
    """A toolkit's hyperparameters: the shared ones that it can express, then its own."""
    shared = [
        replace(
            shape,
            default=toolkit.defaults.get(shape.name, shape.default),
            choices=toolkit.choices.get(shape.name, shape.choices),
        )
        for shape in SHARED
        if shape.name in toolkit.keys or shape.name in ALWAYS
    ]
    return (*shared, *toolkit.own)


def lacking(toolkit: Toolkit) -> tuple[str, ...]:
    """The shared hyperparameters that the toolkit cannot express, by name."""
    return tuple(s.name for s in SHARED if s.name not in toolkit.keys and s.name not in ALWAYS)


def settle(job: Job) -> dict[str, Any]:
    """The values with every "auto" decided by the device that the job is for."""
    values = dict(job.hyperparameters)
    if values.get("precision") == "auto":
        values["precision"] = "bf16" if job.gpu else "fp32"
    if values.get("gradient_checkpointing") == "auto":
        values["gradient_checkpointing"] = "yes" if job.gpu else "no"
    return values


def model_name(job: Job) -> str:
    """How a configuration names the base model: its name on the Hub, or ./folder for one beside it."""
    path = Path(job.model_path)
    return f"./{path.name}" if path.is_absolute() else job.model_path


def targets(values: Mapping[str, Any]) -> list[str] | None:
    """The layers that LoRA changes, None for all linear ones."""
    text = str(values.get("lora_targets") or "all-linear")
    return None if text == "all-linear" else [name.strip() for name in text.split(",") if name.strip()]
