"""MLX (mlx_lm.lora) as a trainer: LoRA on Apple machines from one YAML file."""

import math
from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE = "mlx.yaml"
KEYS = {
    "method": "(fine_tune_type: lora, dora)",
    "epochs": "(iters = ceil(rows / batch_size) x epochs, up to whole steps)",
    "learning_rate": "learning_rate",
    "batch_size": "batch_size",
    "gradient_accumulation": "grad_accumulation_steps",
    "lora_r": "lora_parameters.rank",
    "lora_alpha": "(lora_parameters.scale = lora_alpha / lora_r)",
    "lora_dropout": "lora_parameters.dropout",
    "lora_targets": "(lora_parameters.keys, all linear layers without it)",
    "use_dora": "(fine_tune_type: dora)",
    "max_seq_len": "max_seq_length",
    "schedule": "(lr_schedule.name)",
    "warmup_ratio": "(lr_schedule.warmup, in steps)",
    "weight_decay": "optimizer_config.adamw.weight_decay",
    "adam_beta1": "(optimizer_config.adamw.betas)",
    "adam_beta2": "(optimizer_config.adamw.betas)",
    "gradient_checkpointing": "grad_checkpoint",
    "seed": "seed",
}
OWN = (
    Hyperparameter(
        "num_layers", "Layers", "int", -1, "LoRA on so many of the last blocks; -1: on all.",
        minimum=-1, maximum=1000,
    ),
    Hyperparameter(
        "export", "Export", "choice", "none",
        "merged: mlx_lm.fuse also writes the whole model into out/merged, a Hugging Face folder.",
        choices=("none", "merged"),
    ),
    OWN_SETTINGS,
)  # fmt: skip
# The places of layers in a block, which MLX wants named in full.
PLACES = {
    **{f"{name}_proj": f"self_attn.{name}_proj" for name in "qkvo"},
    **{f"{name}_proj": f"mlp.{name}_proj" for name in ("gate", "up", "down")},
}


def config(job: Job) -> Mapping[str, str]:
    """The file for `mlx_lm.lora -c`; a run takes it with a callback that writes its progress."""
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), f"mlx_lm.lora -c {FILE}")}


def settings(job: Job) -> dict[str, Any]:
    """Every key that MLX would else choose itself."""
    values = job.hyperparameters
    batches = math.ceil(max(1, job.counts.get("train", 0)) / values["batch_size"])
    accumulation = values["gradient_accumulation"]
    steps = math.ceil(batches * values["epochs"] / accumulation)
    return {
        "model": model_name(job),
        "trust_remote_code": False,
        "train": True,
        "test": False,
        "test_batches": -1,
        "data": "data",
        "fine_tune_type": "dora" if values["use_dora"] else "lora",
        "num_layers": values["num_layers"],
        "mask_prompt": True,
        "max_seq_length": values["max_seq_len"],
        "seed": job.seed,
        "batch_size": values["batch_size"],
        "iters": steps * accumulation,
        "grad_accumulation_steps": accumulation,
        "grad_checkpoint": values["gradient_checkpointing"] == "yes",
        "clear_cache_threshold": 0,
        **_optimizer(values),
        "learning_rate": values["learning_rate"],
        "lr_schedule": _schedule(values, steps),
        "lora_parameters": _lora(values),
        "adapter_path": "out/work/adapter",
        "resume_adapter_file": None,
        "save_every": steps * accumulation + 1,
        "steps_per_report": 1,
        "steps_per_eval": batches,
        "val_batches": -1,
        "report_to": None,
        "project_name": None,
    }


def _optimizer(values: Values) -> dict[str, Any]:
    return {
        "optimizer": "adamw",
        "optimizer_config": {
            "adamw": {
                "betas": [values["adam_beta1"], values["adam_beta2"]],
                "eps": 1e-8,
                "weight_decay": values["weight_decay"],
                # Off in MLX, on in every other trainer.
                "bias_correction": True,
            }
        },
    }


def _lora(values: Values) -> dict[str, Any]:
    return {
        "keys": _keys(values),
        "rank": values["lora_r"],
        "scale": values["lora_alpha"] / values["lora_r"],
        "dropout": values["lora_dropout"],
    }


def _schedule(values: Values, steps: int) -> dict[str, Any]:
    """Warm-up over a part of the steps, then the schedule over the rest; MLX stays one step at the highest rate."""
    rate, warmup = values["learning_rate"], math.ceil(values["warmup_ratio"] * steps)
    rest = max(1, steps - warmup - 1) if warmup else steps
    name, arguments = {
        "cosine": ("cosine_decay", [rate, rest, 0.0]),
        "linear": ("linear_schedule", [rate, 0.0, rest]),
        "constant": ("linear_schedule", [rate, rate, rest]),
    }[values["schedule"]]
    return {"name": name, "warmup": warmup, "warmup_init": 0.0, "arguments": arguments}


def _keys(values: Values) -> list[str] | None:
    named = targets(values)
    return [PLACES.get(name, name) for name in named] if named else None


def problems(values: Values) -> list[str]:
    """What MLX cannot do."""
    found = own_problems("MLX", values, settings(job_of(values)), KEYS.values())
    odd = [name for name in targets(values) or () if name not in PLACES and "." not in name]
    if odd:
        found.append(
            f"MLX: layers are named by their place in a block, and {odd[0]!r} is none. Write for example "
            f"self_attn.{odd[0]}, or one of {', '.join(PLACES)}."
        )
    if values["num_layers"] == 0:
        found.append("MLX: LoRA on 0 layers trains nothing. Set the layers to -1 for all.")
    return found


TRAINER = Toolkit(
    name="mlx",
    label="MLX",
    description="Apple's mlx-lm, for the GPUs of Macs; its CPU build on Linux is for checks, too slow for real models",
    version="0.32.2",
    environment=Environment(
        (
            "mlx-lm==0.32.2",
            'mlx[cpu]==0.32.4; sys_platform == "linux"',
            'mlx==0.32.4; sys_platform == "darwin"',
            "transformers==5.23.0",
            "jinja2==3.1.6",
        ),
        python=("3.10", "3.13"),
        gigabytes=0.6,
    ),
    keys=KEYS,
    own=OWN,
    choices={"method": ("lora",)},
    config=config,
    problems=problems,
    weights="mlx",
    licence="MIT",
    source="https://github.com/ml-explore/mlx-lm",
)
