"""`tunebook storage`: files into a bucket that is set later, into another one after a restore, and back out."""

from typing import Any

import pytest
from sqlalchemy import delete
from sqlmodel import Session
from typer.testing import CliRunner

from app import bucket
from app.__main__ import tunebook
from app.backup import backup
from app.config import settings
from app.db import session_scope
from app.lab.actor import Actor
from app.storage import dataset_file, dataset_path, export_path
from app.tables import Dataset, DatasetState, Export, ExportState, StoredFile
from tests.backup.test_backup import into
from tests.storage.conftest import Wire, push_all, states

pytestmark = pytest.mark.laptop
DATA = {"datasets/1": b"a dataset\n" * 1000, "datasets/1.rows": b"its rows\n", "exports/1": b"an export"}


def said(*arguments: str, code: int = 0) -> str:
    """What `tunebook storage ...` says."""
    done = CliRunner().invoke(tunebook, ["storage", *arguments])
    assert done.exit_code == code, done.output
    return done.output


@pytest.fixture
def earlier(wire: Wire, session: Session, actor: Actor) -> None:
    """Files of the time before the bucket was set: no row tells of them."""
    own: dict[str, Any] = {"project_id": actor.project_id, "maker_id": actor.member_id}
    session.add(Dataset(**own, id=1, name="old", state=DatasetState.READY))
    session.add(Dataset(**own, id=2, name="half", state=DatasetState.CHECKING))
    session.flush()
    session.add(Export(**own, id=1, kind="weights", dataset_id=1, state=ExportState.READY, file_name="w.zip"))
    session.commit()
    for key, data in {**DATA, "datasets/2": b"not checked yet"}.items():
        path = settings().folder / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def test_a_bucket_that_is_set_later_gets_what_it_lacks(earlier: None) -> None:
    assert "0 files are in the bucket, 3 are to go there" in said("copy", "--no-wait")
    push_all()
    assert states() == dict.fromkeys(DATA, "kept")
    assert "3 files are in the bucket, 0 are to go" in said("copy")
    assert "3 of 3 files are well" in said("check", "--read")
    s3, where = bucket.client(), {"Bucket": settings().s3_bucket}
    s3.put_object(**where, Key="tunebook/datasets/1", Body=b"b" * 10_000)
    assert "3 of 3 files are well" in said("check")
    assert "datasets/1: its SHA-256 is not" in said("check", "--read", code=1)
    s3.delete_object(**where, Key="tunebook/exports/1")
    assert "exports/1: it is not in the bucket" in said("check", code=1)
    assert "2 files are in the bucket, 1 are to go" in said("copy", "--no-wait")
    push_all()
    s3.delete_object(**where, Key="tunebook/exports/1")
    export_path(1).unlink()
    assert "1 files are neither in the bucket nor here: exports/1" in said("copy", code=1)


@pytest.mark.slow
def test_a_backup_goes_into_another_bucket_and_out_of_it_again(
    earlier: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("copy", "--no-wait")
    push_all()
    dataset_path(1).unlink()
    away = tmp_path_factory.mktemp("away")
    path, made = backup(away / "one.zip")
    assert {*DATA} <= {each["path"] for each in made.files}, "copies that were evicted come back first"
    monkeypatch.setenv("TUNEBOOK_S3_BUCKET", f"{settings().s3_bucket}-other")
    fresh = into(away / "fresh", monkeypatch)
    bucket.client().create_bucket(Bucket=settings().s3_bucket)
    told = CliRunner().invoke(tunebook, ["restore", str(path)]).output
    assert "3 files are to go into the bucket" in told
    push_all()
    assert states() == dict.fromkeys(DATA, "kept")
    assert "3 of 3 files are well" in said("check", "--read")
    for key in DATA:
        (fresh / key).unlink()
    said("fetch")
    monkeypatch.delenv("TUNEBOOK_S3_BUCKET")
    settings.cache_clear()
    assert {key: (fresh / key).read_bytes() for key in DATA} == DATA
    assert dataset_file(1).read_bytes() == DATA["datasets/1"]
    assert "No bucket is set" in str(CliRunner().invoke(tunebook, ["storage", "copy"]).exception)


@pytest.mark.slow
def test_what_the_bucket_has_already_is_not_sent_again(earlier: None) -> None:
    """A restore into the same bucket: the rows are gone, the objects are there."""
    said("copy", "--no-wait")
    push_all()
    sent: list[str] = []
    bucket.client().meta.events.register(
        "before-parameter-build.s3.PutObject", lambda params, **_: sent.append(params["Key"])
    )

    with session_scope() as session:
        session.exec(delete(StoredFile))
    said("copy", "--no-wait")
    push_all()
    assert states() == dict.fromkeys(DATA, "kept")
    assert sent == []
