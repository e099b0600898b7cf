"""Where a socket of this data folder lies. Used by app/config.py."""

import hashlib
import os
import tempfile
from pathlib import Path

# A socket's path may have 107 bytes on Linux and 103 elsewhere; a data folder's may have many more.
LONGEST = 100


def socket_path(folder: Path, name: str) -> Path:
    """In the data folder; where that is too long, in a folder of the user's own whose name is made from it."""
    path = folder / f"{name}.sock"
    if len(os.fsencode(path)) <= LONGEST:
        return path
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return Path(runtime) / f"tunebook-{os.getuid()}-{digest}" / f"{name}.sock"
