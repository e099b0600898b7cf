"""What a finished training at Together leaves: the adapter, or the merged model, and its checkpoints. Used by this
folder.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from app import errors
from app.providers._openai import keep
from app.providers._shapes import RemoteJob
from app.providers._weights import unpack_zstd
from app.providers.together.jobs import JOBS
from app.service_http import Api
from app.service_json import rows


def fetch_weights(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """Downloads and unpacks the adapter: it is small, and all that was learned. Some models give only the whole model
    with the adapter merged into it."""
    try:
        return _fetch(api, job, folder, "adapter")
    except errors.Refused:
        return _fetch(api, job, folder, "merged")


def _fetch(api: Api, job: RemoteJob, folder: Path, checkpoint: str) -> Sequence[Path]:
    archive = folder / f".{checkpoint}.tar.zst"
    api.download(f"finetune/download?ft_id={job.id}&checkpoint={checkpoint}", archive)
    written = unpack_zstd(api, archive, folder)
    archive.unlink()
    return written


def fetch_records(api: Api, job: RemoteJob, folder: Path) -> Sequence[Path]:
    """The names of the checkpoints that Together keeps."""
    found = rows(api.get(f"{JOBS}/{job.id}/checkpoints"), "data")
    return [keep(folder, "checkpoints.json", json.dumps(found, indent=2).encode())]
