"""An S3-compatible bucket: resumable uploads in parts, downloads that go on after a cut, deletion, a probe.

Called by app/stored_files.py and doctor. boto3 (the extra `s3`) is imported here alone, inside the calls.
"""

import base64
import fcntl
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from app.clock import now
from app.config import settings
from app.errors import Unavailable
from app.log import hide, log

# Files up to this size go in one call; parts of larger ones have it, unless there would be too many of them.
PART_BYTES = 8 * 1024**2
MOST_PARTS = 9000
CHUNK = 1024**2
# A download that is cut this often without a new byte is given up.
MOST_CUTS = 5
STALE = timedelta(days=2)


class Away(Unavailable):
    """The bucket does not answer, or lacks the file so far: work that needs it waits and is tried again."""


@lru_cache
def _client(pid: int) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise Unavailable(
            "A bucket is set, but boto3 is not installed.", "Run pip install 'tunebook[s3]'."
        ) from error
    own = settings()
    hide(own.s3_secret_key)
    return boto3.client(
        "s3",
        endpoint_url=own.s3_endpoint or None,
        region_name=own.s3_region or None,
        aws_access_key_id=own.s3_access_key or None,
        aws_secret_access_key=own.s3_secret_key or None,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"max_attempts": 4, "mode": "standard"},
            # Newer checksums are unknown to many compatible servers; Content-MD5 is sent instead.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"} if own.s3_endpoint else {},
        ),
    )


def client() -> Any:
    """boto3's client of this process, made once. Raises Unavailable where boto3 is missing."""
    return _client(os.getpid())


def forget_client() -> None:
    """Makes the next call read the settings anew (tests)."""
    _client.cache_clear()


def _at(key: str) -> dict[str, str]:
    prefix = settings().s3_prefix.strip("/")
    return {"Bucket": settings().s3_bucket, "Key": f"{prefix}/{key}" if prefix else key}


@contextmanager
def _asking(doing: str) -> Iterator[Any]:
    """The client; its errors become Away with a sentence."""
    found = client()
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield found
    except (BotoCoreError, ClientError, ValueError) as error:
        raise Away(
            f"The bucket {settings().s3_bucket} failed while {doing}: {str(error)[:500]}",
            "Look whether it answers and whether the keys may write: `tunebook doctor` tries it.",
        ) from error


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def put(path: Path, key: str, sha256: str, upload_id: str, save: Callable[[str], None]) -> None:
    """Puts the whole file at `key`. `upload_id` is that of an upload cut short, "" for none; `save` is given the
    id of a new one before its first part. Raises Unavailable."""
    size = path.stat().st_size
    with _asking(f"taking {key}") as s3:
        if size <= PART_BYTES:
            data = path.read_bytes()
            s3.put_object(**_at(key), Body=data, ContentMD5=_md5(data), Metadata={"sha256": sha256})
            return
        parts = _parts(s3, key, upload_id) if upload_id else None
        if parts is None:
            # The end of an earlier upload may have been all that its process did not live to note.
            if upload_id and held(key) == (size, sha256):
                return
            made = s3.create_multipart_upload(**_at(key), Metadata={"sha256": sha256})
            upload_id, parts = made["UploadId"], {}
            save(upload_id)
        _send_parts(s3, path, key, upload_id, parts)


