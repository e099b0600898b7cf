"""What can be wrong with a line of a dataset, as sentences. Raised by the readers, collected by check.py."""

from dataclasses import dataclass

KEPT = 50


class Flaw(Exception):
    """One thing wrong with one line: `code` for programs, `where` in the line, and how to mend it."""

    def __init__(self, code: str, where: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.where, self.message, self.hint = code, where, message, hint


@dataclass(frozen=True)
class Problem:
    """A flaw with its line (1-based; a row number in Parquet; 0 when it is about the whole file)."""

    line: int
    where: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Warned:
    """Something odd that does not stop the upload: how many lines have it, and the first few of them."""

    code: str
    count: int
    message: str
    lines: list[int]
