"""Turns whatever stopped a run into one sentence and a hint, in out/error.json."""

import errno
import traceback
from pathlib import Path

from .files import write_json
from .process import write_exit_code
from .reporting import Reporter


class Failure(Exception):
    """An expected end: what happened, and how to mend it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def record_failure(folder: Path, reporter: Reporter, error: BaseException) -> None:
    """The process's last act after an error: log, error.json, exit_code."""
    message, hint = explain(error)
    if not isinstance(error, Failure):
        reporter.log("".join(traceback.format_exception(error)).rstrip())
    reporter.log(f"failed: {message} {hint}")
    write_json(folder / "out" / "error.json", {"message": message, "hint": hint})
    write_exit_code(folder, 1)


def explain(error: BaseException) -> tuple[str, str]:
    """(what happened, what to do), one plain sentence each."""
    if isinstance(error, Failure):
        return error.message, error.hint
    if out_of_memory(error):
        return (
            "The machine ran out of memory.",
            "Take a smaller batch (with more gradient accumulation), shorter rows or a smaller model.",
        )
    if isinstance(error, ModuleNotFoundError):
        return (
            f"The Python package {error.name!r} is not installed.",
            "Install what environment.txt of the bundle lists, or run `make up` without TRAIN=0.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full.", "Free some space, then retry: the run goes on from its newest checkpoint."
    if isinstance(error, KeyboardInterrupt):
        return "The run was stopped by hand.", "Retry it when you like."
    first = (str(error).strip().splitlines() or [""])[0][:300]
    return (
        f"Training stopped with {type(error).__name__}{': ' + first if first else ''}.",
        "The log below shows where; changing the hyperparameters named there often mends it.",
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the machine or of its GPU did not suffice."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (
            isinstance(error, RuntimeError)
            and ("not enough memory" in text or "can't allocate memory" in text)
        )
    )
