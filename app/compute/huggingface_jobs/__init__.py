"""Hugging Face Jobs: a container on the Hub's machines, billed by the minute. The bundle goes there and results come
home in a private bucket of the run's own, which the job mounts: no token has to be on the machine.
"""

from app.compute._base import Compute, Field
from app.compute.huggingface_jobs import jobs, results

COMPUTE = Compute(
    name="huggingface_jobs",
    label="Hugging Face Jobs",
    description="A container on the Hub's GPUs, billed by the minute; it ends by itself.",
    fields=(
        Field("namespace", "User or organization", "Who pays and owns the job: the name on the Hub."),
        Field(
            "flavor",
            "Hardware",
            "One of the Hub's flavors, such as t4-small, l4x1, a10g-large, a100-large, h200. "
            "A check lists them with their prices.",
            default="a10g-small",
        ),
        Field(
            "image",
            "Docker image",
            "Needs sh and Python 3.10 or newer; what the run itself needs is installed in it. "
            "A tag or a digest that does not change makes runs repeatable.",
            default=jobs.IMAGE,
        ),
    ),
    secret_label="Token",
    secret_help="An access token that may write jobs and repositories (buckets) of that name.",
    secret_required=True,
    help_url="https://huggingface.co/settings/tokens",
    paid=True,
    repeatable=False,
    deadline_kept_by="Hugging Face ends the job at its timeout, which every job is sent with.",
    unverified="Built from the published client's protocol; never run against Hugging Face itself.",
    poll_seconds=10.0,
    check=jobs.check,
    submit=jobs.submit,
    find=jobs.find,
    status=jobs.status,
    pull=results.pull,
    fetch=results.fetch,
    cancel=jobs.cancel,
    release=jobs.release,
    jobs=jobs.all_jobs,
)
