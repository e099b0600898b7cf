"""Which Tunebook this is: the release and, in a checkout, the commit. Stored with every run."""

import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from app.assets import ROOT


@lru_cache
def code_version() -> str:
    """For example "0.1.0 (5634fd3)"; the commit is left out where there is no checkout."""
    try:
        release = version("tunebook")
    except PackageNotFoundError:
        release = "unreleased"
    try:
        commit = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return f"{release} ({commit})" if commit else release
