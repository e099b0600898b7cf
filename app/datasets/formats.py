"""Tells what an uploaded file is from its first bytes: a JSON Lines format, CSV, Parquet, or a file of another
kind, with how to mend it. Called by check_file.py."""

import zipfile
from pathlib import Path
from typing import Any

import msgspec

from app.datasets.flaws import Flaw
from app.datasets.lines import BOM
from app.datasets.rows import FORMATS, RowFormat

HEAD = 256 * 1024
# What OpenPipe adds to OpenAI's chat rows.
OPENPIPE_KEYS = {"split", "rejected_message"}
TABLES = {"csv": "CSV", "parquet": "Parquet"}
TITLES = {name: kind.title for name, kind in FORMATS.items()} | TABLES

_CONVERT = "Export the data as JSON Lines, CSV or Parquet, and upload that."
_UNPACK = "Unpack it, and upload the file inside."
_SIGNATURES: tuple[tuple[bytes, int, str, str], ...] = (
    (b"\x1f\x8b", 0, "a gzip archive", _UNPACK),
    (b"BZh", 0, "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\x00", 0, "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", 0, "a Zstandard archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive", _UNPACK),
    (b"Rar!", 0, "a RAR archive", _UNPACK),
    (b"ustar", 257, "a tar archive", _UNPACK),
    (b"%PDF", 0, "a PDF document", _CONVERT),
    (b"\xd0\xcf\x11\xe0", 0, "an old Excel or Word file", "Save it as CSV UTF-8, and upload that."),
    (b"ARROW1", 0, "an Arrow (Feather) file", "Write it as Parquet, for example with pyarrow."),
    (b"SQLite format 3", 0, "an SQLite database", _CONVERT),
    (b"\x93NUMPY", 0, "a NumPy array", _CONVERT),
    (b"\x89PNG", 0, "a PNG image", _CONVERT),
    (b"\xff\xd8\xff", 0, "a JPEG image", _CONVERT),
    (b"\x80\x04\x95", 0, "a Python pickle", _CONVERT),
    (b"\x89HDF", 0, "an HDF5 file", _CONVERT),
    (b"{\\rtf", 0, "an RTF document", _CONVERT),
)
_WIDE = ((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))  # fmt: skip


def detect_format(path: Path, file_name: str = "") -> str:
    """A name in FORMATS, "csv" or "parquet". Raises Flaw for an empty file or one of another kind.

    The file's name only decides between CSV and JSON Lines where the content leaves it open.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head.startswith(b"PAR1"):
        return "parquet"
    _refuse_others(path, head)
    text = head.removeprefix(BOM).lstrip()
    ending = Path(file_name).suffix.lower()
    if ending in (".csv", ".tsv") and text[:1] not in (b"{", b"["):
        return "csv"
    if text[:1] in (b"{", b"[") or ending in (".jsonl", ".ndjson", ".json"):
        return _jsonl_format(text)
    first = text.split(b"\n", 1)[0]
    return "csv" if any(mark in first for mark in (b",", b";", b"\t")) and first[:1] != b'"' else _csv_or_not(text)  # fmt: skip


def _csv_or_not(text: bytes) -> str:
    """A quoted first line: a CSV header, or a line of JSON that is no object."""
    first = text.split(b"\n", 1)[0]
    quoted = first.startswith(b'"') and any(mark in first for mark in (b'",', b'";', b'"\t'))
    return "csv" if quoted else _jsonl_format(text)


def _jsonl_format(text: bytes) -> str:
    lines = text.split(b"\n")[:200]
    first = lines[0].strip()
    if first == b"{" or text[:1] == b"[":
        shape = "one JSON list" if text[:1] == b"[" else "JSON written over several lines"
        raise Flaw(
            "not-json-lines",
            "line 1",
            f"The file is {shape}, not JSON Lines.",
            "Write one object on each line, for example with: jq -c '.[]' data.json > data.jsonl"
            if text[:1] == b"["
            else "Write one object on each line, for example with: jq -c . data.json > data.jsonl",
        )
    rows = [row for line in lines if isinstance(row := _decoded(line), dict)]
    for row in rows:
        if kind := format_of_keys(set(row)):
            own = kind.name == "openai-chat" and any(OPENPIPE_KEYS & set(other) for other in rows)
            return "openpipe" if own else kind.name
    return "openai-chat"


def format_of_keys(keys: set[str]) -> RowFormat | None:
    """The format whose marks are among the keys; None when there is none."""
    return next((kind for kind in FORMATS.values() if kind.marks <= keys), None)


def _decoded(line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _refuse_others(path: Path, head: bytes) -> None:
    if not head:
        raise Flaw(
            "empty-file", "", "The file is empty.", "Choose the file again; an export may have failed."
        )
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        raise _wrong_kind(*_zip_kind(path))
    for signature, offset, what, hint in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            raise _wrong_kind(what, hint)
    for mark, name in _WIDE:
        if head.startswith(mark):
            raise _wide(name)
    sample = head[:2000]
    if len(sample) > 3 and sample.count(0) * 3 > len(sample):
        raise _wide("UTF-16 or UTF-32")
    start = head.removeprefix(BOM).lstrip()[:200].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise _wrong_kind("a web page", "The download may have given a sign-in page; fetch the file again.")
    if start.startswith(b"<?xml"):
        raise _wrong_kind("an XML file", _CONVERT)


def _zip_kind(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive", "Make it again, unpack it, and upload the file inside."
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook", "Save the sheet as CSV UTF-8, and upload that."
    if any(name.startswith("word/") for name in names):
        return "a Word document", _CONVERT
    return "a zip archive", _UNPACK


def _wrong_kind(what: str, hint: str) -> Flaw:
    return Flaw("wrong-kind", "", f"The file is {what}, not text.", hint)


def _wide(name: str) -> Flaw:
    return Flaw(
        "utf-16",
        "",
        f"The file is in {name}, not UTF-8.",
        "Save it as UTF-8; in a shell: iconv -f UTF-16 -t UTF-8 data.jsonl > new.jsonl",
    )
