"""CSV as a download. Routes of all features use this."""

from collections.abc import Iterator

from fastapi.responses import StreamingResponse


def csv_response(pieces: Iterator[bytes], name: str) -> StreamingResponse:
    """A CSV download under a name of ours."""
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pieces, headers=headers, media_type="text/csv; charset=utf-8")
