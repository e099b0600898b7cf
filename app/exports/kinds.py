"""What can be made of a run, by name. The service checks what is asked, the worker makes it, pages list it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import Conflict
from app.exports.cog import make_cog
from app.exports.gguf import check_precision, make_gguf
from app.exports.hub_push import check_dataset_push, check_model_push, make_dataset_push, make_model_push
from app.exports.mlflow import check_mlflow, make_mlflow
from app.exports.model_card import check_card
from app.exports.model_card_file import make_card
from app.exports.paper_export import check_paper, make_paper
from app.exports.tensorboard import make_tensorboard
from app.exports.wandb import make_wandb
from app.exports.weights import check_weights, make_merged
from app.exports.work import Made, Work
from app.tables import Run, RunState

Parameters = Mapping[str, Any]


def _nothing(parameters: Parameters) -> dict[str, Any]:
    return {}


def _any_run(run: Run) -> None:
    return None


def _finished(run: Run) -> None:
    if run.state != RunState.DONE:
        raise Conflict(f"Run {run.id} is {run.state}, not done.", "Wait for its end.")


@dataclass(frozen=True)
class Kind:
    """`check(parameters)` gives them cleaned and complete, `fits(run)` raises Conflict for a run that has not
    what it takes, `make(work)` writes the file or pushes. `pushes` kinds may take a token that is used once."""

    name: str
    label: str
    note: str
    make: Callable[[Work], Made]
    check: Callable[[Parameters], dict[str, Any]] = _nothing
    fits: Callable[[Run], None] = check_weights
    pushes: bool = False


_ALL = (
    Kind("merged", "Whole model", "safetensors, an adapter merged into its base", make_merged),
    Kind("gguf", "GGUF for llama.cpp", "with an Ollama Modelfile", make_gguf, check_precision),
    Kind("cog", "Cog package", "for Replicate: cog.yaml, predict.py, weights", make_cog),
    Kind("model-card", "Model card", "README.md in the Hub's format", make_card, check_card, _any_run),
    Kind("paper-bundle", "Paper bundle", "predictions, scores, tables and what computes them again",
         make_paper, check_paper, _any_run),
    Kind("tensorboard", "TensorBoard", "an event file: curves, scores, hyperparameters",
         make_tensorboard, fits=_finished),
    Kind("wandb", "Weights & Biases", "an offline folder that wandb sync sends", make_wandb, fits=_finished),
    Kind("mlflow", "To an MLflow server", "parameters, curves, scores, predictions",
         make_mlflow, check_mlflow, _finished, pushes=True),
    Kind("push-model", "Model to Hugging Face", "weights and card", make_model_push, check_model_push, pushes=True),
    Kind("push-dataset", "Data set to Hugging Face", "the parts of this run's split as JSON Lines",
         make_dataset_push, check_dataset_push, _any_run, pushes=True),
)  # fmt: skip
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}
