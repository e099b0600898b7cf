"""JarvisLabs: a rented machine for one run, entered over SSH, destroyed as soon as results are home. It has no time limit
of its own, so a watchdog on the machine destroys it at the deadline.
"""

from app.compute._base import Compute, Field
from app.compute.jarvislabs import api, machine, runs

COMPUTE = Compute(
    name="jarvislabs",
    label="JarvisLabs",
    description="A rented GPU machine for each run, destroyed when its results are home.",
    fields=(
        Field("gpu", "GPU", "As JarvisLabs names it: L4, A100, A100-80GB, H100, H200. A check lists them."),
        Field(
            "region",
            "Region",
            "Empty: wherever that GPU is free.",
            required=False,
            kind="choice",
            choices=("", *api.REGIONS),
        ),
        Field("storage_gb", "Disk in GB", kind="int", default="100"),
        Field("template", "Template", "The image of the machine; it needs Python 3.10.", default="pytorch"),
        Field(
            "watchdog",
            "At the deadline the machine",
            "destroy: asks JarvisLabs to destroy it, for which the API key lies on it, readable by its owner. "
            "poweroff: only switches itself off, which may not end the billing.",
            kind="choice",
            choices=("destroy", "poweroff"),
            default="destroy",
        ),
    ),
    secret_label="API key",
    secret_help="Better of an account of its own, with little money in its wallet and no automatic payment.",
    secret_required=True,
    help_url="https://jarvislabs.ai/settings/api-keys",
    paid=True,
    repeatable=False,
    deadline_kept_by="A watchdog on the machine destroys it. Between its creation and the first login, a few minutes, "
    "only Tunebook itself can: its list of orphans shows the machine by its name.",
    unverified="Built from the published client's protocol; never run against JarvisLabs itself.",
    poll_seconds=10.0,
    check=api.check,
    submit=machine.submit,
    find=machine.find,
    status=runs.status,
    pull=runs.pull,
    fetch=runs.fetch,
    cancel=machine.cancel,
    release=machine.release,
    jobs=machine.jobs,
)
