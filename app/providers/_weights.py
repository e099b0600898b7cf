"""Weights from outside: an archive unpacked, and which files are kept at all. Nothing in them can run: no pickles, no
Python, no links, no paths. Used by the providers' fetch_weights.
"""

import os
import tarfile
from pathlib import Path, PurePosixPath

from app import errors
from app.providers._http import Api

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

    Raises errors.Refused for an archive that is none, or that holds more than it should.
    """
    import pyarrow

    try:
        with (
            pyarrow.CompressedInputStream(pyarrow.OSFile(str(archive)), "zstd") as plain,
            tarfile.open(fileobj=plain, mode="r|") as tar,
        ):
            return _members(api, tar, folder)
    except (tarfile.TarError, OSError, pyarrow.ArrowException, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise errors.Unclear(
            f"{api.access.label} sent an archive of weights that cannot be unpacked ({type(error).__name__}).",
            "Tunebook fetches it again.",
        ) from error


def _members(api: Api, tar: tarfile.TarFile, folder: Path) -> list[Path]:
    written: list[Path] = []
    total = 0
    for count, member in enumerate(tar):
        name = kept_name(member.name) if member.isfile() else ""
        total += member.size
        if count >= MOST_FILES or total > MOST_BYTES:
            raise errors.Refused(f"{api.access.label} sent an archive that unpacks to more than it should.")
        source = tar.extractfile(member) if name else None
        if source is None or folder / name in written:
            continue
        part = folder / f".{name}.part"
        with part.open("wb") as file:
            while piece := source.read(PIECE):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        written.append(part.replace(folder / name))
    return written
