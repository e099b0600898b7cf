"""The file of a dataset as it was uploaded, for its download. Called by routes.py and api.py."""

import re
from pathlib import Path

from sqlmodel import Session

from app.datasets.lost import refuse_lost
from app.errors import NotFound
from app.lab.actor import Actor, find
from app.storage import dataset_file
from app.tables import Dataset, DatasetState

ENDINGS = {"csv": ".csv", "parquet": ".parquet"}


def stored_file(session: Session, actor: Actor, dataset_id: int) -> tuple[Path, str]:
    """(where the uploaded bytes lie, a safe name for the download); raises NotFound when they were not kept, FileLost
    when they are not those any more."""
    dataset: Dataset = find(session, actor, Dataset, dataset_id)
    path = dataset_file(dataset_id)
    if dataset.state == DatasetState.READY:
        refuse_lost(dataset)
    if not path.is_file():
        raise NotFound(
            f"The file of dataset {dataset_id} was not kept: it is {dataset.state}.", "Upload it again."
        )
    ending = ENDINGS.get(dataset.format, ".jsonl")
    stem = re.sub(r"[^\w.-]+", "-", Path(dataset.file_name).stem).strip("-.")[:80]
    return path, f"{stem or f'dataset-{dataset_id}'}{ending}"
