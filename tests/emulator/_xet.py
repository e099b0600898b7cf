"""Takes the place of the Hub library's transfer of contents, whose protocol is that library's own: bytes go straight
into an emulated world's store by their hash. Everything around it is the library's real code over real HTTP.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.emulator._world import World


class _Commit:
    def __init__(self, world: World) -> None:
        self.world = world

    def _keep(self, content: bytes) -> Any:
        digest = hashlib.sha256(content).hexdigest()
        self.world.blobs[f"xet-{digest}"] = content
        info = SimpleNamespace(hash=digest, file_size=len(content))
        return SimpleNamespace(result=lambda: SimpleNamespace(xet_info=info))

    def start_upload_file(self, path: str, sha256: Any = None) -> Any:
        return self._keep(Path(path).read_bytes())

    def start_upload_bytes(self, content: bytes, sha256: Any = None) -> Any:
        return self._keep(content)


def use_world_for_contents(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """From now on, until the test ends, uploaded contents land in `world`."""

    @contextmanager
    def new_upload_commit(**_: Any) -> Iterator[_Commit]:
        yield _Commit(world)

    session = SimpleNamespace(new_upload_commit=new_upload_commit)
    monkeypatch.setattr("huggingface_hub.utils._xet.get_xet_session", lambda: session)
