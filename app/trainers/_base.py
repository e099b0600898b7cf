"""The contract of a trainer: it renders a job into the files of a bundle, purely.

Each file (or folder) of this package gives one object named TRAINER: `builtin` is our own (its class says what it
has); every other one is a Toolkit, a program of others that trains from a configuration in an environment of its own.
What a toolkit does where it runs (data in its own shape, its command, its progress, its weights) is in
workers/training/toolkits/<name>.py, which travels in the bundle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.hyperparameters import Hyperparameter

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """What a trainer needs to know about a run. `kind` is baseline, starter, hf or toolkit; `counts` are items per part."""

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
    # Whether it will train on an NVIDIA GPU: what "auto" becomes in a toolkit's configuration.
    gpu: bool = False


@dataclass(frozen=True)
class Rendered:
    """The bundle's files (name -> text) and the code packages that travel in it ("training", "baselines")."""

    files: Mapping[str, str]
    code: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """The Python environment that a bundle makes for itself where there is none: `requirements` as pip takes them, each
    pinned; `python` the oldest and newest version that they install on; `after` commands (argv lists, "{python}"
    stands for the environment's Python) run once when they are installed."""

    requirements: tuple[str, ...]
    python: tuple[str, str] = ("3.10", "3.13")
    gigabytes: float = 2.0
    after: tuple[tuple[str, ...], ...] = ()


def _nothing(_: Values) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class Toolkit:
    """A toolkit as a trainer. Its models are `<name>/<model on the Hub, or folder>`.

    `keys` maps each hyperparameter that the toolkit can express to its own key, dotted where nested ("optim.lr");
    "(...)" says how it is computed ("iters = ceil(rows / batch_size) x epochs"). The docs' table is made from it, and
    what is not in it is not offered: a value is never dropped silently. `own` are the toolkit's own settings,
    `choices` narrows a shared one ({"schedule": ("cosine", "linear")}), `defaults` are where ours differ for it.
    `problems(values)` gives a sentence for each combination that it cannot do. `config(job)` renders its
    configuration files, name -> text, every value written out. They name the data `data/...`, the model by
    `model_name(job)`, the output `out/work`: the process runs in the bundle's folder.
    """

    name: str
    label: str
    description: str
    version: str
    environment: Environment
    keys: Mapping[str, str]
    config: Callable[[Job], Mapping[str, str]]
    own: tuple[Hyperparameter, ...] = ()
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    problems: Callable[[Values], list[str]] = _nothing
    # Said on the tile: "unmaintained since January 2025".
    state: str = ""
    # Why it cannot train on a machine without an NVIDIA GPU, or on Linux; "" where it can.
    needs: str = ""
    # The form that its weights have, and so what predicts with them: peft, hf (a whole model), mlx, mistral, keras.
    weights: str = "peft"
    licence: str
    source: str
