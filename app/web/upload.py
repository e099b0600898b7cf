"""Takes a multipart upload in flat memory: the file goes to disk and through SHA-256 as it arrives.

Routes declare `upload: Uploading`. No other body parameter may stand beside it: FastAPI would read the body first.
"""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from app.config import settings
from app.errors import Invalid, TooLarge
from app.format import size as readable
from app.storage import incoming_file, remove

FIELDS, FIELD_BYTES = 100, 64 * 1024
# Room for the parts' headers and the other fields beside the file.
AROUND = 1024 * 1024
PIECE = 1024 * 1024
# A file that still comes is written to more often.
LEFT_BEHIND_SECONDS = 3600


@dataclass
class Upload:
    """A received file: where it lies for the moment (`keep` or move it; else it is removed when the request
    ends), the name its sender gave it, its size in bytes and SHA-256, and the form's other fields."""

    path: Path
    file_name: str = ""
    size: int = 0
    sha256: str = ""
    fields: dict[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str:
        """A field's text without blanks around it; empty when it was not sent."""
        return self.fields.get(name, "").strip()


class _Receiver:
    """The parser's callbacks: which part we are in, and where its bytes go."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.size = file, hashlib.sha256(), 0
        self.file_name: str | None = None
        self.fields: dict[str, str] = {}
        self.headers: list[tuple[bytes, bytes]] = []
        self.header, self.value, self.data = b"", b"", b""
        self.name, self.is_file, self.ended = "", False, False

    def callbacks(self) -> dict[str, object]:
        return {
            "on_part_begin": self.begin,
            "on_header_field": lambda data, start, end: self._extend("header", data[start:end]),
            "on_header_value": lambda data, start, end: self._extend("value", data[start:end]),
            "on_header_end": self.header_end,
            "on_headers_finished": self.headers_finished,
            "on_part_data": self.part_data,
            "on_part_end": self.part_end,
            "on_end": self.end,
        }

    def _extend(self, name: str, data: bytes) -> None:
        setattr(self, name, getattr(self, name) + data)

    def begin(self) -> None:
        self.headers, self.data, self.header, self.value = [], b"", b"", b""

    def header_end(self) -> None:
        self.headers.append((self.header.lower(), self.value))
        self.header, self.value = b"", b""

    def headers_finished(self) -> None:
        disposition = dict(self.headers).get(b"content-disposition", b"")
        _, options = parse_options_header(disposition)
        self.name = options.get(b"name", b"").decode(errors="replace")
        self.is_file = self.name == "file"
        if not self.is_file:
            return
        if self.file_name is not None:
            raise Invalid("The request holds two files.", "Upload one file at a time.")
        self.file_name = options.get(b"filename", b"").decode(errors="replace")

    def part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if not self.is_file:
            self.data += piece
            if len(self.data) > FIELD_BYTES:
                raise TooLarge(
                    f"The field {self.name[:50]!r} is longer than 64 KiB.", "Send the data as `file`."
                )
            return
        self.size += len(piece)
        if self.size > settings().max_upload_bytes:
            raise too_large()
        self.digest.update(piece)
        self.file.write(piece)

    def part_end(self) -> None:
        if self.is_file:
            return
        if len(self.fields) >= FIELDS:
            raise Invalid("The form has too many fields.", f"At most {FIELDS} are taken.")
        self.fields[self.name] = self.data.decode(errors="replace")

    def end(self) -> None:
        self.ended = True


def too_large() -> TooLarge:
    """What is said of an upload over the limit."""
    return TooLarge(
        f"The file is larger than {readable(settings().max_upload_bytes)}.",
        "Upload a part of it, or raise TUNEBOOK_MAX_UPLOAD_BYTES.",
    )


async def receive(request: Request) -> AsyncIterator[Upload]:
    """Receives the request's file; raises TooLarge before reading where the length is given, else on the way.

    Raises Invalid for a body that is no multipart form, breaks off, or has no file.
    """
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and int(length) > settings().max_upload_bytes + AROUND:
        raise too_large()
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Invalid(
            "The request's body is compressed.", "Send the file as it is; Tunebook unpacks nothing."
        )
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Invalid(
            "The request is no multipart form.",
            "Send the file as multipart/form-data in a field named `file`.",
        )
    path = incoming_file(secrets.token_hex(16))
    await run_in_threadpool(remove_left_behind, path.parent)
    try:
        yield await _read(request, path, options[b"boundary"])
    finally:
        remove(path)


async def _read(request: Request, path: Path, boundary: bytes) -> Upload:
    with path.open("wb") as file:
        receiver = _Receiver(file)
        try:
            parser = MultipartParser(boundary, receiver.callbacks())  # type: ignore[arg-type]
            held = bytearray()
            async for piece in request.stream():
                held += piece
                if len(held) >= PIECE:
                    # Off the event loop: hashing and writing a piece takes milliseconds.
                    await run_in_threadpool(parser.write, bytes(held))
                    held.clear()
            await run_in_threadpool(parser.write, bytes(held))
            parser.finalize()
        except (FormParserError, ClientDisconnect) as error:
            said = str(error) or "the connection broke"
            raise Invalid(f"The upload cannot be read: {said}.", "Send it again; nothing was kept.") from None
    if not receiver.ended:
        raise Invalid("The upload broke off before its end.", "Send it again; nothing was kept.")
    if receiver.file_name is None:
        raise Invalid(
            "No file came with the form.",
            "Choose a file; its field is named `file`.",
            {"file": "choose a file"},
        )
    return Upload(path, receiver.file_name, receiver.size, receiver.digest.hexdigest(), receiver.fields)


def remove_left_behind(folder: Path) -> None:
    """Removes uploads that a killed process left an hour ago or earlier."""
    for path in folder.iterdir():
        try:
            if time.time() - path.stat().st_mtime > LEFT_BEHIND_SECONDS:
                remove(path)
        except FileNotFoundError:
            continue


Uploading = Annotated[Upload, Depends(receive)]


def upload_body(required: Sequence[str], **fields: str) -> dict[str, Any]:
    """`openapi_extra` of a route that declares `upload: Uploading`: its body is read here, so its fields beside `file`
    are told by name with a few words each."""
    described = {
        name: {"type": "string", "description": words} if words else {"type": "string"}
        for name, words in fields.items()
    }
    schema = {
        "type": "object",
        "required": ["file", *required],
        "properties": {"file": {"type": "string", "format": "binary"}, **described},
    }
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
