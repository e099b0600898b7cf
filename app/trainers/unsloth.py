"""Unsloth as a trainer: LoRA and QLoRA on one NVIDIA GPU by its Python interface, and its export to GGUF for Ollama."""

from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE = "unsloth.yaml"
KEYS = {
    "method": "(model.full_finetuning: never)",
    "epochs": "training.num_train_epochs",
    "learning_rate": "training.learning_rate",
    "batch_size": "training.per_device_train_batch_size",
    "gradient_accumulation": "training.gradient_accumulation_steps",
    "lora_r": "lora.r",
    "lora_alpha": "lora.lora_alpha",
    "lora_dropout": "lora.lora_dropout",
    "lora_targets": "(lora.target_modules)",
    "quantization": "(model.load_in_4bit, model.load_in_8bit)",
    "max_seq_len": "model.max_seq_length",
    "schedule": "(training.lr_scheduler_type)",
    "warmup_ratio": "training.warmup_steps",
    "weight_decay": "training.weight_decay",
    "adam_beta1": "training.adam_beta1",
    "adam_beta2": "training.adam_beta2",
    "max_grad_norm": "training.max_grad_norm",
    "precision": "(model.dtype, training.bf16)",
    "gradient_checkpointing": "(lora.use_gradient_checkpointing)",
    "seed": "training.seed",
}
OWN = (
    Hyperparameter(
        "export", "Export", "choice", "none",
        "merged: the whole model in 16 bits. gguf: one file for llama.cpp and Ollama, with a Modelfile; Unsloth builds "
        "llama.cpp for it, which needs the network, cmake and a compiler. Both into out/merged.",
        choices=("none", "merged", "gguf"),
    ),
    Hyperparameter(
        "gguf_quantization", "GGUF quantization", "choice", "q8_0", "Bits of the GGUF file.",
        choices=("q8_0", "q4_k_m", "q5_k_m", "f16", "bf16"),
    ),
    OWN_SETTINGS,
)  # fmt: skip
# What "all-linear" means to Unsloth: its kernels are written for these.
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def config(job: Job) -> Mapping[str, str]:
    """The arguments of Unsloth's functions, one section each; the script that takes them travels in the bundle."""
    about = "FastLanguageModel.from_pretrained, .get_peft_model and trl.SFTConfig, in this order"
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), about)}


def settings(job: Job) -> dict[str, Any]:
    """Every argument that Unsloth or TRL would else choose itself."""
    return {"model": _model(job), "lora": _lora(job), "training": _training(job), "data": "data/train.jsonl"}


def _model(job: Job) -> dict[str, Any]:
    """Of FastLanguageModel.from_pretrained."""
    values = job.hyperparameters
    bits = values["quantization"]
    return {
        "model_name": model_name(job),
        "max_seq_length": values["max_seq_len"],
        "dtype": "bfloat16" if values["precision"] == "bf16" else "float32",
        "load_in_4bit": bits == "4bit",
        "load_in_8bit": bits == "8bit",
        "full_finetuning": False,
        "trust_remote_code": False,
        "use_gradient_checkpointing": _checkpointing(values),
        "use_exact_model_name": True,
        "random_state": job.seed,
    }


def _lora(job: Job) -> dict[str, Any]:
    """Of FastLanguageModel.get_peft_model."""
    values = job.hyperparameters
    return {
        "r": values["lora_r"],
        "lora_alpha": values["lora_alpha"],
        "lora_dropout": values["lora_dropout"],
        "target_modules": targets(values) or list(LINEAR),
        "bias": "none",
        "use_rslora": False,
        "use_gradient_checkpointing": _checkpointing(values),
        "random_state": job.seed,
    }


def _training(job: Job) -> dict[str, Any]:
    """Of trl.SFTConfig."""
    values = job.hyperparameters
    schedule = values["schedule"]
    return {
        "output_dir": "out/work/trained",
        "max_length": values["max_seq_len"],
        "num_train_epochs": values["epochs"],
        "per_device_train_batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        "learning_rate": values["learning_rate"],
        "lr_scheduler_type": "constant_with_warmup" if schedule == "constant" else schedule,
        "warmup_steps": values["warmup_ratio"],
        "weight_decay": values["weight_decay"],
        "adam_beta1": values["adam_beta1"],
        "adam_beta2": values["adam_beta2"],
        "adam_epsilon": 1e-8,
        "max_grad_norm": values["max_grad_norm"],
        "optim": "adamw_torch",
        "bf16": values["precision"] == "bf16",
        "fp16": False,
        "packing": False,
        "padding_free": False,
        "seed": job.seed,
        "data_seed": job.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": "none",
        # The rows are tokens with their labels already.
        "dataset_kwargs": {"skip_prepare_dataset": True},
        "remove_unused_columns": False,
    }


def _checkpointing(values: Values) -> str | bool:
    """Unsloth's own way of it, which it calls by its name."""
    return "unsloth" if values["gradient_checkpointing"] == "yes" else False


def problems(values: Values) -> list[str]:
    """What Unsloth cannot do."""
    return own_problems("Unsloth", values, settings(job_of(values)), KEYS.values())


TRAINER = Toolkit(
    name="unsloth",
    label="Unsloth",
    description="LoRA and QLoRA on one NVIDIA GPU with kernels that save memory; exports GGUF for Ollama",
    version="2026.10.7",
    environment=Environment(
        (
            "torch==2.14.1",
            "unsloth==2026.10.7",
            "unsloth_zoo==2026.10.7",
            "transformers==5.17.0",
            "trl==1.15.0",
            "peft==0.21.2",
            "jinja2==3.1.6",
        ),
        python=("3.10", "3.13"),
        gigabytes=9.0,
    ),
    keys=KEYS,
    own=OWN,
    choices={"method": ("lora",)},
    config=config,
    problems=problems,
    needs="an NVIDIA GPU",
    state="written to its documentation and checked without a GPU; no run on one was made yet",
    licence="Apache-2.0",
    source="https://github.com/unslothai/unsloth",
)
