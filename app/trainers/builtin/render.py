"""A run's bundle as text: configuration, script, environment and a page for the reader of the paper. Pure."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from app.trainers._base import Job, Rendered
from app.trainers.builtin.texts import README, RUN_SH, USES

CLASSICAL = ("numpy", "scipy", "scikit-learn")
STARTER = ("numpy", "safetensors", "tokenizers", "torch", "transformers", "jinja2")
HUGGING_FACE = (*STARTER, "accelerate", "datasets", "peft", "trl")
PACKAGES = {"baseline": CLASSICAL, "starter": STARTER, "hf": HUGGING_FACE}
# For an installation without PyTorch of its own, whose trainer lives in another environment.
TESTED = {
    "accelerate": "1.15.0", "datasets": "5.2.0", "jinja2": "3.1.6", "numpy": "2.4.6", "peft": "0.21.2",
    "safetensors": "0.8.0", "tokenizers": "0.23.3", "torch": "2.13.0", "transformers": "5.23.0",
    "trl": "1.16.0",
}  # fmt: skip
CHECKPOINT_SECONDS = 10


def render(job: Job) -> Rendered:
    """The files of the bundle and the code that travels in it."""
    files = {
        "config.json": json.dumps(_config(job), indent=1, sort_keys=True, ensure_ascii=False) + "\n",
        "run.sh": RUN_SH,
        "environment.txt": "".join(f"{name}=={_version(name)}\n" for name in sorted(PACKAGES[job.kind])),
        "README.md": _readme(job),
    }
    if _in_folder(job):
        # Where the base model lies on this machine: the process reads it, exports leave it out.
        files["here.json"] = json.dumps({"model_path": job.model_path}) + "\n"
    code = ("training", "baselines") if job.kind == "baseline" else ("training",)
    return Rendered(files, code)


def _in_folder(job: Job) -> bool:
    return Path(job.model_path).is_absolute()


def _config(job: Job) -> dict[str, Any]:
    """The configuration, which names no folder of this machine: a base model from one stands as ./its-name."""
    folder = Path(job.model_path).name if _in_folder(job) else ""
    return {
        "format": 1,
        "launch_key": job.launch_key,
        "kind": job.kind,
        "model": f"hf/{folder}" if folder else job.model,
        "model_path": f"./{folder}" if folder else job.model_path,
        "task": job.task,
        "labels": list(job.labels),
        "hyperparameters": dict(job.hyperparameters),
        "seed": job.seed,
        "threads": job.threads,
        "max_new_tokens": job.max_new_tokens,
        "checkpoint_seconds": CHECKPOINT_SECONDS,
        "counts": dict(job.counts),
        "predict": list(job.predict),
        "dataset": {"name": job.dataset_name, "sha256": job.dataset_sha256},
        "split": {"name": job.split_name, "sha256": job.split_sha256},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return TESTED[package]


def _readme(job: Job) -> str:
    values = "\n".join(
        f"| {name} | {json.dumps(job.hyperparameters[name])} |" for name in sorted(job.hyperparameters)
    )
    return README.format(
        model=_config(job)["model"],
        uses=USES[job.kind],
        dataset=job.dataset_name,
        dataset_sha256=job.dataset_sha256,
        split=job.split_name,
        split_sha256=job.split_sha256,
        train=job.counts.get("train", 0),
        validation=job.counts.get("validation", 0),
        test=job.counts.get("test", 0),
        seed=job.seed,
        threads=job.threads,
        values=values or "| none | |",
    )
