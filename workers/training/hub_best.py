"""Early stopping: the weights with the lowest validation loss, kept and put back at the end. Used by hub_sft.py."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .files import read_json, write_folder, write_json
from .reporting import Reporter

WEIGHTS = "weights.safetensors"


def standing(history: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """(step of the lowest validation loss so far, how often it was measured since then without a lower one); of equal
    ones the first counts. `history` is the Trainer's, with "eval_loss" and "step"."""
    measured = [(float(entry["eval_loss"]), int(entry["step"])) for entry in history if "eval_loss" in entry]
    losses = [loss for loss, _ in measured]
    place = losses.index(min(losses))
    return measured[place][1], len(losses) - 1 - place


class BestWeights:
    """Does nothing where `patience` is 0. What is known stands in the Trainer's history and in the folder, so that a
    resumed run knows it too."""

    def __init__(self, folder: Path, patience: int) -> None:
        self.folder, self.patience = folder, patience

    def look(self, history: Sequence[dict[str, Any]], model: Any) -> bool:
        """After a measurement: keeps the trained weights when they are the best; says whether to stop."""
        if not self.patience:
            return False
        step, waited = standing(history)
        if waited == 0:
            self._keep(step, model)
        return waited >= self.patience

    def _keep(self, step: int, model: Any) -> None:
        from safetensors.torch import save_file

        trained = {name: _whole(value) for name, value in model.named_parameters() if value.requires_grad}

        def fill(fresh: Path) -> None:
            save_file(trained, fresh / WEIGHTS)
            write_json(fresh / "step.json", {"step": step})

        if os.environ.get("RANK", "0") == "0":
            write_folder(self.folder, fill)

    def restore(self, model: Any, reporter: Reporter) -> None:
        """Puts the best weights back into the model."""
        if not self.patience or not (self.folder / WEIGHTS).is_file():
            return
        import torch
        from safetensors.torch import load_file

        kept = load_file(self.folder / WEIGHTS)
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in kept:
                    value.copy_(_like(value, kept[name]))
        reporter.log(
            f"takes the weights of step {read_json(self.folder / 'step.json').get('step')}, the best ones"
        )


def _whole(value: Any) -> Any:
    """A weight in one piece; one that is spread over devices is put together, which each of them takes part in."""
    value = value.detach()
    return (value.full_tensor() if hasattr(value, "full_tensor") else value).contiguous().cpu()


def _like(value: Any, kept: Any) -> Any:
    if not hasattr(value, "full_tensor"):
        return kept
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(kept.to(value.device), value.device_mesh, value.placements)
