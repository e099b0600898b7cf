"""What a maker of an export gets: the row, the run, a folder of its own, and a way to say how far it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.tables import Export, Run


@dataclass(frozen=True)
class Work:
    """One export being made. `folder` is empty at the start and removed at the end; `target` is the file to
    write; `say(fraction, sentence)` shows progress and raises when another process has taken over."""

    export: Export
    run: Run
    run_folder: Path
    folder: Path
    target: Path
    say: Callable[[float, str], None]
    # For pushes: a token from the form, in memory only; "" to take the setting.
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Made:
    """What came of it: the name for the file in `Work.target` ("" when there is none) and facts to show."""

    file_name: str = ""
    result: dict[str, Any] = field(default_factory=dict)
