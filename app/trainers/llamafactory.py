"""LLaMA-Factory as a trainer: LoRA, QLoRA or full fine-tuning from one YAML file, and its export of a merged model."""

import json
from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._fields import NEFTUNE
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE, EXPORT_FILE, DATA_FILE = "llamafactory.yaml", "llamafactory-export.yaml", "dataset_info.json"
KEYS = {
    "method": "finetuning_type",
    "epochs": "num_train_epochs",
    "learning_rate": "learning_rate",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lora_r": "lora_rank",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_targets": "lora_target",
    "use_dora": "use_dora",
    "quantization": "(quantization_bit)",
    "max_seq_len": "cutoff_len",
    "schedule": "lr_scheduler_type",
    "warmup_ratio": "warmup_steps",
    "weight_decay": "weight_decay",
    "adam_beta1": "adam_beta1",
    "adam_beta2": "adam_beta2",
    "max_grad_norm": "max_grad_norm",
    "packing": "(packing, neat_packing)",
    "precision": "(bf16)",
    "gradient_checkpointing": "(disable_gradient_checkpointing)",
    "seed": "seed",
}
OWN = (
    Hyperparameter(
        "template", "Template", "text", "",
        "LLaMA-Factory's name of a chat template; empty: read from the model's own. A template that gives other tokens "
        "than the model's own is refused before training.",
        maximum=60,
    ),
    NEFTUNE,
    Hyperparameter(
        "export", "Export", "choice", "none",
        "merged: llamafactory-cli export also writes the whole model with its Ollama Modelfile into out/merged.",
        choices=("none", "merged"),
    ),
    OWN_SETTINGS,
)  # fmt: skip
# As chats of four roles; the loss is on the last answer alone (mask_history), like everywhere here.
DATA = {
    "train": {
        "file_name": "data/train.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "observation_tag": "tool",
            "system_tag": "system",
        },
    }
}


def config(job: Job) -> Mapping[str, str]:
    """The files for `llamafactory-cli train`, and for `llamafactory-cli export` where that is asked for."""
    files = {
        FILE: to_yaml(with_own(settings(job), job.hyperparameters), f"llamafactory-cli train {FILE}"),
        DATA_FILE: json.dumps(DATA, indent=1) + "\n",
    }
    if job.hyperparameters["export"] == "merged":
        files[EXPORT_FILE] = to_yaml(_export(job), f"llamafactory-cli export {EXPORT_FILE}")
    return files


def settings(job: Job) -> dict[str, Any]:
    """Every key that LLaMA-Factory would else choose itself; it refuses unknown ones."""
    values = job.hyperparameters
    return {
        **_model(job),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": values["method"],
        **(_lora(values) if values["method"] == "lora" else {}),
        "dataset_dir": ".",
        "dataset": "train",
        "cutoff_len": values["max_seq_len"],
        "train_on_prompt": False,
        "mask_history": True,
        "packing": values["packing"],
        "neat_packing": values["packing"],
        "val_size": 0.0,
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0,
        "overwrite_cache": True,
        "output_dir": "out/work/trained",
        "num_train_epochs": float(values["epochs"]),
        "per_device_train_batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        **_optimization(values),
        "bf16": values["precision"] == "bf16",
        "fp16": False,
        "disable_gradient_checkpointing": values["gradient_checkpointing"] != "yes",
        "use_cpu": not job.gpu,
        "seed": job.seed,
        "data_seed": job.seed,
        "logging_steps": 1,
        "save_strategy": "no",
        "eval_strategy": "no",
        "plot_loss": False,
        "report_to": "none",
    }


def _optimization(values: Values) -> dict[str, Any]:
    schedule = values["schedule"]
    return {
        "optim": "adamw_torch",
        "learning_rate": values["learning_rate"],
        "lr_scheduler_type": "constant_with_warmup" if schedule == "constant" else schedule,
        # A number below 1 is a part of all steps.
        "warmup_steps": values["warmup_ratio"],
        "weight_decay": values["weight_decay"],
        "adam_beta1": values["adam_beta1"],
        "adam_beta2": values["adam_beta2"],
        "max_grad_norm": values["max_grad_norm"],
        **({"neftune_noise_alpha": values["neftune_noise_alpha"]} if values["neftune_noise_alpha"] else {}),
    }


def _model(job: Job) -> dict[str, Any]:
    template = job.hyperparameters["template"]
    return {
        "model_name_or_path": model_name(job),
        "trust_remote_code": False,
        "flash_attn": "sdpa",
        **({"template": template} if template else {}),
        # Models that can think aloud are asked for the answer alone.
        "enable_thinking": False,
    }


def _lora(values: Values) -> dict[str, Any]:
    bits = {"4bit": 4, "8bit": 8}.get(values["quantization"])
    quantized = {"quantization_method": "bnb", "quantization_bit": bits, "double_quantization": True}
    return {
        "lora_rank": values["lora_r"],
        "lora_alpha": values["lora_alpha"],
        "lora_dropout": values["lora_dropout"],
        "lora_target": ",".join(targets(values) or ["all"]),
        "use_dora": values["use_dora"],
        "use_rslora": False,
        **(quantized if bits else {}),
    }


def _export(job: Job) -> dict[str, Any]:
    """Merged onto the base as it is: never onto one in 8 or 4 bits."""
    return {
        **_model(job),
        "adapter_name_or_path": "out/adapter",
        "finetuning_type": "lora",
        "infer_dtype": "bfloat16" if job.hyperparameters["precision"] == "bf16" else "float32",
        "export_dir": "out/work/merged",
        "export_size": 5,
        "export_device": "cpu",
        "export_legacy_format": False,
    }


def problems(values: Values) -> list[str]:
    """What LLaMA-Factory cannot do."""
    found = own_problems("LLaMA-Factory", values, settings(job_of(values)), KEYS.values())
    if values["quantization"] != "none" and values["method"] == "full":
        found.append(
            "LLaMA-Factory: a model in 8 or 4 bits is trained with LoRA alone. Set the method to lora, or quantization "
            "to none."
        )
    if values["export"] == "merged" and values["method"] == "full":
        found.append("LLaMA-Factory: full fine-tuning leaves a whole model already. Set export to none.")
    return found


TRAINER = Toolkit(
    name="llamafactory",
    label="LLaMA-Factory",
    description="Trains language models from one YAML file; writes an Ollama Modelfile",
    version="0.9.5",
    environment=Environment(
        (
            "torch==2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0",
            # 0.9.5 would take 5.6.0, which is broken with FlashAttention; its developers exclude it since.
            "transformers==5.5.4",
            "accelerate==1.11.0", "bitsandbytes==0.50.2", "datasets==4.0.0", "peft==0.18.1", "trl==0.24.0",
            "llamafactory==0.9.5",
        ),
        python=("3.11", "3.13"),
        gigabytes=2.3,
        after=(("{python}", "-m", "training.companions"),),
    ),
    keys=KEYS,
    own=OWN,
    # Without bf16 it takes a base model in whatever precision its files have, where a GPU knows that.
    choices={"precision": ("auto", "bf16")},
    config=config,
    problems=problems,
    licence="Apache-2.0",
    source="https://github.com/hiyouga/LlamaFactory",
)  # fmt: skip
