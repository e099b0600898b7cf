"""A dataset at the server: its report, its splits and items. Made by client.py."""

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from .errors import DatasetRefused, Invalid, UnusableFile
from .progress import Progress
from .records import Split, made
from .rows import Rows, html_table
from .waiting import wait_until

if TYPE_CHECKING:
    from .client import Client

Source = str | os.PathLike[str] | bytes | Sequence[Mapping[str, Any]]
PAGE = 500


@dataclass(frozen=True)
class Dataset:
    """An uploaded file that never changes, known by its SHA-256. `problems` and `warnings` are its report.

    >>> dataset = lab.dataset(1)
    >>> dataset
    Dataset(1, 'rule', ready, 50 items, classification)
    >>> dataset.labels, dataset.parts
    (('acid', 'base', 'salt'), {'train': 35, 'validation': 5, 'test': 10})
    """

    id: int
    name: str
    state: str
    sha256: str = ""
    task: str = ""
    labels: tuple[str, ...] = ()
    items: int | None = None
    size_bytes: int | None = None
    file_name: str = ""
    format: str = ""
    progress: float = 0.0
    parts: dict[str, int] = field(default_factory=dict)
    problems: tuple[dict[str, Any], ...] = ()
    problem_count: int = 0
    warnings: tuple[dict[str, Any], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    origin: str = ""
    all_splits: tuple[Split, ...] = ()
    _lab: Any = field(default=None, repr=False, compare=False)

    @property
    def splits(self) -> Rows[Split]:
        """Its splits, the first one used by default.

        >>> lab.dataset(1).splits["file"].counts["test"]
        10
        """
        return Rows(self.all_splits)

    def make_split(self, kind: str = "seeded", **asked: Any) -> Split:
        """Draws one more split, frozen from then on: `seed`, `test` and `validation` shares; with kind="groups"
        also `key` or `pattern`. See docs/designs.md.

        >>> lab.dataset(1).make_split(seed=7, test=0.2, validation=0.1).counts["test"]
        10
        """
        lab: Client = self._lab
        return made(Split, lab.wire.change("POST", f"/datasets/{self.id}/splits", {"kind": kind, **asked}))

    def rows(self, split: str | int | None = None, part: str = "") -> Iterator[dict[str, Any]]:
        """Its items as chats, page by page: item, number, line, part, group, messages, answer.

        >>> next(lab.dataset(1).rows(part="test"))["answer"]
        'base'
        """
        lab: Client = self._lab
        after: int | None = -1
        while after is not None:
            asked = {"split": split, "part": part or None, "after": after, "limit": PAGE}
            page = lab.wire.read(f"/datasets/{self.id}/items", **asked)
            yield from page["items"]
            after = page["next_after"]

    def download(self, to: str | os.PathLike[str] | None = None, split: int | None = None) -> Path:
        """The file byte for byte, or with a split's id its rows with their parts as JSON Lines."""
        lab: Client = self._lab
        path = f"/datasets/{self.id}/file" if split is None else f"/datasets/{self.id}/splits/{split}.jsonl"
        name = self.file_name if split is None else f"{self.name}-{split}.jsonl"
        return lab.download(path, to, name)

    def refresh(self) -> "Dataset":
        """As it stands now."""
        lab: Client = self._lab
        return lab.dataset(self.id)

    def row(self) -> dict[str, Any]:
        """As a line of a table."""
        return {
            "id": self.id, "name": self.name, "state": self.state, "task": self.task, "items": self.items,
            "sha256": self.sha256[:12],
        }  # fmt: skip

    def __repr__(self) -> str:
        told = [str(self.id), repr(self.name), self.state]
        told += [f"{self.items} items", self.task] if self.items is not None and self.task else []
        told += [f"{self.problem_count} problems"] if self.problem_count else []
        return f"Dataset({', '.join(told)})"

    def _repr_html_(self) -> str:
        shown = html_table([{**self.row(), **self.parts}])
        return shown + (html_table(list(self.problems)) if self.problems else "")


def dataset_of(values: Mapping[str, Any], lab: "Client") -> Dataset:
    """A dataset of what the API answered."""
    known = {**values, "parts": values.get("splits") or {}}
    return replace(
        made(Dataset, {name: value for name, value in known.items() if value is not None}), _lab=lab
    )


def upload(
    lab: "Client",
    source: Source,
    name: str,
    task: str,
    mapping: Mapping[str, str] | None,
    wait: bool,
    shown: bool | None,
) -> Dataset:
    """Sends a file in pieces and waits until it is checked; raises DatasetRefused with the report."""
    file, file_name, size = opened(source, name)
    line = Progress(f"{file_name}", shown)
    fields = {"name": name, "task": task}
    fields |= {"mapping": msgspec.json.encode(dict(mapping)).decode()} if mapping else {}
    with file:
        counted = _Counted(file, size, lambda done: line(0.5 * done / max(size, 1), "sending"))
        files = {"file": (file_name, counted, "application/octet-stream")}
        answer = lab.wire.change(
            "POST", "/datasets", data={key: value for key, value in fields.items() if value}, files=files
        )
    dataset = dataset_of(answer, lab)
    if wait:
        dataset = wait_until(
            dataset.refresh,
            lambda found: found.state in ("ready", "refused"),
            lambda found: line(0.5 + 0.5 * found.progress, found.state),
            lab.wire.pause,
        )
    line.close()
    if dataset.state == "refused":
        raise DatasetRefused(
            _first_problem(dataset), "`error.dataset.problems` has all of it; mend the file.", dataset
        )
    return dataset


def _first_problem(dataset: Dataset) -> str:
    first = dataset.problems[0] if dataset.problems else {}
    where = f"line {first['line']}: " if first.get("line") else ""
    said = f"{where}{first.get('message', 'no reason is given')}"
    more = f" (and {dataset.problem_count - 1} more)" if dataset.problem_count > 1 else ""
    return f"{dataset.file_name or dataset.name} was refused: {said}{more}"


def opened(source: Source, name: str) -> tuple[IO[bytes], str, int]:
    """What is to be sent, open for reading, with its file name and its size in bytes."""
    if isinstance(source, bytes):
        return io.BytesIO(source), f"{name or 'data'}.jsonl", len(source)
    if isinstance(source, str | os.PathLike):
        path = Path(source).expanduser()
        try:
            return path.open("rb"), path.name, path.stat().st_size
        except OSError as error:
            raise UnusableFile(f"{path} cannot be read: {error.strerror}.", "Check the path.") from error
    try:
        data = b"".join(msgspec.json.encode(dict(row)) + b"\n" for row in source)
    except (TypeError, ValueError) as error:
        raise Invalid(
            f"These rows cannot be written as JSON Lines: {error}.", "Give a path, or a list of dictionaries."
        ) from None
    return io.BytesIO(data), f"{name or 'rows'}.jsonl", len(data)


class _Counted:
    """A file that says how much of it was read."""

    def __init__(self, file: IO[bytes], size: int, said: Callable[[int], None]) -> None:
        self.file, self.size, self.said = file, size, said

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(size)
        self.said(self.file.tell())
        return piece

    def seek(self, place: int, whence: int = 0) -> int:
        return self.file.seek(place, whence)

    def tell(self) -> int:
        return self.file.tell()
