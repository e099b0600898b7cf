"""The contract of a trainer: it renders a job into the files of a bundle, purely.

A TRAINER object has: name, hyperparameters(model_id), suggest(model_id, facts), presets(model_id),
estimate(model_id, facts, values, cores), problems(model_id, facts, values), render(job).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Job:
    """What a trainer needs to know about a run. `kind` is baseline, starter or hf; `counts` are items per part."""

    launch_key: str
    kind: str
    model: str
    model_path: str
    task: str
    labels: tuple[str, ...]
    hyperparameters: Mapping[str, Any]
    seed: int
    threads: int
    max_new_tokens: int
    counts: Mapping[str, int]
    dataset_name: str
    dataset_sha256: str
    split_name: str
    split_sha256: str
    # The parts that are predicted when training is over, in this order.
    predict: tuple[str, ...] = ("test",)


@dataclass(frozen=True)
class Rendered:
    """The bundle's files (name -> text) and the code packages that travel in it ("training", "baselines")."""

    files: Mapping[str, str]
    code: tuple[str, ...]
