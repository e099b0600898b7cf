"""What toolkits do alike with the shared hyperparameters: which they have, what is settled, what a person adds by their own
names. Used by toolkits and the catalog."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from app.hyperparameters import Hyperparameter
from app.trainers._base import Job, Toolkit, Values
from app.trainers._fields import SHARED
from app.trainers._prediction import AT_ONCE, DECODING

# What a toolkit has beyond our vocabulary is passed through by name; toolkits that take YAML name this among their own.
OWN_SETTINGS = Hyperparameter(
    "own_settings", "Settings of its own", "text", "",
    "More settings of the toolkit by its own names, as in YAML: key: value; key: value. They cannot set again what is "
    "chosen above.",
    maximum=2000,
)  # fmt: skip
SETTING = re.compile(r"""(?:"[^"]*"|'[^']*'|[^;\n"'])+""")
# Every toolkit has these: the seed is the run's own, and Tunebook predicts itself.
# Only those whose weights Transformers reads can be asked for labels.
ALWAYS, DECODED = (AT_ONCE.name, DECODING.name), ("peft", "hf")
LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_targets", "use_dora")


def fields_of(toolkit: Toolkit) -> tuple[Hyperparameter, ...]:
    """A toolkit's hyperparameters: the shared ones that it can express, then its own."""
    shared = [
        replace(
            shape,
            default=toolkit.defaults.get(shape.name, shape.default),
            choices=toolkit.choices.get(shape.name, shape.choices),
        )
        for shape in SHARED
        if shape.name in toolkit.keys or _everywhere(shape.name, toolkit)
    ]
    return (*shared, *toolkit.own)


def lacking(toolkit: Toolkit) -> tuple[str, ...]:
    """The shared hyperparameters that the toolkit cannot express, by name."""
    return tuple(s.name for s in SHARED if s.name not in toolkit.keys and not _everywhere(s.name, toolkit))


def _everywhere(name: str, toolkit: Toolkit) -> bool:
    return name in ALWAYS and (name != DECODING.name or toolkit.weights in DECODED)


def settle(job: Job) -> dict[str, Any]:
    """The values with every "auto" decided by the device that the job is for."""
    values = dict(job.hyperparameters)
    if values.get("precision") == "auto":
        values["precision"] = "bf16" if job.gpu else "fp32"
    if values.get("gradient_checkpointing") == "auto":
        values["gradient_checkpointing"] = "yes" if job.gpu else "no"
    return values


def model_name(job: Job) -> str:
    """How a configuration names the base model: its name on the Hub, or ./folder for one beside it."""
    path = Path(job.model_path)
    return f"./{path.name}" if path.is_absolute() else job.model_path


def targets(values: Mapping[str, Any]) -> list[str] | None:
    """The layers that LoRA changes, None for all linear ones."""
    text = str(values.get("lora_targets") or "all-linear")
    return None if text == "all-linear" else [name.strip() for name in text.split(",") if name.strip()]


def own_settings(values: Values) -> dict[str, Any]:
    """The toolkit's own settings that a person added, as written in `key: value; key: value`; {} for none.

    Raises ValueError with a sentence for what is not that.
    """
    settings: dict[str, Any] = {}
    for part in SETTING.findall(str(values.get("own_settings") or "")):
        if not part.strip():
            continue
        try:
            found = yaml.safe_load(part.strip())
        except yaml.YAMLError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise ValueError(f"{part.strip()!r} is not written as key: value")
        for key, value in found.items():
            if key in settings:
                raise ValueError(f"{key} is there twice")
            settings[key] = value
    return settings


def with_own(settings: Mapping[str, Any], values: Values) -> dict[str, Any]:
    """A toolkit's settings and those that a person added; a mapping is added to key by key.

    Raises ValueError with a sentence where one would set what is set already.
    """
    return _added(settings, own_settings(values), "")


def _added(settings: Mapping[str, Any], more: Mapping[str, Any], before: str) -> dict[str, Any]:
    joined = dict(settings)
    for key, value in more.items():
        ours = joined.get(key)
        if isinstance(ours, Mapping) and isinstance(value, Mapping):
            joined[key] = _added(ours, value, f"{before}{key}.")
        elif key in joined:
            raise ValueError(f"{before}{key} is set already")
        else:
            joined[key] = value
    return joined


def own_problems(label: str, values: Values, settings: Mapping[str, Any], keys: Collection[str]) -> list[str]:
    """A sentence where a person's own settings cannot be taken: `settings` are those that the toolkit is given without
    them, `keys` its keys of shared hyperparameters, also those that are not written with these values."""
    try:
        theirs = own_settings(values)
        with_own(settings, values)
        again = next((key for key in _paths(theirs) if key in keys), None)
        if again:
            raise ValueError(f"{again} is set already")
    except ValueError as problem:
        return [
            f"{label}: settings of its own: {problem}. Write key: value; key: value, with keys of {label} that nothing "
            "else here sets."
        ]
    return []


def _paths(settings: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _paths(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def job_of(values: Values, model: str = "toolkit/model") -> Job:
    """A job with these values and nothing else known, for what can be told of a configuration before there is a run."""
    name = model.partition("/")[2]
    return Job("", "toolkit", model, name, "", (), dict(values), 1, 1, 1, {}, "", "", "", "")
