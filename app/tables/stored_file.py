"""Files of the data folder whose home is a bucket: what waits to go there, what lies there, what is to leave it."""

from enum import StrEnum

from sqlalchemy import BigInteger
from sqlmodel import Field

from app.tables._base import Leased


class StoredState(StrEnum):
    """`waiting -> kept`, and `leaving` until the object is deleted; noted again, any of them waits anew."""

    WAITING = "waiting"
    KEPT = "kept"
    LEAVING = "leaving"


class StoredFile(Leased, table=True):
    """One file, by its path below the data folder; a key that ends in "/" stands for a folder to be looked through."""

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(max_length=700, unique=True)
    state: str = Field(default=StoredState.WAITING, max_length=20, index=True)
    # The machine whose data folder has it while it waits.
    machine: str = Field(default="", max_length=200)
    # What was put into the bucket: a file that differs from this has changed since.
    size_bytes: int = Field(default=0, sa_type=BigInteger)
    modified_ns: int = Field(default=0, sa_type=BigInteger)
    sha256: str = Field(default="", max_length=64)
    # A multipart upload under way.
    upload_id: str = Field(default="", max_length=1000)
    error: str = Field(default="", max_length=2000)
