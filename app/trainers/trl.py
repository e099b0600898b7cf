"""TRL's own command line (trl sft) as a trainer: LoRA or full fine-tuning from one YAML file."""

from collections.abc import Mapping
from typing import Any

from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._fields import NEFTUNE
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE = "trl.yaml"
KEYS = {
    "method": "use_peft",
    "epochs": "num_train_epochs",
    "learning_rate": "learning_rate",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lora_r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_targets": "lora_target_modules",
    "use_dora": "use_dora",
    "quantization": "(load_in_4bit, load_in_8bit)",
    "max_seq_len": "max_length",
    "schedule": "lr_scheduler_type",
    "warmup_ratio": "warmup_steps",
    "weight_decay": "weight_decay",
    "adam_beta1": "adam_beta1",
    "adam_beta2": "adam_beta2",
    "max_grad_norm": "max_grad_norm",
    "packing": "packing",
    "precision": "(bf16, dtype)",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
}
OWN = (
    NEFTUNE,
    OWN_SETTINGS,
)  # fmt: skip


def config(job: Job) -> Mapping[str, str]:
    """The file for `trl sft --config`; the rows are prompt and completion, so the loss is on the answer alone."""
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), f"trl sft --config {FILE}")}


def settings(job: Job) -> dict[str, Any]:
    """Everything that TRL is told, but what a person added by its own names."""
    values = job.hyperparameters
    lora, bf16 = values["method"] == "lora", values["precision"] == "bf16"
    return {
        "model_name_or_path": model_name(job),
        "dtype": "bfloat16" if bf16 and lora else "float32",
        "attn_implementation": "sdpa",
        "datasets": [{"path": "json", "data_files": {"train": "data/train.jsonl"}, "split": "train"}],
        "output_dir": "out/work",
        "use_peft": lora,
        **(_lora(values) if lora else {}),
        "max_length": values["max_seq_len"],
        "packing": values["packing"],
        "completion_only_loss": True,
        "num_train_epochs": values["epochs"],
        "per_device_train_batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        "learning_rate": values["learning_rate"],
        "lr_scheduler_type": values["schedule"]
        if values["schedule"] != "constant"
        else "constant_with_warmup",
        "warmup_steps": values["warmup_ratio"],
        "weight_decay": values["weight_decay"],
        "adam_beta1": values["adam_beta1"],
        "adam_beta2": values["adam_beta2"],
        "max_grad_norm": values["max_grad_norm"],
        "neftune_noise_alpha": values["neftune_noise_alpha"] or None,
        "optim": "adamw_torch",
        "seed": job.seed,
        "data_seed": job.seed,
        "bf16": bf16,
        "fp16": False,
        "gradient_checkpointing": values["gradient_checkpointing"] == "yes",
        "use_cpu": not job.gpu,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
    }


def _lora(values: Values) -> dict[str, Any]:
    return {
        "lora_r": values["lora_r"],
        "lora_alpha": values["lora_alpha"],
        "lora_dropout": values["lora_dropout"],
        "lora_target_modules": targets(values) or "all-linear",
        "lora_task_type": "CAUSAL_LM",
        "use_dora": values["use_dora"],
        "use_rslora": False,
        "load_in_4bit": values["quantization"] == "4bit",
        "load_in_8bit": values["quantization"] == "8bit",
    }


def problems(values: Values) -> list[str]:
    """What TRL's command line cannot do."""
    found = own_problems("TRL", values, settings(job_of(values)), KEYS.values())
    if values["quantization"] != "none" and values["method"] == "full":
        found.append("TRL: a model in 8 or 4 bits is trained with LoRA alone. Set the method to lora.")
    return found


TRAINER = Toolkit(
    name="trl",
    label="TRL",
    description="Hugging Face's trainer for language models, by its command line",
    version="1.16.0",
    environment=Environment(
        ("torch==2.13.0", "transformers==5.23.0", "trl[peft]==1.16.0", "peft==0.21.2", "jinja2==3.1.6"),
        python=("3.10", "3.13"),
        gigabytes=1.5,
    ),
    keys=KEYS,
    own=OWN,
    config=config,
    problems=problems,
    licence="Apache-2.0",
    source="https://github.com/huggingface/trl",
)
