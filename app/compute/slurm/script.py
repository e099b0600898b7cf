"""The batch script of a run, pure: what Slurm reads and what the node runs."""

import math
import re
from collections.abc import Mapping

from app.compute._base import Order
from app.compute._host_files import start_lines
from app.errors import Refused

# One line of options: letters, digits and what paths and lists of Slurm are made of.
SAFE = re.compile(r"[\w.,:=@/+*()\[\]%&|!-]*( [\w.,:=@/+*()\[\]%&|!-]+)*")
# What the run may need beyond its own deadline to say that it was reached.
SPARE_SECONDS = 60.0


def batch_script(fields: Mapping[str, str], order: Order, place: str) -> str:
    """The whole script. `place`: the run's folder on the cluster's shared file system. Raises Refused for a field that
    would be read as something else."""
    lines = ["#!/bin/bash -l", *(f"#SBATCH {option}" for option in options(fields, order, place))]
    lines += [
        f"export LAUNCH_KEY={order.launch_key} DEADLINE_SECONDS={order.deadline_seconds:g} PYTHONUNBUFFERED=1"
    ]
    nodes, _ = shape(fields, order.gpus)
    lines += start_lines(fields, place)
    if nodes > 1:
        # The run itself is on the first node; it spreads its training over all of them.
        lines += [f'export TRAINING_NODES={nodes} TRAINING_HEAD="$(hostname)"']
        lines += [f'export TRAINING_SPREAD="srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1"']
    return "\n".join([*lines, "exec sh run.sh --here"]) + "\n"


def options(fields: Mapping[str, str], order: Order, place: str) -> list[str]:
    """What stands behind #SBATCH. A job that ends too early is not started again by Slurm: its folder holds half a run."""
    nodes, gpus = shape(fields, order.gpus)
    given = {name: value.strip() for name, value in fields.items()}
    named = [f"--{name}={given[name]}" for name in ("partition", "account", "qos") if given.get(name)]
    found = [
        f"--job-name={order.launch_key}",
        f"--comment={order.launch_key}",
        f"--chdir={quoted(place)}",
        f"--output={quoted(place + '/bundle/out/console.txt')}",
        "--open-mode=append",
        "--no-requeue",
        "--export=ALL",
        f"--time={math.ceil((order.deadline_seconds + SPARE_SECONDS) / 60)}",
        f"--nodes={nodes}",
        "--ntasks-per-node=1",
        *named,
        *([f"--gres={given.get('gpu') or 'gpu'}:{gpus}"] if gpus else []),
        *([f"--cpus-per-task={given['cpus']}"] if given.get("cpus") else []),
        *([f"--mem={given['memory']}"] if given.get("memory") else []),
    ]
    found += [line.strip().removeprefix("#SBATCH").strip() for line in given.get("options", "").splitlines()]
    for option in found:
        if (
            not option.startswith('--chdir="')
            and not option.startswith('--output="')
            and not SAFE.fullmatch(option)
        ):
            raise Refused(f"{option!r} cannot be an option of Slurm.", "Correct the fields of this place.")
    return [option for option in found if option]


def quoted(path: str) -> str:
    """A path as an option; Slurm replaces % and a backslash in names of files."""
    if re.search(r'["\\%\n]', path):
        raise Refused(f"{path!r} cannot be a folder for Slurm.", "Name one without quotes and percent signs.")
    return f'"{path}"'


def shape(fields: Mapping[str, str], gpus: int) -> tuple[int, int]:
    """(nodes, GPUs on each): for what the run asks, else for what was entered. A place for which no GPUs were entered
    gives none: there a run that asks for several devices trains in as many processes."""
    usual, most = int(fields.get("gpus") or 0), int(fields.get("gpus_per_node") or 0)
    asked = (gpus or usual) if usual or most else 0
    most = most or asked
    if asked <= most or asked == 0:
        return 1, asked
    if asked % most:
        raise Refused(
            f"{asked} GPUs cannot be spread evenly over nodes with {most}.", f"Ask for a multiple of {most}."
        )
    return asked // most, most
