"""What a toolkit ran with, in our words: its resolved configuration read back into out/resolved.json. Used by _run.py."""

import hashlib
import json
import math
import struct
from pathlib import Path
from typing import Any

from ..job import Job
from ..reporting import Reporter

LONGEST_VALUE = 200
# What our own runner does, whatever the toolkit: it is done as it was asked for.
OURS = ("predict_batch_size", "decoding", "own_settings", "export")
# Left out of a configuration, and so of what is read back, where it is off.
OFF = ("neftune_noise_alpha",)
# Places in the bundle's folder, which say nothing about the training.
PLACES = ("output_dir", "datasets", "model_name_or_path", "base_model", "dataset_dir", "data", "model")


def tell(job: Job, reporter: Reporter, found: dict[str, Any], base: str) -> None:
    """Writes out/resolved.json from {the toolkit's own key, dotted: value}: each of our hyperparameters under our name
    where its key was read back (or our name itself, for those that have no one key), and what the toolkit added under
    its own."""
    keys: dict[str, str] = job.config["toolkit"]["keys"]
    values: dict[str, Any] = {}
    for ours, theirs in keys.items():
        named = theirs if theirs in found else ours
        if named in found and ours in job.values:
            values[ours] = _ours(job.values[ours], found[named])
    values |= {name: job.values[name] for name in OURS if name in job.values and name not in values}
    values["seed"] = found.get(keys.get("seed", "seed"), job.seed)
    used = set(keys.values())
    for theirs, value in sorted(found.items()):
        if theirs not in (*used, *values, *PLACES) and _tellable(value):
            values[theirs] = value
    values |= {name: 0.0 for name in OFF if name in job.values and name not in values}
    adapter = job.out / "adapter"
    trained = sum(count(file) for file in adapter.glob("*.safetensors")) if adapter.is_dir() else None
    folder = Path(base)
    total = sum(count(file) for file in folder.glob("*.safetensors")) if folder.is_dir() else 0
    parameters = total + (trained or 0) if total else None
    reporter.resolved(values, {}, parameters, trained if trained else parameters, base=identity(base))


def _ours(sent: Any, theirs: Any) -> Any:
    """The value that was read back, in the type that was sent where the two say the same."""
    if isinstance(sent, bool) or isinstance(theirs, bool) or theirs is None:
        return sent if theirs is None else theirs
    try:
        if isinstance(sent, int | float) and math.isclose(float(theirs), float(sent), rel_tol=1e-9):
            return sent
    except (TypeError, ValueError):
        pass
    return theirs


def _tellable(value: Any) -> bool:
    plain = value is None or isinstance(value, str | int | float | bool | list)
    return plain and value not in (None, "", []) and len(json.dumps(value, default=str)) <= LONGEST_VALUE


def identity(base: str) -> dict[str, Any]:
    """Which base weights exactly: the Hub's commit where the cache tells it, or a hash of the folder's files."""
    folder = Path(base)
    if folder.is_dir():
        digest = hashlib.sha256()
        for file in sorted(folder.glob("*.safetensors")):
            with file.open("rb") as opened:
                while block := opened.read(1 << 20):
                    digest.update(block)
        return {"name": folder.name, "sha256": digest.hexdigest()}
    return {"name": base, "revision": _revision(base)}


def _revision(name: str) -> str | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent.name if isinstance(found, str) else None


def count(file: Path) -> int:
    """Elements of all tensors of a safetensors file, from its header: 8 bytes of length, then JSON."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        header = json.loads(opened.read(length))
    return sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")


def read_yaml(file: Path, flat: bool = True) -> dict[str, Any]:
    """A YAML file of a toolkit, flat: {"optim.lr": 1}, or as it stands; {} where there is none. Every toolkit that takes
    YAML has the package."""
    import yaml

    found = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not isinstance(found, dict):
        return {}
    return flatten(found) if flat else found


def flatten(config: dict[str, Any], before: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}"""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return flat
