"""Where a script of ours lies, as seen from the bundle's folder. Used by the toolkits that have no command."""

import os
from pathlib import Path

from ..job import Job


def script(job: Job, name: str) -> str:
    """The script `name` by a path from the folder in which the toolkit runs, so that the log names no folder of this
    machine."""
    return os.path.relpath(Path(__file__).resolve().parent / "scripts" / name, job.folder)
