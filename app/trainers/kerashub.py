"""KerasHub as a trainer: LoRA on Gemma with Keras on PyTorch or JAX, over a mesh of accelerators where there are several."""

import json
import math
from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import model_name, targets

FILE = "kerashub.json"
KEYS = {
    "method": "method",
    "epochs": "epochs",
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lora_r": "lora.rank",
    "lora_alpha": "lora.alpha",
    "lora_targets": "(lora.layers, by Keras' names)",
    "max_seq_len": "max_length",
    "schedule": "schedule",
    "warmup_ratio": "(warmup_steps)",
    "weight_decay": "weight_decay",
    "adam_beta1": "beta_1",
    "adam_beta2": "beta_2",
    "max_grad_norm": "global_clipnorm",
    "precision": "(dtype)",
    "seed": "seed",
}
OWN = (
    Hyperparameter(
        "backend", "Backend", "choice", "torch",
        "torch: a CPU or one GPU. jax: also several GPUs or a TPU; its package for those is installed by hand.",
        choices=("torch", "jax"),
    ),
    Hyperparameter(
        "model_parallel", "Accelerators per model", "int", 1,
        "Over so many accelerators each weight is split; the others split the batch. More than 1 needs JAX.",
        minimum=1, maximum=256,
    ),
)  # fmt: skip
# The names that Hugging Face gives to Gemma's linear layers, and Keras' own.
LAYERS = {
    "q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "attention_output",
    "gate_proj": "ffw_gating", "up_proj": "ffw_gating_2", "down_proj": "ffw_linear",
}  # fmt: skip


def config(job: Job) -> Mapping[str, str]:
    """The values that the script takes; it has no default of its own and refuses keys that it does not know."""
    values = job.hyperparameters
    batches = math.ceil(max(1, job.counts.get("train", 0)) / values["batch_size"])
    steps = max(1, batches * values["epochs"] // values["gradient_accumulation"])
    settings: dict[str, Any] = {
        "model": model_name(job),
        "backend": values["backend"],
        "dtype": "bfloat16" if values["precision"] == "bf16" else "float32",
        "model_parallel": values["model_parallel"],
        "seed": job.seed,
        "method": values["method"],
        "lora": {
            "rank": values["lora_r"],
            "alpha": values["lora_alpha"],
            "layers": [LAYERS.get(name, name) for name in targets(values) or LAYERS],
        },
        "data": "data/train.jsonl",
        "max_length": values["max_seq_len"],
        "epochs": values["epochs"],
        "batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        "learning_rate": values["learning_rate"],
        "schedule": values["schedule"],
        "steps": steps,
        "warmup_steps": math.ceil(values["warmup_ratio"] * steps),
        "weight_decay": values["weight_decay"],
        "beta_1": values["adam_beta1"],
        "beta_2": values["adam_beta2"],
        "global_clipnorm": values["max_grad_norm"],
        "output": "out/work",
    }
    return {FILE: json.dumps(settings, indent=1) + "\n"}


def problems(values: Values) -> list[str]:
    """What KerasHub cannot do."""
    found = []
    odd = [name for name in targets(values) or () if name not in (*LAYERS, *LAYERS.values())]
    if odd:
        found.append(f"KerasHub: Gemma has no layer {odd[0]!r}. Choose among {', '.join(LAYERS)}.")
    if values["model_parallel"] > 1 and values["backend"] != "jax":
        found.append(
            "KerasHub: weights are split over several accelerators with JAX alone. Set the backend to jax."
        )
    return found


TRAINER = Toolkit(
    name="kerashub",
    label="KerasHub",
    description="Keras' own models: LoRA on Gemma and Gemma 2, with JAX also over a mesh of GPUs or TPUs",
    version="0.32.0",
    environment=Environment(
        (
            "torch==2.13.0",
            "transformers==5.23.0",
            "peft==0.21.2",
            "keras==3.15.1",
            "keras-hub==0.32.0",
            "jax==0.10.2",
            "jinja2==3.1.6",
        ),
        python=("3.11", "3.13"),
        gigabytes=3.5,
    ),
    keys=KEYS,
    own=OWN,
    choices={"method": ("lora",)},
    config=config,
    problems=problems,
    licence="Apache-2.0",
    source="https://github.com/keras-team/keras-hub",
)
