"""The bundle of a run that the built-in trainer makes. Pure."""

from importlib import metadata

from app.trainers._base import Environment, Job, Rendered
from app.trainers._bundle import bundle
from app.trainers._prediction import JSON_SCHEMA
from app.trainers.builtin.texts import USES

CLASSICAL = ("numpy", "scipy", "scikit-learn")
STARTER = ("numpy", "safetensors", "tokenizers", "torch", "transformers", "jinja2")
HUGGING_FACE = (*STARTER, "accelerate", "datasets", "peft", "trl")
PACKAGES = {"baseline": CLASSICAL, "starter": STARTER, "hf": HUGGING_FACE}
GIGABYTES = {"baseline": 0.3, "starter": 1.2, "hf": 1.7}
# For an installation without PyTorch of its own, whose trainer lives in another environment.
TESTED = {
    "accelerate": "1.15.0", "bitsandbytes": "0.50.2", "datasets": "5.2.0", "jinja2": "3.1.6", "llguidance": "1.9.1", "numpy": "2.4.6", "peft": "0.21.2",
    "safetensors": "0.8.0", "tokenizers": "0.23.3", "torch": "2.13.0", "transformers": "5.23.0",
    "trl": "1.16.0",
}  # fmt: skip


def render(job: Job) -> Rendered:
    """The files of the bundle and the code that travels in it."""
    names = PACKAGES[job.kind]
    if job.hyperparameters.get("quantization", "none") != "none":
        names = (*names, "bitsandbytes")
    if job.hyperparameters.get("decoding") == JSON_SCHEMA:
        names = (*names, "llguidance")
    requirements = tuple(f"{name}=={_version(name)}" for name in sorted(names))
    environment = Environment(requirements, ("3.11", "3.13"), GIGABYTES[job.kind])
    code = ("training", "baselines") if job.kind == "baseline" else ("training",)
    return bundle(job, environment, USES[job.kind], code=code)


def _version(package: str) -> str:
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return TESTED[package]
