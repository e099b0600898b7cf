"""Slurm without a cluster: the script of a run, and what Slurm prints in our words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.compute._base import Order, Phase
from app.compute.slurm.script import batch_script, shape
from app.compute.slurm.states import Row, refusal, rows_of, status_of
from app.errors import Busy, Refused, Unclear

ORDER = Order("tb-0123456789abcdef", Path("/nowhere"), 3600.0)
FIELDS = {
    "partition": "a100",
    "account": "chem",
    "qos": "normal",
    "gpu": "gpu:a100",
    "gpus": "1",
    "gpus_per_node": "4",
    "cpus": "8",
    "memory": "64G",
    "setup": "module load cuda\r\nsource ~/venv/bin/activate",
    "trainer_python": "/opt/env/bin/python",
    "options": "--constraint=nvlink\n#SBATCH --reservation=paper\n",
}


def test_the_script_of_a_run():
    assert batch_script(FIELDS, ORDER, "/scratch/me/tunebook/runs/tb-0123456789abcdef").splitlines() == [
        "#!/bin/bash -l",
        "#SBATCH --job-name=tb-0123456789abcdef",
        "#SBATCH --comment=tb-0123456789abcdef",
        '#SBATCH --chdir="/scratch/me/tunebook/runs/tb-0123456789abcdef"',
        '#SBATCH --output="/scratch/me/tunebook/runs/tb-0123456789abcdef/bundle/out/console.txt"',
        "#SBATCH --open-mode=append",
        "#SBATCH --no-requeue",
        "#SBATCH --export=ALL",
        "#SBATCH --time=61",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks-per-node=1",
        "#SBATCH --partition=a100",
        "#SBATCH --account=chem",
        "#SBATCH --qos=normal",
        "#SBATCH --gres=gpu:a100:1",
        "#SBATCH --cpus-per-task=8",
        "#SBATCH --mem=64G",
        "#SBATCH --constraint=nvlink",
        "#SBATCH --reservation=paper",
        "export LAUNCH_KEY=tb-0123456789abcdef DEADLINE_SECONDS=3600 PYTHONUNBUFFERED=1",
        "set -e",
        "cd /scratch/me/tunebook/runs/tb-0123456789abcdef/bundle",
        "unset ENVIRONMENTS",
        "export PYTHON=/opt/env/bin/python",
        "module load cuda",
        "source ~/venv/bin/activate",
        "cd /scratch/me/tunebook/runs/tb-0123456789abcdef/bundle",
        "exec sh run.sh --here",
    ]


def test_gpus_on_several_nodes():
    assert shape({}, 0) == (1, 0)
    assert shape({}, 2) == (1, 0)
    assert shape({"gpus": "2"}, 0) == (1, 2)
    assert shape({"gpus": "2", "gpus_per_node": "4"}, 1) == (1, 1)
    assert shape({"gpus_per_node": "4"}, 8) == (2, 4)
    with pytest.raises(Refused, match="spread evenly"):
        shape({"gpus_per_node": "4"}, 6)
    script = batch_script(FIELDS, replace(ORDER, gpus=8), "/s/runs/tb-0123456789abcdef")
    assert "#SBATCH --nodes=2\n" in script
    assert "#SBATCH --gres=gpu:a100:4\n" in script
    assert "srun --nodes=2 --ntasks=2 --ntasks-per-node=1" in script


@pytest.mark.parametrize(
    "fields",
    [{"partition": "a\nrm -rf ~"}, {"memory": "1G; true"}, {"account": "$(id)"}, {"options": "--wrap=`id`"}],
)
def test_what_cannot_be_an_option(fields: dict[str, str]):
    with pytest.raises(Refused, match="cannot be an option"):
        batch_script(fields, ORDER, "/s/runs/tb-0123456789abcdef")


def test_what_squeue_and_sacct_print():
    squeue = (
        "12|tb-0123456789abcdef|PENDING|1700000000|N/A|Resources\n11|x|RUNNING|1600000000|1700000001|None\n"
    )
    assert rows_of(squeue) == [
        Row("11", "x", "RUNNING", 1.6e9, 1700000001.0, ""),
        Row("12", "tb-0123456789abcdef", "PENDING", 1.7e9, 0.0, "Resources"),
    ]
    # A requeued job has two lines; the last one counts.
    sacct = "7|k|NODE_FAIL|5|9\n7|k|CANCELLED by 1000|5|12\n\n"
    assert rows_of(sacct) == [Row("7", "k", "CANCELLED", 5.0, 12.0, "")]
    assert rows_of("Slurm accounting storage is disabled\n") == []


def record(**more: Any) -> dict[str, Any]:
    return {
        "is_there": True,
        "exit_code": None,
        "console": "last words",
        "submitted": {"code": 0},
        "now": 1000.0,
        **more,
    }


@pytest.mark.parametrize(
    ("state", "more", "phase", "words"),
    [
        ("PENDING", {}, Phase.WAITING, "free resources"),
        ("CONFIGURING", {}, Phase.WAITING, ""),
        ("RUNNING", {}, Phase.RUNNING, ""),
        ("COMPLETING", {"exit_code": 0}, Phase.RUNNING, ""),
        ("A_STATE_OF_NEXT_YEAR", {}, Phase.RUNNING, ""),
        ("COMPLETED", {"exit_code": 0}, Phase.ENDED, ""),
        ("FAILED", {"exit_code": 1}, Phase.ENDED, ""),
        # The shared file system may be behind the node.
        ("COMPLETED", {"now": 901.0}, Phase.RUNNING, "last files"),
        ("FAILED", {}, Phase.GONE, "failed (Resources). last words"),
        ("TIMEOUT", {}, Phase.GONE, "time limit"),
        ("OUT_OF_MEMORY", {}, Phase.GONE, "memory"),
        ("PREEMPTED", {}, Phase.GONE, "priority"),
        ("NODE_FAIL", {}, Phase.GONE, "node"),
        ("CANCELLED", {"is_there": False}, Phase.GONE, "folder"),
    ],
)
def test_states_in_our_words(state: str, more: dict[str, Any], phase: Phase, words: str):
    found = status_of(Row("1", "k", state, 1.0, 900.0, "Resources"), record(**more))
    assert (found.phase, found.state) == (phase, state)
    assert words in found.note


def test_jobs_that_slurm_does_not_list():
    assert status_of(None, record(exit_code=0)).phase == Phase.ENDED
    for more, state in (
        ({"is_there": False}, "removed"),
        ({}, "not listed"),
        ({"submitted": {}}, "not submitted"),
        ({"submitted": {"code": 1}}, "not submitted"),
    ):
        found = status_of(None, record(**more))
        assert (found.phase, found.state) == (Phase.GONE, state)


@pytest.mark.parametrize(
    ("code", "err", "kind"),
    [
        (1, "sbatch: error: Batch job submission failed: Invalid account", Refused),
        (1, "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: x MaxSubmitJobs reached", Busy),
        (1, "sbatch: error: Unable to contact slurm controller (connect failure)", Busy),
        (1, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", Unclear),
        (-1, "sbatch did not answer within 60 seconds", Unclear),
        (127, "sbatch: not found", Refused),
    ],
)
def test_refusals(code: int, err: str, kind: type[Exception]):
    found = refusal({"code": code, "err": err}, "login1")
    assert type(found) is kind
