"""Early stopping: the weights with the lowest validation loss, kept and put back at the end. Used by hub_sft.py."""

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

    def look(self, history: Sequence[dict[str, Any]], model: Any, writes: bool) -> bool:
        """After a measurement: keeps the trained weights when they are the best; says whether to stop."""
        if not self.patience:
            return False
        step, waited = standing(history)
        if waited == 0 and writes:
            self._keep(step, model)
        return waited >= self.patience

    def _keep(self, step: int, model: Any) -> None:
        from safetensors.torch import save_file

        def fill(fresh: Path) -> None:
            save_file(_trained(model), fresh / WEIGHTS)
            write_json(fresh / "step.json", {"step": step})

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
                    value.copy_(kept[name])
        reporter.log(
            f"takes the weights of step {read_json(self.folder / 'step.json').get('step')}, the best ones"
        )


def _trained(model: Any) -> dict[str, Any]:
    return {
        name: value.detach().contiguous().cpu()
        for name, value in model.named_parameters()
        if value.requires_grad
    }
