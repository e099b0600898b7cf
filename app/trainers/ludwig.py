"""Ludwig as a trainer: LoRA or QLoRA by its declarative YAML (`model_type: llm`); LoRAX serves what it trains."""

import math
from collections.abc import Mapping
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, targets, with_own
from app.trainers._yaml import to_yaml

FILE, DATA = "ludwig.yaml", "data/rows.csv"
KEYS = {
    "method": "(adapter.type: lora)",
    "epochs": "trainer.epochs",
    "learning_rate": "trainer.learning_rate",
    "batch_size": "trainer.batch_size",
    "gradient_accumulation": "trainer.gradient_accumulation_steps",
    "lora_r": "adapter.r",
    "lora_alpha": "adapter.alpha",
    "lora_dropout": "adapter.dropout",
    "lora_targets": "(adapter.target_modules; all linear layers are named when the run starts)",
    "use_dora": "adapter.use_dora",
    "quantization": "(quantization.bits)",
    "max_seq_len": "preprocessing.global_max_sequence_length",
    "schedule": "(trainer.learning_rate_scheduler.decay)",
    "warmup_ratio": "trainer.learning_rate_scheduler.warmup_fraction",
    "weight_decay": "trainer.optimizer.weight_decay",
    "adam_beta1": "(trainer.optimizer.betas)",
    "adam_beta2": "(trainer.optimizer.betas)",
    "max_grad_norm": "trainer.gradient_clipping.clipglobalnorm",
    "gradient_checkpointing": "(trainer.enable_gradient_checkpointing)",
    "seed": "(ludwig train --random_seed)",
}
OWN = (
    Hyperparameter(
        "keep_best", "Keep the best weights", "bool", False,
        "Takes the validation loss after each epoch and keeps the weights that did best; else the last ones are kept.",
    ),
    OWN_SETTINGS,
)  # fmt: skip


def config(job: Job) -> Mapping[str, str]:
    """The file for `ludwig train`."""
    about = (
        f"ludwig train --config {FILE} --dataset {DATA} --output_directory out/work --random_seed {job.seed}"
    )
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), about)}


def settings(job: Job) -> dict[str, Any]:
    """Every key that Ludwig would else choose itself. The prompts are rendered already, by the model's own chat
    template, as they are when predicting."""
    values = job.hyperparameters
    longest = {"max_sequence_length": values["max_seq_len"]}
    return {
        "model_type": "llm",
        "base_model": model_name(job),
        "input_features": [{"name": "prompt", "type": "text", "preprocessing": longest}],
        "output_features": [{"name": "response", "type": "text", "preprocessing": longest}],
        "adapter": {
            "type": "lora",
            "r": values["lora_r"],
            "alpha": values["lora_alpha"],
            "dropout": values["lora_dropout"],
            "target_modules": targets(values),
            "bias_type": "none",
            "use_rslora": False,
            "use_dora": values["use_dora"],
        },
        "quantization": _quantization(values),
        "preprocessing": {
            "global_max_sequence_length": values["max_seq_len"],
            "split": {"type": "fixed", "column": "split"},
        },
        "generation": {"max_new_tokens": job.max_new_tokens, "do_sample": False},
        "trainer": _trainer(job),
        "backend": {"type": "local"},
    }


def _quantization(values: Values) -> dict[str, Any] | None:
    bits = {"4bit": 4, "8bit": 8}.get(values["quantization"])
    if bits is None:
        return None
    return {
        "bits": bits,
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
    }


def _trainer(job: Job) -> dict[str, Any]:
    values = job.hyperparameters
    return {
        "type": "finetune",
        "epochs": values["epochs"],
        "batch_size": values["batch_size"],
        "eval_batch_size": values["batch_size"],
        "gradient_accumulation_steps": values["gradient_accumulation"],
        "learning_rate": values["learning_rate"],
        "learning_rate_scaling": "constant",
        "learning_rate_scheduler": _schedule(job),
        "optimizer": {
            "type": "adamw",
            "betas": [values["adam_beta1"], values["adam_beta2"]],
            "eps": 1e-8,
            "weight_decay": values["weight_decay"],
        },
        "gradient_clipping": {"clipglobalnorm": values["max_grad_norm"]},
        "regularization_lambda": 0.0,
        "should_shuffle": True,
        "enable_gradient_checkpointing": values["gradient_checkpointing"] == "yes",
        "use_mixed_precision": False,
        "checkpoints_per_epoch": 1,
        "early_stop": -1,
        "evaluate_training_set": False,
        "skip_all_evaluation": not values["keep_best"],
    }


def _schedule(job: Job) -> dict[str, Any]:
    """Ludwig counts batches as steps. Its cosine starts again after t_0 of them, by default at every checkpoint: here
    once, over all that the warm-up leaves."""
    values = job.hyperparameters
    batches = math.ceil(max(1, job.counts.get("train", 0)) / values["batch_size"]) * values["epochs"]
    decay = {"cosine": "cosine", "linear": "linear"}.get(values["schedule"])
    schedule = {"decay": decay, "warmup_fraction": values["warmup_ratio"]}
    rest = max(1, math.ceil(batches * (1 - values["warmup_ratio"])))
    return schedule | ({"t_0": rest, "t_mult": 1, "eta_min": 0.0} if decay == "cosine" else {})


def problems(values: Values) -> list[str]:
    """What Ludwig cannot do."""
    found = own_problems("Ludwig", values, settings(job_of(values)), KEYS.values())
    if values["use_dora"] and values["quantization"] != "none":
        found.append(
            "Ludwig: DoRA needs a base that is not in fewer bits. Set DoRA off, or quantization to none."
        )
    return found


TRAINER = Toolkit(
    name="ludwig",
    label="Ludwig",
    description="Declarative training from one YAML file (model_type: llm); LoRAX serves its adapters",
    version="0.11.0",
    # Later versions need Python 3.12. Its own pins leave open what it runs with: these do.
    environment=Environment(
        (
            "torch==2.13.0", "torchvision==0.28.0", "torchaudio==2.11.0",
            "transformers==4.57.6", "peft==0.17.1", "accelerate==1.10.1", "numpy==2.2.6", "pandas==2.3.3",
            "datasets==3.6.0", "setuptools==80.10.2", "ludwig==0.11.0",
        ),
        python=("3.11", "3.12"),
        gigabytes=2.4,
        after=(("{python}", "-m", "training.companions"),),
    ),
    keys=KEYS,
    own=OWN,
    choices={"method": ("lora",)},
    config=config,
    problems=problems,
    licence="Apache-2.0",
    source="https://github.com/ludwig-ai/ludwig",
)  # fmt: skip
