"""Trains on several devices: torchrun starts one process for each, on this machine or on all nodes of a batch job.
`train_on_all` is called by hub.py; `python -m training.hub_ranks FOLDER MODEL` is what torchrun starts.
"""

import os
import shlex
import subprocess
import sys
import threading
import time
import traceback
import zlib
from pathlib import Path
from types import TracebackType

from .failures import Failure, explain
from .files import read_json, write_json
from .job import Job, read_job
from .process import set_threads
from .reporting import Reporter

OWNER = "TRAINING_PROCESS"
LOOK_SECONDS = 1.0
FAILED = "failed-process.json"


def train_on_all(job: Job, reporter: Reporter, devices: int) -> None:
    """Trains in `devices` processes and waits for them. Raises Failure with what the first one that failed said."""
    reporter.log(f"trains in {devices} processes")
    (job.out / FAILED).unlink(missing_ok=True)
    command = _torchrun(job, devices)
    environment = os.environ | {
        # Other nodes do not see this process: there the batch system ends what is left.
        OWNER: str(os.getpid() if nodes() == 1 else 0),
        "OMP_NUM_THREADS": str(max(1, job.threads * nodes() // devices)),
    }
    name = f"{__package__}.hub_ranks"
    process = subprocess.run(
        [*command, "-m", name, str(job.folder), job.model_path],
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if process.returncode == 0:
        return
    said = read_json(job.out / FAILED)
    raise Failure(
        said.get("message") or f"Training in {devices} processes ended with exit code {process.returncode}.",
        said.get("hint") or "The log and the console of the run say where.",
    )


def nodes() -> int:
    """How many machines share the training: more than one where a batch script says so."""
    return int(os.environ.get("TRAINING_NODES") or 1)


def _torchrun(job: Job, devices: int) -> list[str]:
    """The command that starts the processes: here, or by the batch system once on each node."""
    command = [sys.executable, "-m", "torch.distributed.run"]
    if nodes() == 1:
        return [*command, "--standalone", f"--nproc-per-node={devices}"]
    if devices % nodes():
        raise Failure(
            f"{devices} devices cannot be shared by {nodes()} nodes.",
            f"Set devices to a multiple of {nodes()}.",
        )
    # Another job on the same node has another port.
    port = 20_000 + zlib.crc32(job.launch_key.encode()) % 20_000
    return [
        *shlex.split(os.environ["TRAINING_SPREAD"]),
        *command,
        f"--nnodes={nodes()}",
        f"--nproc-per-node={devices // nodes()}",
        "--rdzv-backend=c10d",
        f"--rdzv-id={job.launch_key}",
        f"--rdzv-endpoint={os.environ['TRAINING_HEAD']}:{port}",
    ]


class Quiet(Reporter):
    """The reporter of every process but the first: it says nothing."""

    def __init__(self, folder: Path) -> None:
        self.out = folder / "out"

    def log(self, text: str) -> None:
        """Says nothing."""

    def progress(self, stage: str, fraction: float, message: str) -> None:
        """Says nothing."""

    def point(self, step: int, **values: float | None) -> None:
        """Says nothing."""

    def resolved(self, *_: object, **__: object) -> None:
        """Says nothing."""


def main(folder: Path, model_path: str) -> int:
    """One process's part of the training."""
    first = os.environ.get("RANK") == "0"
    reporter = Reporter(folder) if first else Quiet(folder)
    sys.excepthook = lambda kind, error, trace: _record(folder, error, trace)
    _end_with_owner()
    job = read_job(folder, model_path)
    set_threads(int(os.environ["OMP_NUM_THREADS"]))
    import torch

    from .hub import encoder_of
    from .hub_settings import settle, this_machine
    from .hub_sft import train

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    values = settle(job.values, this_machine())
    train(
        job,
        reporter,
        values,
        encoder_of(job, values),
        job.out / ("adapter" if values["method"] == "lora" else "model"),
    )
    return 0


def _record(folder: Path, error: BaseException, trace: TracebackType | None) -> None:
    traceback.print_exception(type(error), error, trace)
    # The first failure is the cause; the other processes fail because it is gone.
    if not (folder / "out" / FAILED).exists():
        message, hint = explain(error)
        write_json(folder / "out" / FAILED, {"message": message, "hint": hint})


def _end_with_owner() -> None:
    """Ends this process when the one that asked for it is gone: killed, it cannot tell us."""
    owner = int(os.environ.get(OWNER) or 0)

    def look() -> None:
        while owner:
            time.sleep(LOOK_SECONDS)
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                os._exit(1)

    threading.Thread(target=look, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
