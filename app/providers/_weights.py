"""Weights from outside: an archive unpacked, and which files are kept at all. Nothing in them can run: no pickles, no
Python, no links, no paths. Used by the providers' fetch_weights.
"""

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from app import errors
from app.service_http import Api

KEPT = (".safetensors", ".json", ".txt")
MOST_FILES = 10_000
MOST_BYTES = 500 * 2**30
PIECE = 4 * 2**20


def kept_name(name: str) -> str:
    """The plain file name under which a file is kept; "" for one that is left away: another kind, or a path that leaves
    its folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    inside = not path.is_absolute() and ".." not in path.parts
    return path.name if inside and path.name.endswith(KEPT) and not path.name.startswith(".") else ""


def fetch_file(api: Api, url: str, final: Path) -> Path:
    """Downloads to `final`, which is there whole or not at all; a download that was cut goes on."""
    part = final.with_name(f".{final.name}.part")
    if not final.exists():
        api.download(url, part)
        os.replace(part, final)
    return final


def unpack_zstd(api: Api, archive: Path, folder: Path) -> list[Path]:
    """Writes the kept files of a .tar.zst flat into the folder and gives their paths.

    Raises errors.Refused for an archive that holds more than it should, and errors.Unclear for one that is cut.
    """
    import pyarrow

    def read() -> list[Path]:
        with (
            pyarrow.CompressedInputStream(pyarrow.OSFile(str(archive)), "zstd") as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            return _keep_all(api, _of_tar(tar), folder)

    return _whole(api, archive, read, pyarrow.ArrowException)


def unpack(api: Api, archive: Path, folder: Path) -> list[Path]:
    """The same of a .zip or of a .tar, whatever it is compressed with; raises as unpack_zstd() does."""

    def read() -> list[Path]:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                return _keep_all(api, _of_zip(packed), folder)
        with tarfile.open(archive, mode="r|*") as tar:
            return _keep_all(api, _of_tar(tar), folder)

    return _whole(api, archive, read, zipfile.BadZipFile)


def _whole(api: Api, archive: Path, read: Callable[[], list[Path]], own_error: type[Exception]) -> list[Path]:
    try:
        return read()
    except (tarfile.TarError, OSError, EOFError, own_error) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk's own error, and no fault of the archive
        archive.unlink(missing_ok=True)
        raise errors.Unclear(
            f"{api.access.label} sent an archive of weights that cannot be unpacked ({type(error).__name__}).",
            "Tunebook fetches it again.",
        ) from error


# Name, size in bytes, and a function that opens it; None for what is no plain file.
Member = tuple[str, int, Callable[[], IO[bytes] | None] | None]


def _of_tar(tar: tarfile.TarFile) -> Iterator[Member]:
    for member in tar:
        yield member.name, member.size, partial(tar.extractfile, member) if member.isfile() else None


def _of_zip(packed: zipfile.ZipFile) -> Iterator[Member]:
    for member in packed.infolist():
        yield member.filename, member.file_size, None if member.is_dir() else partial(packed.open, member)


def _keep_all(api: Api, members: Iterable[Member], folder: Path) -> list[Path]:
    written: list[Path] = []
    total = 0
    for count, (path, size, opened) in enumerate(members):
        name = kept_name(path) if opened else ""
        total += size
        if count >= MOST_FILES or total > MOST_BYTES:
            raise errors.Refused(f"{api.access.label} sent an archive that unpacks to more than it should.")
        if not opened or not name or folder / name in written:
            continue
        source = opened()
        if source is None:
            continue
        part = folder / f".{name}.part"
        with source, part.open("wb") as file:
            shutil.copyfileobj(source, file, PIECE)
            file.flush()
            os.fsync(file.fileno())
        written.append(part.replace(folder / name))
    return written
