"""mistral-finetune as a trainer: Mistral's own LoRA trainer, from its repository alone, on NVIDIA GPUs."""

from collections.abc import Mapping
from typing import Any

from app.trainers._base import Environment, Job, Toolkit, Values
from app.trainers._shared import OWN_SETTINGS, job_of, model_name, own_problems, with_own
from app.trainers._yaml import to_yaml

FILE = "mistral.yaml"
KEYS = {
    "method": "(lora.enable)",
    "epochs": "(max_steps = ceil(epochs x tokens / tokens of a step), when the run starts)",
    "learning_rate": "optim.lr",
    "batch_size": "batch_size",
    "gradient_accumulation": "num_microbatches",
    "lora_r": "lora.rank",
    "lora_alpha": "(lora.scaling = lora_alpha / lora_r)",
    "lora_dropout": "lora.dropout",
    "max_seq_len": "seq_len",
    "schedule": "(one cycle: cosine)",
    "warmup_ratio": "optim.pct_start",
    "weight_decay": "optim.weight_decay",
    "max_grad_norm": "max_norm",
    "gradient_checkpointing": "(checkpoint)",
    "seed": "seed",
}
REPOSITORY = "https://github.com/mistralai/mistral-finetune"
COMMIT = "208b25c0f7299bb78d06cea25b82adee03834319"
OWN = (OWN_SETTINGS,)
# PyPI's package of this name is another's and is never installed.
CLONE = f"""
import pathlib, subprocess, sys
folder = str(pathlib.Path(sys.prefix) / "mistral-finetune")
try:
    subprocess.run(["git", "clone", "--quiet", "{REPOSITORY}", folder], check=True)
    subprocess.run(["git", "-C", folder, "checkout", "--quiet", "{COMMIT}"], check=True)
except (OSError, subprocess.CalledProcessError) as error:
    sys.exit(f"mistral-finetune is at {REPOSITORY} alone, and git cannot fetch it here: {{error}}")
"""


def config(job: Job) -> Mapping[str, str]:
    """The file for `torchrun -m train`, but for max_steps: how many tokens there are, only its tokenizer tells."""
    epochs = job.hyperparameters["epochs"]
    about = (
        f"torchrun train.py; a run adds max_steps, {epochs} times its tokens, and gives it data/mistral.yaml"
    )
    return {FILE: to_yaml(with_own(settings(job), job.hyperparameters), about)}


def settings(job: Job) -> dict[str, Any]:
    """Every key that mistral-finetune would else choose itself, max_steps apart."""
    values = job.hyperparameters
    return {
        "data": {
            "instruct_data": "data/train.jsonl",
            "data": "",
            "eval_instruct_data": "",
            "shuffle": False,
            "instruct": {"shuffle": True, "dynamic_chunk_fn_call": False},
        },
        "model_id_or_path": model_name(job),
        "run_dir": "out/work/run",
        "optim": {
            "lr": values["learning_rate"],
            "weight_decay": values["weight_decay"],
            "pct_start": values["warmup_ratio"],
        },
        "lora": {
            "enable": values["method"] == "lora",
            "rank": values["lora_r"],
            "dropout": values["lora_dropout"],
            "scaling": values["lora_alpha"] / values["lora_r"],
        },
        "seed": job.seed,
        "num_microbatches": values["gradient_accumulation"],
        "seq_len": values["max_seq_len"],
        "batch_size": values["batch_size"],
        "max_norm": values["max_grad_norm"],
        "log_freq": 1,
        "eval_freq": 0,
        "no_eval": True,
        "ckpt_freq": 0,
        "no_ckpt": False,
        "num_ckpt_keep": 1,
        "save_adapters": True,
        "checkpoint": values["gradient_checkpointing"] == "yes",
        "wandb": {"project": None, "offline": True, "run_name": None},
    }


def problems(values: Values) -> list[str]:
    """What mistral-finetune cannot do."""
    found = own_problems("mistral-finetune", values, settings(job_of(values)), KEYS.values())
    if values["warmup_ratio"] <= 0 or values["warmup_ratio"] >= 1:
        found.append(
            "mistral-finetune: its cycle needs a part that rises and one that falls. Set the warm-up between 0 and 1, "
            "for example 0.05."
        )
    return found


TRAINER = Toolkit(
    name="mistral-finetune",
    label="mistral-finetune",
    description="Mistral's own LoRA trainer, for Mistral 7B v0.3 and kin with its v3 tokenizer; always packs rows",
    version=COMMIT[:8],
    environment=Environment(
        (
            "torch==2.2.0",
            "triton==2.2.0",
            "xformers==0.0.24",
            "numpy==1.26.4",
            "fire==0.7.0",
            "simple-parsing==0.1.7",
            "pyyaml==6.0.2",
            "mistral-common==1.5.4",
            "mistral-inference==1.6.0",
            "sentencepiece==0.2.0",
            "safetensors==0.5.3",
            "tensorboard==2.18.0",
            "tqdm==4.67.1",
            "huggingface-hub==0.30.2",
            "setuptools==75.8.0",
        ),
        python=("3.10", "3.11"),
        gigabytes=6.0,
        after=(("{python}", "-c", CLONE),),
    ),
    keys=KEYS,
    own=OWN,
    choices={"method": ("lora",), "schedule": ("cosine",)},
    config=config,
    problems=problems,
    needs="an NVIDIA GPU",
    state="hardly maintained since September 2024; no run of it was made here yet",
    weights="mistral",
    licence="Apache-2.0",
    source=REPOSITORY,
)
