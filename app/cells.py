"""CSV lines, and text cells that no spreadsheet runs as a formula. Used by every CSV that leaves Tunebook, and by the
import.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

# A spreadsheet takes a cell that begins like this for a formula.
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def guarded(text: str | None) -> str:
    """A text cell that no spreadsheet runs: a formula gets an apostrophe before it (as does a text that looks
    like a guarded one, so that `unguarded` gives every text back); plain numbers stay numbers."""
    if not text:
        return ""
    return f"'{text}" if text.lstrip("'").startswith(DANGEROUS) and not is_number(text) else text


def unguarded(cell: str) -> str:
    """The text that `guarded` was given."""
    return cell[1:] if cell[:1] == "'" and guarded(cell[1:]) == cell else cell


def is_number(text: str) -> bool:
    """Whether a spreadsheet reads the text as a plain number."""
    return NUMBER.fullmatch(text) is not None


def csv_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[bytes]:
    """RFC 4180 lines in pieces of about 64 KiB, UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(names)
    for row in rows:
        writer.writerow(row)
        if buffer.tell() > 65536:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
