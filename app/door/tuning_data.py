"""The dataset of a tuning job: the training file as it is, or both files as one with each row's part written to it.

Called by tuning_work.py. A dataset of the same bytes that the project has already is taken again.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
from sqlmodel import Session, col

from app.datasets.lost import put_back
from app.datasets.make_split import SplitRequest, default_name, draw_split
from app.datasets.queries import find_split
from app.datasets.service import upload_dataset
from app.db import session_scope
from app.door.files import stored_path
from app.errors import Invalid
from app.lab.actor import Actor, owned
from app.lab.budgets import lock_money
from app.storage import incoming_file
from app.tables import Dataset, DatasetState, DoorFile, Split

# The share of the training rows that becomes the test part where the files name none, and the seed of the draw.
TEST_SHARE, TEST_SEED = 0.1, 1
READY_OR_SOON = (DatasetState.READY, DatasetState.CHECKING, DatasetState.QUEUED)
ROW = msgspec.json.Decoder(dict[str, Any])
Save = Callable[[], AbstractContextManager[Session]]


def make_dataset(
    actor: Actor,
    training: DoorFile,
    validation: DoorFile | None,
    save: Callable[[Session, int], None],
    open_session: Save,
) -> None:
    """Finds or makes the dataset and tells `save` its id, in one transaction. Raises Invalid for files that cannot be
    put together, NotFound for one whose bytes are gone."""
    path, sha256 = _as_one(training, validation)
    try:
        with open_session() as session:
            # Two jobs with one file at once: the second waits here for the first.
            lock_money(session, actor.project_id)
            put_back(session, actor, path, sha256)
            found = same_bytes(session, actor, sha256)
            if found is None:
                name = training.name if validation is None else f"{training.name}, {validation.name}"
                found = upload_dataset(
                    session,
                    actor,
                    path,
                    file_name=training.name,
                    sha256=sha256,
                    size=path.stat().st_size,
                    name=name if validation else "",
                    origin=_origin(training, validation),
                )
            save(session, found.id or 0)
    finally:
        path.unlink(missing_ok=True)


def same_bytes(session: Session, actor: Actor, sha256: str) -> Dataset | None:
    """The project's dataset of these bytes, one that is ready before one that is being checked."""
    query = owned(actor, Dataset).where(Dataset.sha256 == sha256, col(Dataset.state).in_(READY_OR_SOON))
    # One whose columns a person has named may read otherwise.
    found = [each for each in session.exec(query.order_by(col(Dataset.id))) if not each.mapping]
    return next((each for each in found if each.state == DatasetState.READY), found[0] if found else None)


def _origin(training: DoorFile, validation: DoorFile | None) -> str:
    files = [training.public_id, *([validation.public_id] if validation else [])]
    return f"Sent to the OpenAI-compatible API as {' and '.join(files)} for a tuning job."


def _as_one(training: DoorFile, validation: DoorFile | None) -> tuple[Path, str]:
    """(a fresh file that may be moved, its SHA-256)."""
    path = incoming_file(secrets.token_hex(16))
    if validation is None:
        shutil.copyfile(stored_path(training), path)
        return path, training.sha256
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for line in _both(training, validation):
            digest.update(line)
            file.write(line)
        os.fsync(file.fileno())
    return path, digest.hexdigest()


def _both(training: DoorFile, validation: DoorFile) -> Iterator[bytes]:
    for row_file, part, param in (
        (training, "TRAIN", "training_file"),
        (validation, "VALIDATION", "validation_file"),
    ):
        keeps = part == "TRAIN"
        with stored_path(row_file).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield with_part(line, part, keeps, param, number)


def with_part(line: bytes, part: str, keeps: bool, param: str, number: int) -> bytes:
    """The row with its part as OpenPipe writes it; `keeps`: a part that it names itself stays. Raises Invalid for a
    line that is no JSON object."""
    try:
        row = ROW.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(
            f"Line {number} of the {param.replace('_', ' ')} is no JSON object.",
            "With a validation file both files are JSON Lines: one object on each line.",
            {param: f"line {number}"},
        ) from None
    text = line.strip()
    if "split" in row:
        return text + b"\n" if keeps else msgspec.json.encode({**row, "split": part}) + b"\n"
    comma = b"," if row else b""
    # The bytes of the row stay as they are.
    return text[:-1].rstrip() + comma + b'"split":"' + part.encode() + b'"}\n'


def split_of(session: Session, actor: Actor, dataset: Dataset, with_validation: bool) -> Split:
    """The split that the job trains on, stored: the dataset's first; where a validation file came and no row names the
    test part, the files' own with a share of the training rows drawn as test part."""
    first = find_split(session, actor, dataset.id or 0)
    if not with_validation or first.kind == "file":
        return first
    request = SplitRequest("file", seed=TEST_SEED, test_of_train=TEST_SHARE)
    with session_scope(write=False) as reading:
        drawn = draw_split(reading, dataset, request)
    kept: Split | None = session.exec(
        owned(actor, Split).where(Split.dataset_id == dataset.id, Split.sha256 == drawn.sha256)
    ).first()
    if kept is not None:
        return kept
    taken = session.exec(
        owned(actor, Split).where(Split.dataset_id == dataset.id, Split.name == drawn.name)
    ).first()
    if taken is not None:
        # Somebody gave this name to another split.
        drawn.name = f"{default_name(request)}, {drawn.sha256[:8]}"[:100]
    drawn.maker_id = actor.member_id
    session.add(drawn)
    session.flush()
    return drawn
