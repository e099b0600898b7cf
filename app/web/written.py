"""A file that is written for one download. Called by the downloads of experiments and exports."""

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from fastapi.responses import Response, StreamingResponse

PIECE = 1024 * 1024


def written(write: Callable[[BinaryIO], object], name: str, media_type: str) -> Response:
    """Written to disk first, so that an error is still an answer and memory stays flat, then sent."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed when its last piece is sent
    try:
        write(file)
    except BaseException:
        file.close()
        raise
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    headers = {"content-disposition": f'attachment; filename="{name}"', "content-length": str(size)}
    return StreamingResponse(_pieces(file), headers=headers, media_type=media_type)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE):
            yield piece
