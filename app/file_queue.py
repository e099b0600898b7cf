"""The queue of files that a laptop uses: kombu's filesystem transport with whole files only. Used by app/queue.py.

kombu opens a file and then writes it: a reader that comes between, or a kill, leaves a message or a table that
is cut short, and a worker that meets one ends. Here files are moved into place when they are whole, taken by
removing them (exactly one reader succeeds), and what cannot be read is dropped: the sweep repeats it.
"""

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual

from app.log import log

SCHEME = "files"


class Channel(filesystem.Channel):
    """One connection's view of the folder; `queue` and `exchange` are Celery's names."""

    def get_table(self, exchange: str) -> list[Any]:
        """The queues bound to an exchange; none when the file is missing or cut short."""
        try:
            rows = json.loads(self._exchange_file(exchange).read_text())
            return [filesystem.exchange_queue_t(*row) for row in rows]
        except (FileNotFoundError, ValueError, TypeError):
            return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        table = self.get_table(exchange)
        if bound not in table:
            _write_whole(self._exchange_file(exchange), json.dumps([bound, *table]))

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override]
        name = f"{time.monotonic_ns() // 1_000_000}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, json.dumps(message))

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        folder = Path(self.data_folder_in)
        for name in sorted(os.listdir(folder)):
            if name.partition(".")[2] == f"{queue}.msg" and (message := _take(folder / name)) is not None:
                return message
        raise Empty


class Transport(filesystem.Transport):
    """What kombu looks up for addresses that begin with "files://"."""

    Channel = Channel
    global_state = virtual.BrokerState()
    driver_type = driver_name = SCHEME


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"


def _take(path: Path) -> Any:
    """The message, if this process is the one that removed it and it is one; else None."""
    try:
        text = path.read_bytes()
        path.unlink()
        message = json.loads(text)
        if isinstance(message, dict) and isinstance(message.get("properties"), dict) and "body" in message:
            return message
    except FileNotFoundError:
        return None
    except ValueError:
        pass
    log.warning("a message in the queue could not be read and is dropped: %s", path.name)
    return None


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f"{uuid.uuid4()}.part")
    part.write_text(text)
    os.replace(part, path)
