"""Reads a file once, in blocks of whole lines, hashing it on the way; memory stays flat. Used by parse.py."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

CHUNK = 1 << 18
LINE_CAP = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


class Block(NamedTuple):
    """Whole lines: the bytes (each line ends with 0x0A), where they begin, and the number of the first line.

    `data` is empty for one line over the cap, whose bytes were thrown away.
    """

    data: bytes
    offset: int
    line: int


class LineReader:
    """One pass over a file. After the pass, `sha256`, `size`, `lines` and `bom` describe the file.

    `lines_before` is added to line numbers: 1 for the form of a CSV file, whose first line was its header.
    """

    def __init__(self, path: Path, cap: int = LINE_CAP, lines_before: int = 0) -> None:
        self.path, self.cap = path, cap
        self.sha256, self.size, self.lines, self.bom = "", 0, lines_before, False

    def blocks(self) -> Iterator[Block]:
        """Yields the file's lines in order; a line ends at byte 0x0A only, as JSON text may hold U+2028."""
        held: list[bytes] = []
        held_size, start, too_long = 0, 0, False
        for chunk in self._chunks():
            if self.bom and not start:
                start = len(BOM)
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                held_size += len(chunk)
                too_long = too_long or held_size > self.cap
                held = [] if too_long else [*held, chunk]
                continue
            first_end = chunk.find(b"\n") + 1
            if held_size + first_end > self.cap + 1:
                yield self._block(b"", start)
                start += held_size + first_end
                data = chunk[first_end:cut]
            else:
                data = b"".join([*held, chunk[:cut]]) if held else chunk[:cut]
            if data:
                yield self._block(data, start)
                start += len(data)
            held_size, too_long = len(chunk) - cut, False
            held = [chunk[cut:]] if held_size else []
        if held_size:
            yield self._block(b"" if too_long else b"".join([*held, b"\n"]), start)

    def _chunks(self) -> Iterator[bytes]:
        digest = hashlib.sha256()
        # Hashing runs beside the parser: it gives up the interpreter's lock for the whole of a chunk.
        with self.path.open("rb") as file, ThreadPoolExecutor(1) as hasher:
            hashed = hasher.submit(digest.update, b"")
            while chunk := file.read(CHUNK):
                hashed.result()
                hashed = hasher.submit(digest.update, chunk)
                if not self.size and chunk.startswith(BOM):
                    self.bom = True
                    yield chunk[len(BOM) :]
                else:
                    yield chunk
                self.size += len(chunk)
        self.sha256 = digest.hexdigest()

    def _block(self, data: bytes, offset: int) -> Block:
        block = Block(data, offset, self.lines + 1)
        self.lines += int(np.count_nonzero(np.frombuffer(data, np.uint8) == 10)) or 1
        return block
