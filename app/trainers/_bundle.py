"""A run's bundle as text, for every trainer: configuration, script, environment and a page for the reader of the
paper. Pure: the same job gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.trainers._base import Environment, Job, Rendered, Toolkit
from app.trainers._shared import settle
from app.trainers._texts import README, RUN_SH

CHECKPOINT_SECONDS = 10
TOOLKIT_USES = (
    "{label} {version}, in an environment of its own of about {gigabytes:g} GB, and the base model: `model_path` in "
    "config.json is its name on the Hugging Face Hub or, where it begins with ./, a folder that belongs beside this "
    "file. `MODEL=/its/folder sh run.sh` takes it from elsewhere"
)


def bundle(
    job: Job,
    environment: Environment,
    uses: str,
    configs: Mapping[str, str] | None = None,
    code: tuple[str, ...] = ("training",),
    more: Mapping[str, Any] | None = None,
) -> Rendered:
    """The files of the bundle and the code that travels in it. `uses` ends the sentence "It needs ..."; `configs` are
    a toolkit's own files; `more` goes into config.json."""
    configs = configs or {}
    files = {
        **configs,
        "config.json": _json(_config(job) | dict(more or {})),
        "run.sh": RUN_SH,
        "environment.txt": "".join(f"{package}\n" for package in environment.requirements),
        "environment.json": _json(
            {
                "python": list(environment.python),
                "size": f"about {environment.gigabytes:g} GB",
                "after": [list(command) for command in environment.after],
            }
        ),
        "README.md": _readme(job, uses, configs),
    }
    if in_folder(job):
        # Where the base model lies on this machine: the process reads it, exports leave it out.
        files["here.json"] = json.dumps({"model_path": job.model_path}) + "\n"
    return Rendered(files, code)


def toolkit_bundle(toolkit: Toolkit, job: Job) -> Rendered:
    """The bundle of a toolkit's run."""
    uses = TOOLKIT_USES.format(
        label=toolkit.label, version=toolkit.version, gigabytes=toolkit.environment.gigabytes
    )
    settled = replace(job, hyperparameters=settle(job))
    said = {"name": toolkit.name, "version": toolkit.version, "keys": dict(toolkit.keys)}
    return bundle(
        settled, toolkit.environment, uses, toolkit.config(settled), more={"toolkit": said, "gpu": job.gpu}
    )


def in_folder(job: Job) -> bool:
    """Whether the base model is a folder of this machine."""
    return Path(job.model_path).is_absolute()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _config(job: Job) -> dict[str, Any]:
    """The configuration, which names no folder of this machine: a base model from one stands as ./its-name."""
    folder = Path(job.model_path).name if in_folder(job) else ""
    return {
        "format": 1,
        "launch_key": job.launch_key,
        "kind": job.kind,
        "model": f"{job.model.partition('/')[0]}/{folder}" if folder else job.model,
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


def _readme(job: Job, uses: str, configs: Mapping[str, str]) -> str:
    values = "\n".join(
        f"| {name} | {json.dumps(job.hyperparameters[name])} |" for name in sorted(job.hyperparameters)
    )
    return README.format(
        model=_config(job)["model"],
        uses=uses,
        files="".join(f"| `{name}` | the toolkit's own configuration |\n" for name in sorted(configs)),
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