def _send_parts(s3: Any, path: Path, key: str, upload_id: str, there: dict[int, tuple[str, int]]) -> None:
    size = path.stat().st_size
    each = max(PART_BYTES, -(-size // MOST_PARTS))
    tags = []
    with path.open("rb") as file:
        for number, start in enumerate(range(0, size, each), 1):
            length = min(each, size - start)
            tag, has = there.get(number, ("", -1))
            if has != length:
                file.seek(start)
                data = file.read(length)
                sent = s3.upload_part(
                    **_at(key), UploadId=upload_id, PartNumber=number, Body=data, ContentMD5=_md5(data)
                )
                tag = sent["ETag"]
            tags.append({"PartNumber": number, "ETag": tag})
    s3.complete_multipart_upload(**_at(key), UploadId=upload_id, MultipartUpload={"Parts": tags})


def _parts(s3: Any, key: str, upload_id: str) -> dict[int, tuple[str, int]] | None:
    """{number: (tag, bytes)} of the parts that are there; None where the upload is over or was aborted."""
    from botocore.exceptions import ClientError

    try:
        pages = s3.get_paginator("list_parts").paginate(**_at(key), UploadId=upload_id)
        return {
            part["PartNumber"]: (part["ETag"], part["Size"])
            for page in pages
            for part in page.get("Parts", [])
        }
    except ClientError as error:
        if _code(error) in ("NoSuchUpload", "NoSuchKey", "404"):
            return None
        raise


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def held(key: str) -> tuple[int, str] | None:
    """(bytes, SHA-256 as it was put) of an object; None where there is none."""
    with _asking(f"looking for {key}") as s3:
        from botocore.exceptions import ClientError

        try:
            found = s3.head_object(**_at(key))
        except ClientError as error:
            if _code(error) in ("404", "NoSuchKey", "NotFound"):
                return None
            raise
        return found["ContentLength"], found["Metadata"].get("sha256", "")


def sizes(below: str = "") -> dict[str, int]:
    """Bytes of every object whose key begins with `below`, by key; one call for a thousand. Raises Away."""
    start = _at("")["Key"]
    with _asking("listing its files") as s3:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=settings().s3_bucket, Prefix=start + below
        )
        return {
            each["Key"][len(start) :]: each["Size"] for page in pages for each in page.get("Contents", [])
        }


def digest(key: str) -> str:
    """SHA-256 of the object's bytes, all read. Raises Away."""
    found = hashlib.sha256()
    with _asking(f"giving {key}") as s3:
        for chunk in s3.get_object(**_at(key))["Body"].iter_chunks(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def get(key: str, target: Path, part: Path, size: int, sha256: str) -> None:
    """Brings the object to `target`, which is there wholly or not at all. `part` keeps what came before a cut, and a
    later call goes on there. Raises Unavailable when the bucket does not answer or the bytes are not those put."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        # One process brings it; the others find it there.
        fcntl.flock(file, fcntl.LOCK_EX)
        if target.is_file() and target.stat().st_size == size and _digest(target) == sha256:
            part.unlink(missing_ok=True)
            return
        _fill(key, file, size)
        file.flush()
        os.fsync(file.fileno())
        if _digest(part) != sha256:
            part.unlink()
            raise Unavailable(
                f"The bucket's copy of {key} is damaged: its SHA-256 is not the one noted when it was put there.",
                "Restore the object from a version or a backup of the bucket.",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(part, target)


def _fill(key: str, file: Any, size: int) -> None:
    from botocore.exceptions import BotoCoreError

    cuts = 0
    if file.tell() > size:
        file.truncate(0)
    while (have := os.fstat(file.fileno()).st_size) < size:
        try:
            with _asking(f"giving {key}") as s3:
                found = s3.get_object(**_at(key), Range=f"bytes={have}-{size - 1}")
                for chunk in found["Body"].iter_chunks(CHUNK):
                    file.write(chunk)
                    file.flush()
        except Unavailable as error:
            gained = os.fstat(file.fileno()).st_size > have
            cuts = 0 if gained else cuts + 1
            if cuts >= MOST_CUTS or not isinstance(error.__cause__, BotoCoreError):
                raise
            log.info("the download of %s was cut; it goes on", key)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def delete(key: str, upload_id: str = "") -> None:
    """Deletes the object and aborts an upload to it; that they are gone already is fine."""
    with _asking(f"deleting {key}") as s3:
        if upload_id:
            abort(s3, _at(key)["Key"], upload_id)
        s3.delete_object(**_at(key))


def abort(s3: Any, name: str, upload_id: str) -> None:
    """Ends an upload in parts, whose parts would be paid for else."""
    from botocore.exceptions import ClientError

    try:
        s3.abort_multipart_upload(Bucket=settings().s3_bucket, Key=name, UploadId=upload_id)
    except ClientError as error:
        if _code(error) not in ("NoSuchUpload", "NoSuchKey", "404"):
            raise


def abort_stale(known: set[str]) -> int:
    """Aborts uploads below our prefix that are older than STALE and not `known`; says how many."""
    stale = 0
    with _asking("listing uploads") as s3:
        pages = s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=settings().s3_bucket, Prefix=_at("")["Key"]
        )
        for page in pages:
            for upload in page.get("Uploads", []):
                if upload["UploadId"] not in known and upload["Initiated"] < now() - STALE:
                    abort(s3, upload["Key"], upload["UploadId"])
                    stale += 1
    return stale


def probe() -> None:
    """Writes, reads and deletes a small object. Raises Unavailable that says what failed."""
    key, data = f"probe-{secrets.token_hex(8)}", secrets.token_bytes(32)
    with _asking("trying a small file") as s3:
        s3.put_object(**_at(key), Body=data, ContentMD5=_md5(data))
        back = s3.get_object(**_at(key))["Body"].read()
        s3.delete_object(**_at(key))
    if back != data:
        raise Unavailable(
            "The bucket gave back other bytes than were written.", "Look at what stands before it."
        )
