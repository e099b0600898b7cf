"""Turns a JSONL file into batches of chats in one fast pass, with every bad line explained.

A block of about 1 MiB is decoded in one call. Anything odd in it sends the block through the slow path,
line by line, which says what is wrong. Called by check_file.py.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import numpy as np

from app.datasets.check import Report
from app.datasets.explain import check_bytes, check_doubled_keys, count_keys_in, refuse
from app.datasets.flaws import Flaw
from app.datasets.items import PART_OF, UNUSED, Message
from app.datasets.lines import LINE_CAP, Block, LineReader
from app.datasets.rows import RowFormat, Tools, part_code, settle, settle_rejected

_NEWLINE, _RETURN, _QUOTE, _COLON, _BACKSLASH, _OPEN, _CLOSE = (ord(c) for c in '\n\r":\\{}')
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_PARTS: dict[Any, int] = {None: UNUSED, msgspec.UNSET: UNUSED}
_PARTS |= PART_OF | {name.lower(): code for name, code in PART_OF.items()}


class Batch(NamedTuple):
    """Items side by side: where each stands (line, byte offset, bytes), its chat, the part that
    the file names (UNUSED for none), its tools and its rejected answer."""

    lines: list[int]
    offsets: list[int]
    lengths: list[int]
    chats: list[list[Message]]
    parts: list[int]
    tools: list[Tools]
    rejected: list[Message | None]


def read_jsonl(reader: LineReader, kind: RowFormat, report: Report) -> Iterator[Batch]:
    """Yields the good items of a JSONL file in order; bad lines go to the report.

    Memory holds one block at a time. When the pass ends, the report knows the file's hash and size.
    """
    decoder = msgspec.json.Decoder(kind.row)
    for block in reader.blocks():
        if not block.data:
            report.add(block.line, _over_long(reader.cap))
            continue
        if "crlf" not in report.odd and block.data.endswith(b"\r\n"):
            report.warn("crlf", [block.line])
        batch = _fast(block, kind, decoder, report) or _slow(block, kind, decoder, report)
        if batch.lines:
            report.items += len(batch.lines)
            yield batch
    report.sha256, report.size, report.lines = reader.sha256, reader.size, reader.lines
    if reader.bom:
        report.warn("bom", [1])
    if not report.items and not report.problem_count:
        report.add(0, _nothing(reader.size))


def _fast(block: Block, kind: RowFormat, decoder: Any, report: Report) -> Batch | None:
    data = block.data
    codes = np.frombuffer(data, np.uint8)
    starts, ends, numbers, blank = _bounds(codes)
    if not _all_objects(codes, starts, ends):
        return None
    try:
        if not data.isascii():
            data.decode()
        rows = decoder.decode_lines(data)
        if len(rows) != len(starts) or _has_nul(data, codes):
            return None
        chats, rejected = kind.chats(rows), kind.rejected(rows)
        splits = [row.split for row in rows]
        _check_keys(block, rows, kind, codes, starts, ends)
        parts = [_PARTS[split] if split in _PARTS else part_code(split) for split in splits]
        if not _all_plain(chats):
            for chat in chats:
                settle(chat, kind.names)
        for message in filter(None, rejected):
            settle_rejected(message, kind.names)
    except (*_UNREADABLE, Flaw):
        return None
    if len(blank):
        report.warn("blank-lines", (blank + block.line).tolist())
    lines, offsets = (numbers + block.line).tolist(), (starts + block.offset).tolist()
    tools = [row.tools for row in rows]
    return Batch(lines, offsets, (ends - starts).tolist(), chats, parts, tools, rejected)


def _bounds(codes: Any) -> tuple[Any, Any, Any, Any]:
    """Where the lines that are not blank begin and end, their numbers from 0, and the blank lines' numbers."""
    ends = np.flatnonzero(codes == _NEWLINE)
    starts = np.concatenate(([0], ends[:-1] + 1))
    filled = (ends > starts) & ~((ends == starts + 1) & (codes[starts] == _RETURN))
    return starts[filled], ends[filled], np.flatnonzero(filled), np.flatnonzero(~filled)


