"""The built-in trainer: baselines, the starter and Hugging Face models, run by workers/training.

Called through app/catalog (choices) and app/runs/prepare.py (bundles). Imports no machine-learning package.
"""

from dataclasses import dataclass
from typing import Any

from app.hyperparameters import Hyperparameter
from app.trainers._base import Job, Rendered
from app.trainers.builtin.choices import presets, problems, suggest
from app.trainers.builtin.estimate import estimate
from app.trainers.builtin.fields import hyperparameters
from app.trainers.builtin.render import render


@dataclass(frozen=True)
class Builtin:
    """The contract of app/trainers/_base.py; model ids are starter/<size> and hf/<name or folder>."""

    name: str = "builtin"

    def hyperparameters(self, model_id: str) -> tuple[Hyperparameter, ...]:
        """Every hyperparameter, those that matter first."""
        return hyperparameters(model_id)

    def suggest(self, model_id: str, facts: dict[str, Any]) -> dict[str, Any]:
        """A sensible value for every hyperparameter on this data."""
        return suggest(model_id, facts)

    def presets(self, model_id: str) -> dict[str, dict[str, Any]]:
        """Named sets of values; {} where there is nothing to choose between."""
        return presets(model_id)

    def estimate(
        self, model_id: str, facts: dict[str, Any], values: dict[str, Any], cores: int
    ) -> dict[str, Any]:
        """{"tokens": int, "seconds": float or None when the model's size is not known}."""
        return estimate(model_id, facts, values, cores)

    def problems(self, model_id: str, facts: dict[str, Any], values: dict[str, Any]) -> list[str]:
        """What would go wrong, as sentences."""
        return problems(model_id, facts, values)

    def render(self, job: Job) -> Rendered:
        """The bundle's files; the same job gives the same bytes."""
        return render(job)


TRAINER = Builtin()
