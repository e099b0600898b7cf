"""Files in an S3-compatible bucket: resumed uploads and downloads, damage, a bucket that is away, two machines."""

import os
import subprocess
import sys
import time

import pytest
from sqlmodel import select

from app import bucket, stored_files
from app.config import settings
from app.datasets.service import add_sample
from app.db import session_scope
from app.doctor import _bucket
from app.errors import Unavailable
from app.log import hidden
from app.storage import dataset_file, run_folder
from app.tables import Dataset, DatasetState, StoredFile
from tests.storage.conftest import push_all, states
from workers import datasets

MIB = 1024**2


def make(folder: str, name: str, data: bytes) -> None:
    """A finished file below the data folder, noted."""
    path = settings().folder / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    with session_scope() as session:
        stored_files.note(session, path)


@pytest.mark.slow
@pytest.mark.laptop
def test_without_a_bucket_nothing_is_noted_and_boto3_stays_out(home):
    make("exports", "1", b"made")
    assert states() == {}
    code = "import app.main, workers.celery_app, sys; print('boto3' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


@pytest.mark.laptop
def test_a_download_goes_on_after_each_cut(wire):
    data = os.urandom(3 * MIB)
    make("exports", "1", data)
    push_all()
    path = settings().folder / "exports" / "1"
    path.unlink()
    wire.cut_after = MIB
    bucket.forget_client()
    stored_files.bring(path)
    assert path.read_bytes() == data
    assert 2 <= len(wire.passed) <= 6, "each connection went on where the last was cut"


@pytest.mark.laptop
def test_damaged_bytes_are_never_given_out(wire):
    make("exports", "1", b"what was made")
    push_all()
    path = settings().folder / "exports" / "1"
    path.unlink()
    bucket.client().put_object(Bucket=settings().s3_bucket, Key="tunebook/exports/1", Body=b"what was evil")
    with pytest.raises(Unavailable, match="damaged"):
        stored_files.bring(path)
    assert not path.exists()
    assert not list((settings().folder / "incoming").glob("*.part"))


@pytest.mark.laptop
def test_a_bucket_that_is_away_gets_the_files_later(wire, client):
    wire.open = False
    bucket.forget_client()
    make("exports", "1", b"made meanwhile")
    push_all()
    with session_scope(write=False) as session:
        number, said = stored_files.unsettled(session)
    assert number == 1
    assert "failed while looking for exports/1" in said
    assert "a-secret-key" not in said
    assert "The last try to put it into the bucket failed" in client.get("/").text
    wire.open = True
    push_all()
    assert states() == {"exports/1": "kept"}
    assert bucket.held("exports/1")[0] == len(b"made meanwhile")
    with session_scope(write=False) as session:
        assert stored_files.unsettled(session) == (0, "")
    assert "into the bucket failed" not in client.get("/").text


@pytest.mark.slow
@pytest.mark.laptop
def test_an_upload_goes_on_at_the_missing_part_after_a_kill(wire):
    data = os.urandom(5 * bucket.PART_BYTES + 17)
    make("exports", "1", data)
    with session_scope(write=False) as session:
        row_id = session.exec(select(StoredFile.id)).one()
    wire.slow = 0.002
    pusher = subprocess.Popen(
        [sys.executable, "-c", f"from workers.stored_files import push; push({row_id})"]
    )
    sent = _wait_for_parts(2)
    pusher.kill()
    pusher.wait()
    before = {number: tag for number, (tag, _) in sent.items()}
    assert states() == {"exports/1": "waiting"}
    with session_scope() as session:
        row = session.get_one(StoredFile, row_id)
        row.lease_until = None
        upload = row.upload_id
    wire.slow = 0.0
    asked = _count_parts(bucket.client())
    push_all()
    assert states() == {"exports/1": "kept"}
    assert bucket.held("exports/1") == (len(data), row.sha256)
    assert set(asked).isdisjoint(list(before)[:2]), "parts that were there are not sent again"
    assert upload
    path = settings().folder / "exports" / "1"
    path.unlink()
    stored_files.bring(path)
    assert path.read_bytes() == data


def _wait_for_parts(least: int) -> dict:
    for _ in range(600):
        time.sleep(0.05)
        with session_scope(write=False) as session:
            upload = session.exec(select(StoredFile.upload_id)).one()
        parts = bucket._parts(bucket.client(), "exports/1", upload) if upload else {}
        if len(parts or {}) >= least:
            return parts
    raise AssertionError("no part came")


def _count_parts(s3) -> list[int]:
    numbers: list[int] = []
    s3.meta.events.register(
        "before-parameter-build.s3.UploadPart", lambda params, **_: numbers.append(params["PartNumber"])
    )
    return numbers


@pytest.mark.laptop
def test_copies_used_longest_ago_go_and_come_back(wire, monkeypatch):
    for number in range(3):
        make("exports", str(number), bytes([number]) * 1000)
    monkeypatch.setenv("TUNEBOOK_LOCAL_BYTES", "1500")
    settings.cache_clear()
    paths = [settings().folder / "exports" / str(number) for number in range(3)]
    assert stored_files.evict() == 0, "what the bucket lacks stays"
    push_all()
    assert all(path.exists() for path in paths), "what was just used stays"
    for number, path in enumerate(paths):
        old = time.time_ns() - (10 - number) * 3600 * 10**9
        os.utime(path, ns=(old, path.stat().st_mtime_ns))
    assert stored_files.evict() == 2000
    assert [path.exists() for path in paths] == [False, False, True]
    stored_files.bring(paths[0])
    assert paths[0].read_bytes() == bytes(1000)


@pytest.mark.laptop
def test_what_is_removed_leaves_the_bucket(wire):
    make("runs", "1/out/log.txt", b"a log")
    with session_scope() as session:
        stored_files.note(session, settings().folder / "runs" / "1")
    push_all()
    assert states() == {"runs/1/out/log.txt": "kept", "runs/1/": "kept"}
    with session_scope() as session:
        stored_files.forget(session, settings().folder / "runs" / "1")
    push_all()
    assert states() == {}
    assert bucket.held("runs/1/out/log.txt") is None


@pytest.mark.laptop
def test_the_bucket_is_tried_and_its_key_stays_out_of_logs(wire):
    assert _bucket().ok
    assert hidden("key a-secret-key-of-the-bucket") == "key [key]"
    wire.open = False
    bucket.forget_client()
    with pytest.raises(Unavailable, match="failed while trying"):
        bucket.probe()
    assert not _bucket().ok


def test_a_second_machine_reads_what_the_first_has_put_there(become, session, actor, shape):
    if shape == "laptop":
        pytest.skip("SQLite is for one machine")
    first = become("a")
    dataset = add_sample(session, actor, "vowel-harmony")
    session.commit()
    become("b")
    with pytest.raises(Unavailable, match="machine a alone"):
        dataset_file(dataset.id)
    assert stored_files.elsewhere(settings().folder / "datasets" / str(dataset.id)) == "machine.a"
    become("a")
    push_all()
    second = become("b")
    datasets.check(dataset.id)
    session.expire_all()
    assert session.get_one(Dataset, dataset.id).state == DatasetState.READY
    name = f"datasets/{dataset.id}"
    assert (first / name).read_bytes() == (second / name).read_bytes()
    out = second / "runs" / "7" / "out"
    out.mkdir(parents=True)
    (out / "predictions.jsonl").write_text("{}\n")
    with session_scope() as own:
        stored_files.note(own, second / "runs" / "7")
    push_all()
    become("a")
    assert (run_folder(7) / "out" / "predictions.jsonl").read_text() == "{}\n"
    assert (first / "runs").is_dir()
