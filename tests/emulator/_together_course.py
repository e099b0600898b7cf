"""How a training at Together goes: its states, events and metrics by the clock."""

import math
from datetime import UTC, datetime
from typing import Any

from tests.emulator._service import Call

# Of a job's life: until it runs, and from a wish to cancel it to its end.
BEFORE_RUNNING = 30.0
CANCEL_SECONDS = 10.0


def iso(seconds: float) -> str:
    """A time as Together writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def state_of(call: Call, job: dict[str, Any]) -> str:
    """The job's state; one that was asked to stop says so for a while."""
    if "_cancelled_at" in job:
        passed = (call.world.now() - job["_cancelled_at"]) * call.world.speed
        return "cancel_requested" if passed < CANCEL_SECONDS else "cancelled"
    if job.get("_flaw"):
        return "error"
    return job["_timeline"].state(call.world)


def _done_steps(call: Call, job: dict[str, Any]) -> int:
    if job["_timeline"].elapsed(call.world) <= BEFORE_RUNNING:
        return 0
    return math.floor(job["_timeline"].progress(call.world, "running") * job["_steps"])


def events_of(call: Call, job: dict[str, Any]) -> list[dict[str, Any]]:
    """What has happened so far."""
    state, began, steps = state_of(call, job), job["_timeline"].began, job["_steps"]
    said: list[tuple[str, str, dict[str, Any]]] = [("job_pending", "Fine tune request created", {})]
    if state == "error":
        said.append(("job_error", job["_flaw"], {"level": "error"}))
    done = _done_steps(call, job) if state not in ("pending", "queued", "error") else 0
    if done:
        said.append(("training_start", "Training started", {}))
    each = max(steps // max(job["n_epochs"], 1), 1)
    for epoch in range(1, job["n_epochs"] + 1):
        if done >= epoch * each:
            said.append(("epoch_complete", f"Epoch completed {epoch}", {"step": epoch * each}))
    endings = {
        "completed": "job_complete",
        "cancelled": "job_stopped",
        "cancel_requested": "cancel_requested",
    }
    if state in endings:
        said.append((endings[state], f"Job is {state}", {}))
    return [
        {
            "object": "fine-tune-event",
            "type": kind,
            "level": "info",
            "message": message,
            "created_at": iso(began + number),
            "total_steps": steps,
            **more,
        }
        for number, (kind, message, more) in enumerate(said)
    ]


def metrics_of(call: Call, job: dict[str, Any]) -> list[dict[str, float]]:
    """Rows of training and, on their own, of validation."""
    found: list[dict[str, float]] = []
    steps, evals = job["_steps"], job.get("n_evals") or 0
    for step in range(1, _done_steps(call, job) + 1):
        loss = 2.0 * math.exp(-3 * step / steps) + 0.1
        common = {"timestamp": (job["_timeline"].began + step) * 1e9, "train/global_step": step}
        rate = job["learning_rate"] * (1 - step / steps)
        found.append({**common, "train/loss": loss, "train/learning_rate": rate, "train/grad_norm": 1.0})
        if evals and step % max(steps // evals, 1) == 0:
            found.append({**common, "eval/loss": loss * 1.1})
    return found
