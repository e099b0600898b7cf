"""A run's weights as a whole model: the starter's own, a full fine-tuning's, or an adapter merged into its base."""

import json
from pathlib import Path
from typing import Any

from app.errors import Conflict, Unavailable
from app.exports.machine import without_paths
from app.exports.merge_process import run_module
from app.exports.work import Made, Work
from app.runs.bundle import zip_folder
from app.runs.outputs import has_weights, weights_folder
from app.tables import Run, RunState


def check_weights(run: Run) -> None:
    """Raises Conflict for a run that has no weights (yet)."""
    if not has_weights(run.id or 0) or run.state != RunState.DONE:
        raise Conflict(
            f"Run {run.id} has no trained weights to share: it is {run.model}, {run.state}.",
            "Starters and Hugging Face models have weights when they are done.",
        )


def whole_model(work: Work) -> Path:
    """The folder of the whole model as safetensors; an adapter is merged in a process of its own."""
    found = weights_folder(work.run_folder)
    if found is None:
        raise Conflict(f"Run {work.run.id} has no weights.", "They are gone from the data folder.")
    if found.name == "model":
        return found
    if (merged := work.run_folder / "out" / "merged" / "config.json").is_file():
        # Some toolkits merge by themselves.
        return merged.parent
    if not (found / "adapter_model.safetensors").is_file():
        raise Conflict(
            f"The adapter of run {work.run.id} is in its trainer's own form, which only that trainer merges.",
            "Clone the run and choose its export “merged”, where it has one, or share the adapter itself.",
        )
    target = work.folder / "merged"
    arguments = [str(work.run_folder), str(target)]
    run_module(work.folder, "training.merge", arguments, work.say)
    if not (target / "config.json").is_file():
        raise Unavailable(
            "The merge left no model.", "Ask again; if it happens again, look at the server's log."
        )
    return target


def make_merged(work: Work) -> Made:
    """The whole model as a zip of safetensors."""
    folder = whole_model(work)
    work.say(0.9, "packing")
    with work.target.open("wb") as file:
        zip_folder(folder, file)
    return Made(f"{base_name(work.run)}-merged.zip", {"architecture": architecture(folder)})


def architecture(folder: Path) -> str:
    """The class that config.json names, for example "LlamaForCausalLM"."""
    return str((model_config(folder).get("architectures") or ["unknown"])[0])


def model_config(folder: Path) -> dict[str, Any]:
    """The model's config.json."""
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))


def model_name(run: Run) -> str:
    """The model as exports name it: without the folder where this machine has it."""
    return str(without_paths(run.model))


def base_name(run: Run) -> str:
    """The beginning of file names: "run-7-starter-tiny"."""
    model = "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in model_name(run))
    return f"run-{run.id}-{model.strip('-.')[:80]}"
