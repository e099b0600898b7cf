"""Takes the place of Modal's SDK: the calls that app/compute/modal makes, with the real ones' names and parameters (a slow
test compares them), sandboxes that really run their command, volumes that are folders.

`Cloud` is the far side: it counts creates and lets the next call of a name fail.
"""

import enum
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.compute.modal_errors import GRPCError, exception
from tests.emulator._machine import Container


class FileEntryType(enum.IntEnum):
    """modal.types.FileEntryType."""

    FILE = 1
    DIRECTORY = 2


@dataclass
class FileEntry:
    """modal.types.FileEntry."""

    path: str
    type: FileEntryType
    mtime: int
    size: int


@dataclass
class LogEntry:
    """modal.types.LogEntry, as text."""

    message: str

    def __str__(self) -> str:
        return self.message


@dataclass
class Cloud:
    """Everything at Modal. `faults`: {call: errors, one for each of the next calls}; `after`: whether a failing create
    has made its sandbox nevertheless."""

    folder: Path
    token: tuple[str, str] = ("ak-lab", "as-lab")
    boxes: list["Sandbox"] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, list[Exception]] = field(default_factory=dict)
    after: bool = False
    speed: float = 1.0
    calls: list[str] = field(default_factory=list)

    def meet(self, call: str) -> None:
        """Counts a call; raises what was set for it."""
        self.calls.append(call)
        if self.faults.get(call):
            raise self.faults[call].pop(0)


cloud: Cloud


class Client:
    """modal.Client."""

    @classmethod
    def from_credentials(cls, token_id: str, token_secret: str) -> "Client":
        cloud.meet("Client.from_credentials")
        if (token_id, token_secret) != cloud.token:
            raise exception.AuthError("Token ID not found")
        return cls()

    def hello(self) -> None: ...

    def close(self) -> None: ...


class App:
    """modal.App."""

    app_id = "ap-1"

    @staticmethod
    def lookup(name: str, *, client: Any = None, create_if_missing: bool = False) -> "App":
        cloud.meet("App.lookup")
        return App()


class _Batch:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_file(self, local_file: Any, remote_path: str, mode: Any = None) -> None:
        target = self.folder / remote_path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(local_file, target)


class _Volumes:
    def list(self, *, client: Any = None) -> list["Volume"]:
        return [Volume(path) for path in sorted((cloud.folder / "volumes").glob("*"))]

    def delete(self, name: str, *, allow_missing: bool = False, client: Any = None) -> None:
        path = cloud.folder / "volumes" / name
        if not path.exists() and not allow_missing:
            raise exception.NotFoundError(name)
        shutil.rmtree(path, ignore_errors=True)


class Volume:
    """modal.Volume."""

    objects = _Volumes()

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name

    @staticmethod
    def from_name(name: str, *, create_if_missing: bool = False, client: Any = None) -> "Volume":
        found = Volume(cloud.folder / "volumes" / name)
        if create_if_missing:
            found.folder.mkdir(parents=True, exist_ok=True)
        return found

    def hydrate(self, client: Any = None) -> "Volume":
        if not self.folder.exists():
            raise exception.NotFoundError(f"Volume {self.name!r} not found")
        return self

    @contextmanager
    def batch_upload(self, force: bool = False) -> Iterator[_Batch]:
        cloud.meet("Volume.batch_upload")
        yield _Batch(self.folder)

    def listdir(self, path: str, *, recursive: bool = False) -> list[FileEntry]:
        self.hydrate()
        top = self.folder / path.lstrip("/")
        if not top.exists():
            raise exception.NotFoundError(f"No such file or directory: {path}")
        kinds = {True: FileEntryType.FILE, False: FileEntryType.DIRECTORY}
        return [
            FileEntry(each.relative_to(self.folder).as_posix(), kinds[each.is_file()], 0, each.stat().st_size)
            for each in sorted(top.rglob("*"))
        ]

    def read_file_into_fileobj(self, path: str, fileobj: Any) -> int:
        cloud.meet("Volume.read_file_into_fileobj")
        return fileobj.write((self.folder / path).read_bytes())


