"""Files that are whole or not there: what every part of the trainer reads and writes with."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Writes a file so that a reader sees the old text or the new one; `durable`: also after a power cut."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any, durable: bool = True) -> None:
    """`value` as JSON, atomically. NaN and infinity become null: they are not JSON."""
    write_text(path, json.dumps(finite(value), ensure_ascii=False, indent=1) + "\n", durable)


def finite(value: Any) -> Any:
    """`value` with every number that JSON lacks replaced by None."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    return [finite(part) for part in value] if isinstance(value, list | tuple) else value


def append_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Adds one line of JSON per row in a single write."""
    text = "".join(json.dumps(finite(row), ensure_ascii=False) + "\n" for row in rows)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or {} when the file is not there or not whole."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file; [] when there is none."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def cut_torn_line(path: Path) -> None:
    """Cuts off a last line that a kill left without its end, so that the next line starts clean."""
    if not path.is_file():
        return
    with path.open("r+b") as file:
        whole = file.read().rpartition(b"\n")
        file.truncate(len(whole[0]) + len(whole[1]))


def write_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes the folder `path` with what `fill(folder)` writes, wholly or not at all; replaces an older one."""
    fresh = path.with_name(f".{path.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fill(fresh)
    flush_folder(fresh)
    shutil.rmtree(path, ignore_errors=True)
    os.replace(fresh, path)


def remove_folder(path: Path) -> None:
    """Removes a folder with all that is in it; nothing happens where there is none."""
    if path.exists():
        shutil.rmtree(path)


def flush_folder(folder: Path) -> None:
    """Makes sure that every file of the folder is on the disk."""
    for file in [folder, *folder.rglob("*")]:
        descriptor = os.open(file, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
