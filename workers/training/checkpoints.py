"""Checkpoints of the starter: safetensors and JSON only, each a folder that is whole or not there."""

import shutil
from pathlib import Path
from typing import Any

from .files import read_json, write_folder, write_json


def save_checkpoint(folder: Path, step: int, model: Any, optimizer: Any, spent: dict[str, Any]) -> None:
    """Writes checkpoints/step-N after `step` steps and removes the older ones.

    The learning rate and the order of the rows are functions of seed and step, so that weights, moments and
    the step are the whole state.
    """
    from safetensors.torch import save_file

    def fill(fresh: Path) -> None:
        # Tied weights are saved once.
        weights = {name: value.contiguous() for name, value in model.named_parameters()}
        save_file(weights, fresh / "model.safetensors")
        save_file(_moments(optimizer), fresh / "optimizer.safetensors")
        write_json(fresh / "state.json", {"step": step, **spent})

    write_folder(folder / f"step-{step:09d}", fill)
    for older in _complete(folder)[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def _moments(optimizer: Any) -> dict[str, Any]:
    state = optimizer.state_dict()["state"]
    return {f"{number}.{name}": value for number, held in state.items() for name, value in held.items()}


def _complete(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("step-*") if (path / "state.json").is_file())


def load_checkpoint(folder: Path, model: Any, optimizer: Any) -> dict[str, Any]:
    """Restores the newest checkpoint and returns its state.json; {} when there is none."""
    import torch
    from safetensors.torch import load_file

    found = _complete(folder)
    if not found:
        return {}
    weights = load_file(found[-1] / "model.safetensors")
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(weights[name])
    held: dict[int, dict[str, Any]] = {}
    for key, value in load_file(found[-1] / "optimizer.safetensors").items():
        number, _, name = key.partition(".")
        held.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": held, "param_groups": optimizer.state_dict()["param_groups"]})
    return read_json(found[-1] / "state.json")