class Image:
    """modal.Image."""

    @staticmethod
    def from_registry(tag: str) -> "Image":
        return Image()

    def entrypoint(self, entrypoint_commands: list[str]) -> "Image":
        return self

    def build(self, app: Any = None) -> "Image":
        cloud.meet("Image.build")
        return self


class Secret:
    """modal.Secret."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values = values

    @staticmethod
    def from_dict(env_dict: dict[str, str]) -> "Secret":
        return Secret(env_dict)


class _Logs:
    def __init__(self, box: "Sandbox") -> None:
        self.box = box

    def _entries(self) -> list[LogEntry]:
        text = "".join(f"{line}\n" for _, line in list(self.box.container.lines))
        # Pieces of a log do not keep to its lines.
        return [LogEntry(text[at : at + 50]) for at in range(0, len(text), 50)]

    def tail(self, entries: int = 100, *, source: str | None = None) -> list[LogEntry]:
        cloud.meet("logs.tail")
        return self._entries()[-entries:]

    def fetch(self, *, since: datetime, until: Any = None, source: str | None = None) -> list[LogEntry]:
        assert since < datetime.now(UTC)
        cloud.meet("logs.fetch")
        return self._entries()


class Sandbox:
    """modal.Sandbox."""

    def __init__(self, name: str, tags: dict[str, str], container: Container) -> None:
        self.name, self.tags, self.container = name, tags, container
        self.object_id, self.stopped = f"sb-{len(cloud.boxes) + 1}", False
        self.logs = _Logs(self)

    @staticmethod
    def create(
        *args: str,
        app: Any = None,
        name: str | None = None,
        tags: dict[str, str] | None = None,
        image: Any = None,
        secrets: Any = None,
        timeout: int | None = 300,
        gpu: str | None = None,
        memory: Any = None,
        volumes: Any = {},  # noqa: B006
        client: Any = None,
    ) -> "Sandbox":
        if not cloud.after:
            cloud.meet("Sandbox.create")
        if any(box.name == name and box.poll() is None for box in cloud.boxes):
            raise exception.AlreadyExistsError(f"Sandbox with name {name} already exists")
        cloud.asked.append(
            {"name": name, "tags": tags, "timeout": timeout, "gpu": gpu, "memory": memory, "args": args}
        )
        mounts = {path: volume.folder for path, volume in volumes.items()}
        variables = {key: value for secret in secrets for key, value in secret.values.items()}
        box = Sandbox(
            name or "", tags or {}, Container(args, variables, mounts, (timeout or 300) / cloud.speed)
        )
        cloud.boxes.append(box)
        if cloud.after:
            cloud.meet("Sandbox.create")
        return box

    @staticmethod
    def from_id(sandbox_id: str, client: Any = None) -> "Sandbox":
        for box in cloud.boxes:
            if box.object_id == sandbox_id:
                return box
        raise exception.NotFoundError(f"Sandbox {sandbox_id} not found")

    @staticmethod
    def from_name(
        app_name: str, name: str, *, include_terminated: bool = False, client: Any = None
    ) -> "Sandbox":
        for box in reversed(cloud.boxes):
            if box.name == name and (include_terminated or box.poll() is None):
                return box
        raise exception.NotFoundError(f"No running sandbox named {name}")

    @staticmethod
    def list(
        *, app_id: str | None = None, tags: dict[str, str] | None = None, client: Any = None
    ) -> Iterator["Sandbox"]:
        yield from (box for box in cloud.boxes if box.poll() is None)

    def get_tags(self) -> dict[str, str]:
        return self.tags

    def poll(self) -> int | None:
        if self.stopped:
            return 137
        code = self.container.code
        return 124 if code is not None and self.container.timed_out else code

    def terminate(self, *, wait: bool = False) -> int | None:
        self.stopped = self.poll() is None
        self.container.kill()
        return self.poll() if wait else None


def use(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Cloud:
    """From now on `import modal` gives this, with a new cloud behind it."""
    global cloud
    cloud = Cloud(folder)
    monkeypatch.setitem(sys.modules, "modal", sys.modules[__name__])
    errors = types.ModuleType("grpclib.exceptions")
    errors.GRPCError = GRPCError  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "grpclib", types.ModuleType("grpclib"))
    monkeypatch.setitem(sys.modules, "grpclib.exceptions", errors)
    return cloud
