"""Modal: a sandbox, which is a container with a time limit of its own, and a volume for each run. Reached by Modal's own
SDK, since it has no other interface; that package is installed only by who uses it.
"""

from app.compute._base import Compute, Field
from app.compute.modal import results, sandboxes

COMPUTE = Compute(
    name="modal",
    label="Modal",
    description="A container on Modal's GPUs, billed by the second; it ends by itself.",
    fields=(
        Field(
            "gpu",
            "GPU",
            "T4, L4, A10, L40S, A100-40GB, A100-80GB, H100, H200, B200. Empty: none.",
            required=False,
        ),
        Field(
            "hourly_dollars",
            "Price an hour in dollars",
            "Modal does not tell its prices to programs: take it from modal.com/pricing, with memory and cores. "
            "A run reserves so much for each hour until its deadline.",
        ),
        Field(
            "image",
            "Docker image",
            "Needs sh and Python 3.10 or newer; what the run itself needs is installed in it.",
            default=sandboxes.IMAGE,
        ),
        Field("memory_gb", "Memory in GB", "Empty: as Modal gives.", required=False),
    ),
    secret_label="Token",
    secret_help="Token ID and token secret, with a blank between: ak-... as-...",
    secret_required=True,
    help_url="https://modal.com/settings/tokens",
    paid=True,
    repeatable=True,
    deadline_kept_by="Modal ends the sandbox at its timeout, after 24 hours at the latest.",
    unverified="Checked against the SDK's own signatures; never run against Modal.",
    poll_seconds=10.0,
    check=sandboxes.check,
    submit=sandboxes.submit,
    find=sandboxes.find,
    status=sandboxes.status,
    pull=results.pull,
    fetch=results.fetch,
    cancel=sandboxes.cancel,
    release=sandboxes.release,
    jobs=sandboxes.jobs,
)
