"""Axolotl as a trainer: LoRA, QLoRA or full fine-tuning from one YAML file."""

from collections.abc import Mapping
from typing import Any

from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._fields import NEFTUNE
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE = "axolotl.yaml"
KEYS = {
    "method": "(adapter: lora, qlora with 4 bits, none for full)",
    "epochs": "num_epochs",
    "learning_rate": "learning_rate",
    "batch_size": "micro_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lora_r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "lora_targets": "(lora_target_linear, or lora_target_modules)",
    "use_dora": "peft_use_dora",
    "quantization": "(load_in_4bit, load_in_8bit)",
    "max_seq_len": "sequence_len",
    "schedule": "lr_scheduler",
    "warmup_ratio": "warmup_ratio",
    "weight_decay": "weight_decay",
    "adam_beta1": "adam_beta1",
    "adam_beta2": "adam_beta2",
    "max_grad_norm": "max_grad_norm",
    "packing": "sample_packing",
    "precision": "(bf16)",
    "gradient_checkpointing": "gradient_checkpointing",
    "seed": "seed",
}
OWN = (
    NEFTUNE,
    OWN_SETTINGS,
)  # fmt: skip


def config(job: Job) -> Mapping[str, str]:
    """The file for `axolotl train`."""
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), f"axolotl train {FILE}")}


def settings(job: Job) -> dict[str, Any]:
    """Every key that Axolotl would else choose itself. The rows are tokens already, each with its loss on the answer
    alone, so that no template is read in another way than when predicting."""
    values = job.hyperparameters
    return {
        "base_model": model_name(job),
        "trust_remote_code": False,
        "datasets": [{"path": "data/train.jsonl", "ds_type": "json", "type": None}],
        "dataset_prepared_path": "out/work/prepared",
        "dataset_num_proc": 1,
        "dataset_exact_deduplication": False,
        "val_set_size": 0.0,
        "output_dir": "out/work/trained",
        **_adapter(values),
        "sequence_len": values["max_seq_len"],
        # No row is longer: one that were would be an error, not dropped in silence.
        "excess_length_strategy": "raise",
        "sample_packing": values["packing"],
        "pad_to_sequence_len": False,
        "num_epochs": values["epochs"],
        "micro_batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        **_optimization(values),
        "bf16": values["precision"] == "bf16",
        "fp16": False,
        "tf32": False,
        "gradient_checkpointing": values["gradient_checkpointing"] == "yes",
        "attn_implementation": "sdpa",
        "seed": job.seed,
        "logging_steps": 1,
        "eval_strategy": "no",
        "save_strategy": "no",
        "save_only_model": True,
    }


def _optimization(values: Values) -> dict[str, Any]:
    schedule = values["schedule"]
    return {
        "optimizer": "adamw_torch",
        "learning_rate": values["learning_rate"],
        "lr_scheduler": "constant_with_warmup" if schedule == "constant" else schedule,
        "warmup_ratio": values["warmup_ratio"],
        "weight_decay": values["weight_decay"],
        "adam_beta1": values["adam_beta1"],
        "adam_beta2": values["adam_beta2"],
        "adam_epsilon": 1e-8,
        "max_grad_norm": values["max_grad_norm"],
        **({"neftune_noise_alpha": values["neftune_noise_alpha"]} if values["neftune_noise_alpha"] else {}),
    }


def _adapter(values: Values) -> dict[str, Any]:
    if values["method"] == "full":
        return {}
    bits, named = values["quantization"], targets(values)
    return {
        "adapter": "qlora" if bits == "4bit" else "lora",
        "load_in_4bit": bits == "4bit",
        "load_in_8bit": bits == "8bit",
        "lora_r": values["lora_r"],
        "lora_alpha": values["lora_alpha"],
        "lora_dropout": values["lora_dropout"],
        **({"lora_target_modules": named} if named else {"lora_target_linear": True}),
        "peft_use_dora": values["use_dora"],
        "peft_use_rslora": False,
        # Its own kernels need a GPU and change sums a little: the plain ones everywhere.
        "lora_mlp_kernel": False,
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
    }


def problems(values: Values) -> list[str]:
    """What Axolotl cannot do."""
    found = own_problems("Axolotl", values, settings(job_of(values)), KEYS.values())
    if values["quantization"] != "none" and values["method"] == "full":
        found.append(
            "Axolotl: a model in 8 or 4 bits is trained with LoRA alone. Set the method to lora, or quantization to none."
        )
    return found


TRAINER = Toolkit(
    name="axolotl",
    label="Axolotl",
    description="Trains language models from one YAML file; much used for open models",
    version="0.19.0",
    # 0.19 is the last that installs on Python 3.11 too.
    environment=Environment(("torch==2.13.0", "axolotl==0.19.0"), python=("3.11", "3.12"), gigabytes=4.4),
    keys=KEYS,
    own=OWN,
    config=config,
    problems=problems,
    licence="Apache-2.0",
    source="https://github.com/axolotl-ai-cloud/axolotl",
)
