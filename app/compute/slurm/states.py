"""What Slurm says of jobs, pure: lines of squeue and sacct, refusals of sbatch, states in our words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.compute._base import Phase, Status
from app.errors import Busy, Refused, TunebookError, Unclear

# Times come as seconds since 1970: SLURM_TIME_FORMAT=%s.
SQUEUE = ["squeue", "--noheader", "--states=all", "--format=%i|%j|%T|%V|%e|%r"]
SACCT = ["sacct", "--noheader", "--parsable2", "--allocations", "--format=JobIDRaw,JobName,State,Submit,End"]
# For how long a network file system may not show yet what the node has written.
SETTLE_SECONDS = 30.0
# A submission that Slurm neither confirmed nor lists after this long never took place.
LOST_SECONDS = 300.0
WAITING = (
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
)
OVER = {
    "COMPLETED": "The job ended",
    "FAILED": "The job failed",
    "CANCELLED": "The job was cancelled",
    "TIMEOUT": "The job reached its time limit and was ended",
    "DEADLINE": "The job could not end before its deadline",
    "OUT_OF_MEMORY": "The job was ended because it used more memory than it asked for",
    "NODE_FAIL": "The node of the job failed",
    "BOOT_FAIL": "The node of the job did not start",
    "PREEMPTED": "The job was ended for one of higher priority",
    "REVOKED": "The job was taken over by another cluster",
}
REASONS = {
    "Resources": "waits for free resources",
    "Priority": "waits behind jobs of higher priority",
    "PartitionNodeLimit": "asks for more nodes than the partition has",
    "PartitionConfig": "asks for more than the partition can give",
    "PartitionTimeLimit": "asks for more time than the partition allows",
    "BadConstraints": "asks for what no node has",
    "InvalidAccount": "names an account that is not known",
    "InvalidQOS": "names a QOS that is not known",
    "ReqNodeNotAvail": "waits for a node that is down or reserved",
}


@dataclass(frozen=True)
class Row:
    """A job as Slurm lists it. `submitted`, `ended`: seconds since 1970, 0 where it does not say."""

    job_id: str
    name: str
    state: str
    submitted: float = 0.0
    ended: float = 0.0
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether it uses nothing any more."""
        return self.state in OVER


def rows_of(text: str) -> list[Row]:
    """Lines of squeue or sacct, the oldest first; a requeued job is told by its last line."""
    found: dict[str, Row] = {}
    for line in text.splitlines():
        parts = [*line.strip().split("|", 5), ""]
        if len(parts) >= 6:
            # sacct says "CANCELLED by 1000".
            state = (parts[2].split() or [""])[0].rstrip("+")
            reason = parts[5] if parts[5] not in ("None", "(null)") else ""
            found[parts[0]] = Row(parts[0], parts[1], state, _time(parts[3]), _time(parts[4]), reason)
    return sorted(found.values(), key=lambda row: (row.submitted, row.job_id))


def _time(text: str) -> float:
    return float(text) if text.isdigit() else 0.0


def status_of(row: Row | None, record: Mapping[str, Any]) -> Status:
    """A job's state by Slurm's own word and by out/exit_code. `record`: the answer of the step of that name."""
    if row is None:
        return _unlisted(record)
    if not row.over:
        if row.state in WAITING:
            return Status(Phase.WAITING, row.state, REASONS.get(row.reason, row.reason))
        return Status(Phase.RUNNING, row.state, row.reason)
    if record["exit_code"] is not None:
        return Status(Phase.ENDED, row.state)
    if not record["is_there"]:
        return Status(Phase.GONE, row.state, f"{OVER[row.state]}, and its folder is not there any more.")
    if row.state in ("COMPLETED", "FAILED") and record["now"] < row.ended + SETTLE_SECONDS:
        return Status(Phase.RUNNING, row.state, "waits for the last files")
    why = f" ({row.reason})" if row.reason else ""
    return Status(Phase.GONE, row.state, f"{OVER[row.state]}{why}. {record['console']}".strip())


def _unlisted(record: Mapping[str, Any]) -> Status:
    if record["exit_code"] is not None:
        return Status(Phase.ENDED, "not listed")
    if not record["is_there"]:
        return Status(Phase.GONE, "removed", "Its folder is not on the cluster any more.")
    if confirmed(record):
        return Status(
            Phase.GONE, "not listed", f"Slurm does not know the job any more. {record['console']}".strip()
        )
    return Status(Phase.GONE, "not submitted", "Slurm never confirmed the job and does not list it.")


def confirmed(record: Mapping[str, Any]) -> bool:
    """Whether sbatch gave the job a number."""
    return bool(record["submitted"]) and record["submitted"]["code"] == 0


def refusal(answer: Mapping[str, Any], where: str) -> TunebookError:
    """What it means that sbatch did not give a number."""
    lines = [line.strip() for line in answer["err"].splitlines() if line.strip()]
    said = (lines[-1] if lines else f"code {answer['code']}").removeprefix("sbatch: error: ")
    if answer["code"] == 127:
        return Refused(
            f"There is no sbatch on {where}.", "Name a host that submits to Slurm, or load its module."
        )
    if "Unable to contact slurm controller" in said or "Connection refused" in said:
        return Busy(f"Slurm does not answer on {where}: {said}")
    if "MaxSubmit" in said:
        return Busy(f"Slurm takes no more jobs of yours for now: {said}", wait=300.0)
    if answer["code"] < 0 or "timed out" in said or "Zero Bytes were transmitted" in said:
        return Unclear(f"Slurm did not say whether it took the job: {said}")
    return Refused(
        f"Slurm refuses the job: {said}", "Correct the partition, account or resources of this place."
    )
