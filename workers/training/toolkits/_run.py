"""Runs a toolkit in a bundle: data, training as a child process, weights, what it ran with, predictions."""

import importlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from ..failures import Failure
from ..files import remove_folder
from ..job import Job
from ..machine import EnergyMeter, add_energy, write_environment, write_usage
from ..reporting import Reporter
from ._progress import Progress, only_a_bar
from ._resolved import tell

# For every toolkit: no telemetry, no network beyond fetching the model, the fast start.
VARIABLES = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "WANDB_MODE": "disabled",
    "PYTHONUNBUFFERED": "1",
    "COLUMNS": "200",
}
LAST_LINES = 6


def work(job: Job) -> Path:
    """Where the toolkit writes: out/work, which stays on the machine."""
    return job.out / "work"


def data(job: Job) -> Path:
    """Where the data lie in the toolkit's own shape: data/ in the bundle's folder."""
    return job.folder / "data"


def run(job: Job, reporter: Reporter) -> None:
    """Trains unless the trained weights are there already, then predicts."""
    said = job.config["toolkit"]
    toolkit = importlib.import_module(f".{said['name'].replace('-', '_')}", __package__)
    _check_device(job)
    base = _place_base(job)
    gpu = _gpu_name() if job.config.get("gpu") else None
    write_environment(job.out, job.threads, toolkit.PACKAGES, gpu)
    if not any((job.out / name).is_dir() for name in ("adapter", "model")):
        _train(job, reporter, toolkit, base)
    _export(job, reporter, toolkit)
    meter = EnergyMeter()
    reporter.progress("predicting", 0.0, "loading the trained weights")
    toolkit.predict(job, reporter, base, job.values)
    add_energy(job.out, meter)
    shutil.rmtree(work(job), ignore_errors=True)
    shutil.rmtree(data(job), ignore_errors=True)


def _check_device(job: Job) -> None:
    if job.config.get("gpu") and not _gpu_name():
        raise Failure(
            "This run's configuration is for a GPU, and there is none here (nvidia-smi names none).",
            "Run it on a machine with an NVIDIA GPU, or launch it anew for a machine without.",
        )


def _gpu_name() -> str | None:
    try:
        said = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    names = said.stdout.strip().splitlines()
    return names[0] if said.returncode == 0 and names else None


def _place_base(job: Job) -> str:
    """The base model as the configurations name it, from the bundle's folder: a link stands for one that lies elsewhere.

    Gives its absolute folder, or its name on the Hub.
    """
    named = str(job.config["model_path"])
    if not named.startswith("./"):
        return job.model_path or named
    own = job.folder / named
    given = Path(job.model_path).resolve() if job.model_path else own
    if not (given / "config.json").is_file():
        raise Failure(
            f"The base model's folder {given} is not there or holds no config.json.",
            "Put the model there, or say where it is: MODEL=/its/folder sh run.sh.",
        )
    if own.is_symlink():
        own.unlink()
    if not own.exists():
        own.symlink_to(given, target_is_directory=True)
    return str(given)


def _train(job: Job, reporter: Reporter, toolkit: ModuleType, base: str) -> None:
    # A toolkit that was killed starts anew: its half of a result is nobody's.
    remove_folder(work(job))
    work(job).mkdir(parents=True)
    remove_folder(data(job))
    data(job).mkdir()
    reporter.progress("preparing", 0.8, "writing the data in the toolkit's own shape")
    toolkit.prepare(job, base)
    meter, started = EnergyMeter(), time.monotonic()
    file = toolkit.PROGRESS_FILE and work(job) / toolkit.PROGRESS_FILE
    progress = Progress(job, reporter, toolkit.read, file)
    reporter.progress("preparing", 0.9, "the toolkit is starting")
    try:
        code, last = _call(job, reporter, toolkit, toolkit.command(job), progress.line)
    finally:
        progress.end()
    # Some end with 0 although training failed: the weights decide.
    try:
        toolkit.collect(job)
    except Failure as failure:
        if code == 0:
            raise
        reason = next((line for line in reversed(last) if line.strip()), "it said nothing")
        raise Failure(f"The toolkit ended with code {code}: {reason[:300]}", failure.hint) from failure
    tell(job, reporter, toolkit.resolved(job), base)
    write_usage(job.out, time.monotonic() - started, None, meter.joules())


def _export(job: Job, reporter: Reporter, toolkit: ModuleType) -> None:
    """Lets the toolkit write what its `export` says, where it has one, and moves that to out/merged."""
    command = toolkit.export(job) if hasattr(toolkit, "export") else []
    made, kept = work(job) / "merged", job.out / "merged"
    if not command or kept.is_dir():
        return
    remove_folder(made)
    work(job).mkdir(parents=True, exist_ok=True)
    reporter.progress("predicting", 0.0, "exporting the whole model")
    code, last = _call(job, reporter, toolkit, command, lambda _: None)
    if code != 0 or not made.is_dir():
        reason = next((line for line in reversed(last) if line.strip()), "it said nothing")
        raise Failure(
            f"The toolkit trained, and its export ended with code {code}: {reason[:300]}",
            "The log says why. The adapter is there: retry, or set export to none and export the run here.",
        )
    made.rename(kept)


def _call(
    job: Job, reporter: Reporter, toolkit: ModuleType, command: list[str], take: Callable[[str], None]
) -> tuple[int, list[str]]:
    """Runs a command of the toolkit to its end, `take` gets its lines; gives its exit code and its last lines."""
    beside = Path(sys.executable).parent / command[0]
    argv = [str(beside) if beside.is_file() else command[0], *command[1:]]
    reporter.log("$ " + " ".join(command))
    environment = os.environ | VARIABLES | toolkit.variables(job)
    for name in ("PYTHONPATH", "ENTERED_ENVIRONMENT", "ENVIRONMENTS"):
        environment.pop(name, None)
    try:
        process = subprocess.Popen(
            argv, cwd=job.folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", bufsize=1,
        )  # fmt: skip
    except OSError as error:
        raise Failure(
            f"{command[0]} cannot be started: {error.strerror}.",
            "Let the bundle make its environment, or give the Python of one that has the toolkit.",
        ) from error
    last: list[str] = []
    for line in process.stdout or ():
        line = line.rstrip("\n").rpartition("\r")[2]
        last = [*last, line][-LAST_LINES:]
        if not only_a_bar(line):
            reporter.log(line[:2000])
        take(line)
    return process.wait(), last
