"""The lab page's facts of the machine as plain rows."""

from datetime import datetime

from app.clock import now
from app.format import about, moment, plural, size
from app.lab.machine import Machine

Rows = list[tuple[str, ...]]


def machine_rows(machine: Machine, backed_up: datetime | None) -> list[tuple[str, Rows]]:
    """Groups of rows: what trains, where data lies, which Tunebook this is."""
    pytorch = machine.pytorch or "not here: baselines still work; run `make up` without TRAIN=0 to add it"
    data = size(machine.data_bytes) if machine.data_counted else f"more than {size(machine.data_bytes)}"
    threads = plural(machine.threads_per_run, "thread")
    return [
        (
            "This machine",
            [
                ("Processor", f"{plural(machine.cores, 'core')}, {machine.system}"),
                ("Memory", f"{size(machine.memory_bytes)}, {size(machine.memory_free_bytes)} free"),
                ("GPU", ", ".join(machine.gpus) or "none: small models and baselines run on the processor"),
                ("PyTorch", pytorch),
                ("Trains at once", f"{plural(machine.slots, 'run')}, {threads} each"),
            ],
        ),
        (
            "Storage",
            [
                ("Data folder", machine.data_folder, "mono"),
                ("In use", f"{data}, {size(machine.disk_free_bytes)} free on this disk"),
                ("Database", machine.database),
                ("Queue", machine.queue),
                ("Last backup", backup_words(backed_up)),
            ],
        ),
        ("Tunebook", [("Version", machine.version, "mono"), ("Python", machine.python, "mono")]),
    ]


def backup_words(made: datetime | None) -> str:
    """When the last backup was made, for people."""
    if made is None:
        return "none so far: tunebook backup FOLDER, best each night"
    return f"{moment(made)} UTC, {about((now() - made).total_seconds())} ago"
