"""`python -m training FOLDER`: runs the bundle in FOLDER and writes everything to FOLDER/out.

Started by app/compute and by a bundle's run.sh. Exit codes: 0 done, 1 failed (out/error.json says why),
75 another process works in this folder.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from .deadline import arm_from_environment
from .environment import enter
from .failures import record_failure
from .job import Job, read_job
from .process import LOCKED, ended_already, introduce, set_threads, take_lock, write_exit_code
from .reporting import Reporter


def main(arguments: list[str]) -> int:
    """Runs one bundle to its end; the code is also out/exit_code, which is written last of all."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Runs a bundle.")
    parser.add_argument("folder", type=Path, help="the folder with config.json")
    parser.add_argument("--model", default="", help="folder or name of the base model, if it lies elsewhere")
    options = parser.parse_args(arguments)
    folder: Path = options.folder.resolve()
    (folder / "out").mkdir(parents=True, exist_ok=True)
    lock = take_lock(folder)
    if lock is None:
        print("Another process works in this folder already.", file=sys.stderr)
        return LOCKED
    job = read_job(folder, options.model)
    introduce(folder, job.launch_key)
    code = ended_already(folder)
    if code is not None:
        return code
    reporter = Reporter(folder)
    sys.excepthook = lambda kind, error, trace: record_failure(folder, reporter, error)
    signal.signal(signal.SIGTERM, lambda number, frame: _stop(reporter, number, frame))
    arm_from_environment(folder, reporter)
    enter(folder, arguments, reporter)
    set_threads(job.threads)
    _run(job, reporter)
    write_exit_code(folder, 0)
    return 0


def _run(job: Job, reporter: Reporter) -> None:
    reporter.log(f"{job.model}, seed {job.seed}, {job.threads} threads, {len(job.train)} training items")
    reporter.progress("preparing", 0.0, "reading the data")
    if job.kind == "baseline":
        from .baseline import run
    elif job.kind == "starter":
        from .starter import run
    elif job.kind == "toolkit":
        from .toolkits import run
    else:
        from .hub import run
    run(job, reporter)
    reporter.log("done")


def _stop(reporter: Reporter, number: int, frame: FrameType | None) -> None:
    # No exit code: the run is not over, the newest checkpoint waits for the next start.
    reporter.log("stopped from outside")
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
