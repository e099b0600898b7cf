"""Tunebook: the lab notebook for fine-tuned language models."""

import sys

# Parts of libraries that only their own commands use, and that these do without where they cannot be imported: httpx
# would import a terminal's colours for its command, uvicorn what watches source files.
for _unused in ("httpx._main", "watchfiles"):
    sys.modules.setdefault(_unused, None)  # type: ignore[arg-type]