def _all_objects(codes: Any, starts: Any, ends: Any) -> bool:
    """Whether each line opens and closes a brace: then no object can reach over a line's end."""
    last = codes[ends - 1]
    returns = last == _RETURN
    if returns.any():
        last = np.where(returns, codes[ends - 2], last)
    return bool((codes[starts] == _OPEN).all() and (last == _CLOSE).all())


def _has_nul(data: bytes, codes: Any) -> bool:
    """Whether an escaped NUL may be in the block; finding backslashes first is faster than a search."""
    places = np.flatnonzero(codes[:-6] == _BACKSLASH)
    after = places[codes[places + 1] == ord("u")]
    return any(
        data[place + 2 : place + 6] == b"0000" for place in after[codes[after + 5] == ord("0")].tolist()
    )


def _all_plain(chats: list[list[Message]]) -> bool:
    """Whether every message has text and every chat ends with an answer, asked of the block at once."""
    contents = [message.content for chat in chats for message in chat]
    return (
        set(map(type, contents)) == {str}
        and all(contents)
        and not any(map(str.isspace, contents))  # type: ignore[arg-type]
        and min(map(len, chats)) > 1
        and {chat[-1].role for chat in chats} == {"assistant"}
    )


def _check_keys(block: Block, rows: list[Any], kind: RowFormat, codes: Any, starts: Any, ends: Any) -> None:
    """Raises Flaw if a line names a key twice.

    A line has exactly the keys of its decoded row unless it has others too, or one of them twice;
    only such lines are looked at more closely.
    """
    colons = np.flatnonzero(codes == _COLON)
    before, second = codes[colons - 1], codes[colons - 2]
    spaced = before <= 32
    keys = colons[
        ((before == _QUOTE) & (second != _BACKSLASH)) | (spaced & ((second <= 32) | (second == _QUOTE)))
    ]
    if len(keys) == kind.keys(rows) and not spaced.any():
        return
    expected = np.array([kind.keys([row]) for row in rows])
    found = np.searchsorted(keys, ends) - np.searchsorted(keys, starts)
    odd = colons[spaced]
    doubtful = (found != expected) | (np.searchsorted(odd, ends) > np.searchsorted(odd, starts))
    for index in np.flatnonzero(doubtful).tolist():
        line = block.data[starts[index] : ends[index]]
        check_doubled_keys(line, line.decode(), int(found[index]))


def _slow(block: Block, kind: RowFormat, decoder: Any, report: Report) -> Batch:
    batch = Batch([], [], [], [], [], [], [])
    offset = block.offset
    for line, data in enumerate(block.data[:-1].split(b"\n"), block.line):
        try:
            if not data or data.isspace():
                report.warn("blank-lines", [line])
            else:
                found = read_line(data, kind, decoder, offset)
                for column, value in zip(batch, (line, offset, len(data), *found), strict=True):
                    column.append(value)  # type: ignore[attr-defined]
        except Flaw as flaw:
            report.add(line, flaw)
        offset += len(data) + 1
    return batch


def read_line(
    line: bytes, kind: RowFormat, decoder: Any, offset: int = 0
) -> tuple[list[Message], int, Tools, Message | None]:
    """One line as (chat, part, tools, rejected answer). Raises Flaw with the first thing that is wrong with it."""
    if len(line) > LINE_CAP:
        raise _over_long(LINE_CAP)
    text = check_bytes(line, offset)
    try:
        row = decoder.decode(line)
        check_doubled_keys(line, text, count_keys_in(text))
    except _UNREADABLE as error:
        refuse(text, kind, error)
    chat, rejected = kind.chats([row])[0], kind.rejected([row])[0]
    settle(chat, kind.names)
    if rejected:
        settle_rejected(rejected, kind.names)
    return chat, part_code(row.split), row.tools, rejected


def _over_long(cap: int) -> Flaw:
    return Flaw(
        "line-too-long",
        "",
        f"The line is longer than {cap / 2**20:,.0f} MiB.",
        "Each row stands on a line of its own, ended by a newline; perhaps the newlines were lost.",
    )


def _nothing(size: int) -> Flaw:
    if not size:
        return Flaw(
            "empty-file", "", "The file is empty.", "Choose the file again; an export may have failed."
        )
    return Flaw("blank-file", "", "The file holds only blank lines.", "Choose the file again.")
