"""A Cog package of a tuned model, for Replicate or a container of one's own: cog.yaml, predict.py, weights."""

from importlib import metadata
from pathlib import Path

import yaml

from app.exports.weights import base_name, model_name, whole_model
from app.exports.work import Made, Work
from app.runs.bundle import CODE, zip_folder

PREDICTOR = CODE["training"] / "cog_predictor.py"
# For an installation whose trainer lives in another environment.
TESTED = {
    "jinja2": "3.1.6", "numpy": "2.4.6", "safetensors": "0.8.0", "tokenizers": "0.23.3", "torch": "2.13.0",
    "transformers": "5.23.0",
}  # fmt: skip
README = """# {name}

A Cog package (https://cog.run) of run {run} of Tunebook: {model}, seed {seed}.

    cog predict -i prompt="..."
    cog push r8.im/OWNER/NAME

Answers are greedy, as they were when the run was scored. `system` is the system message, if the training data
had one; `max_new_tokens` is the run's own value unless given.
"""


def make_cog(work: Work) -> Made:
    """One zip; the model is whole, so the package needs nothing else."""
    model = whole_model(work)
    folder = work.folder / "cog"
    folder.mkdir()
    (folder / "cog.yaml").write_text(cog_yaml(), encoding="utf-8")
    (folder / "requirements.txt").write_text(requirements(), encoding="utf-8")
    (folder / "predict.py").write_bytes(PREDICTOR.read_bytes())
    said = README.format(
        name=base_name(work.run), run=work.run.id, model=model_name(work.run), seed=work.run.seed
    )
    (folder / "README.md").write_text(said, encoding="utf-8")
    _link(model, folder / "model")
    work.say(0.9, "packing")
    with work.target.open("wb") as file:
        zip_folder(folder, file)
    return Made(f"{base_name(work.run)}-cog.zip")


def cog_yaml() -> str:
    """The build and the predictor, as https://cog.run/yaml describes them."""
    build = {"gpu": True, "python_version": "3.12", "python_requirements": "requirements.txt"}
    return yaml.safe_dump({"build": build, "predict": "predict.py:Predictor"}, sort_keys=False)


def requirements() -> str:
    """The versions that Tunebook runs the model with, one a line."""
    return "".join(f"{name}=={_version(name)}\n" for name in sorted(TESTED))


def _version(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return TESTED[package]


def _link(model: Path, target: Path) -> None:
    """The model's files beside the rest, without copying gigabytes: links to the same bytes."""
    target.mkdir()
    for file in sorted(model.iterdir()):
        if file.is_file():
            (target / file.name).hardlink_to(file)
