"""AutoTrain Advanced as a trainer: LoRA, QLoRA or full fine-tuning from one YAML file."""

from collections.abc import Mapping
from typing import Any

from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE = "autotrain.yaml"
KEYS = {
    "method": "(params.peft)",
    "epochs": "params.epochs",
    "learning_rate": "params.lr",
    "batch_size": "params.batch_size",
    "gradient_accumulation": "params.gradient_accumulation",
    "lora_r": "params.lora_r",
    "lora_alpha": "params.lora_alpha",
    "lora_dropout": "params.lora_dropout",
    "lora_targets": "(params.target_modules)",
    "quantization": "(params.quantization: int4, int8)",
    "max_seq_len": "(params.block_size: rows are always packed into so many tokens)",
    "schedule": "(params.scheduler)",
    "warmup_ratio": "params.warmup_ratio",
    "weight_decay": "params.weight_decay",
    "max_grad_norm": "params.max_grad_norm",
    "precision": "(params.mixed_precision)",
    "gradient_checkpointing": "(params.disable_gradient_checkpointing)",
    "seed": "params.seed",
}


def config(job: Job) -> Mapping[str, str]:
    """The file for `autotrain --config`."""
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), f"autotrain --config {FILE}")}


def settings(job: Job) -> dict[str, Any]:
    """Every key that AutoTrain would else choose itself. The rows are text already, written by the model's own chat
    template, as they are when predicting."""
    return {
        "task": "llm-sft",
        "base_model": model_name(job),
        "project_name": "trained",
        "log": "none",
        "backend": "local",
        "data": {
            "path": "data",
            "train_split": "train",
            "valid_split": None,
            "chat_template": None,
            "column_mapping": {"text_column": "text"},
        },
        "params": _params(job),
    }


def _params(job: Job) -> dict[str, Any]:
    values = job.hyperparameters
    schedule, bits = values["schedule"], {"4bit": "int4", "8bit": "int8"}.get(values["quantization"])
    return {
        "peft": values["method"] == "lora",
        "quantization": bits,
        "mixed_precision": "bf16" if values["precision"] == "bf16" else None,
        "lora_r": values["lora_r"],
        "lora_alpha": values["lora_alpha"],
        "lora_dropout": values["lora_dropout"],
        "target_modules": ",".join(targets(values) or ["all-linear"]),
        "merge_adapter": False,
        "padding": "right",
        "block_size": values["max_seq_len"],
        "model_max_length": values["max_seq_len"],
        "add_eos_token": False,
        "epochs": values["epochs"],
        "batch_size": values["batch_size"],
        "gradient_accumulation": values["gradient_accumulation"],
        "lr": values["learning_rate"],
        "optimizer": "adamw_torch",
        "scheduler": "constant_with_warmup" if schedule == "constant" else schedule,
        "warmup_ratio": values["warmup_ratio"],
        "weight_decay": values["weight_decay"],
        "max_grad_norm": values["max_grad_norm"],
        "seed": job.seed,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_total_limit": 1,
        "auto_find_batch_size": False,
        "disable_gradient_checkpointing": values["gradient_checkpointing"] != "yes",
        "use_flash_attention_2": False,
        "unsloth": False,
        "distributed_backend": None,
    }


def problems(values: Values) -> list[str]:
    """What AutoTrain cannot do."""
    found = own_problems("AutoTrain", values, settings(job_of(values)), KEYS.values())
    if values["quantization"] != "none" and values["method"] == "full":
        found.append(
            "AutoTrain: a model in 8 or 4 bits is trained with LoRA alone. Set the method to lora, or quantization to "
            "none."
        )
    return found


TRAINER = Toolkit(
    name="autotrain",
    label="AutoTrain",
    description="Hugging Face's AutoTrain Advanced, by its YAML file; takes the loss on questions too, not on answers alone",
    version="0.8.36",
    environment=Environment(
        # Its own pins do the rest: transformers 4.48.0, trl 0.13.0, peft 0.14.0.
        ("torch==2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0", "autotrain-advanced==0.8.36"),
        python=("3.11", "3.12"),
        gigabytes=3.1,
        after=(("{python}", "-m", "training.companions"),),
    ),
    keys=KEYS,
    own=(OWN_SETTINGS,),
    config=config,
    problems=problems,
    state="unmaintained since January 2025; always packs rows and takes the loss on questions too",
    licence="Apache-2.0",
    source="https://github.com/huggingface/autotrain-advanced",
)
