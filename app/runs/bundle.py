"""Writes a run's bundle: the folder that a training process needs, and that a reader of the paper downloads.

Called by workers/runs.py. The folder appears whole or not at all, and is the same byte for byte for the same
run, wherever it is written.
"""

import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from app.datasets.stored import StoredItem
from app.storage import remove

ROOT = Path(__file__).resolve().parent.parent.parent
CODE = {"training": ROOT / "workers" / "training", "baselines": ROOT / "app" / "baselines"}
# What the process leaves in out/ that a reader does not need.
PRIVATE = ("checkpoints", "lock", "process.json", "console.txt", "weights.part", "records.part")
HERE = "here.json"
# What stands beside a toolkit's own configuration at the top of its bundle.
OURS = (HERE, "config.json", "environment.json")


def write_bundle(
    folder: Path, files: Mapping[str, str], code: Iterable[str], parts: Mapping[str, Iterable[StoredItem]]
) -> None:
    """Writes `files` (name -> text), the code packages named in `code`, and one JSON Lines file per part."""
    fresh = folder.with_name(folder.name + ".new")
    remove(fresh)
    fresh.mkdir(parents=True)
    for name, text in files.items():
        (fresh / name).write_text(text, encoding="utf-8")
    for package in code:
        shutil.copytree(
            CODE[package], fresh / "code" / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    for part, items in parts.items():
        with (fresh / f"{part}.jsonl").open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(_row(part, item), ensure_ascii=False) + "\n" for item in items)
    (fresh / "out").mkdir()
    remove(folder)
    fresh.rename(folder)


def _row(part: str, item: StoredItem) -> dict[str, Any]:
    row: dict[str, Any] = {"item": item.item_id, "number": item.number, "line": item.line}
    if part == "test":
        row |= {"prompt": item.prompt, "expected": item.answer}
    else:
        row["messages"] = [*item.prompt, item.answer_message]
        if item.rejected_message:
            row["rejected"] = item.rejected_message
    if item.tools:
        row["tools"] = item.tools
    return row


def rows_of(folder: Path, part: str) -> Iterator[dict[str, Any]]:
    """The rows of one part, as they were written."""
    with (folder / f"{part}.jsonl").open(encoding="utf-8") as file:
        yield from map(json.loads, file)


def count_pairs(folder: Path) -> dict[str, int]:
    """{part: rows with a rejected answer} of the two parts that are trained on and watched."""
    return {part: sum("rejected" in row for row in rows_of(folder, part)) for part in ("train", "validation")}


def toolkit_files(folder: Path) -> dict[str, Path]:
    """{name: file} of the configuration that a toolkit is given, in the order of names; {} for other runs."""
    found = (path for suffix in ("yaml", "json") for path in folder.glob(f"*.{suffix}"))
    return {
        path.name: path
        for path in sorted(found)
        if path.name not in OURS and path.is_file() and not path.is_symlink()
    }


def zip_bundle(folder: Path, file: BinaryIO) -> None:
    """Writes the bundle as a zip, deterministic byte for byte from the same state.

    Nothing is compressed: builds of zlib differ in what they make of the same bytes.
    """
    _zip(folder, bundle_files(folder), file)


def zip_folder(folder: Path, file: BinaryIO) -> None:
    """Writes a folder of weights as a zip, deterministically; safetensors do not shrink anyway."""
    _zip(
        folder, (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()), file
    )


def _zip(folder: Path, paths: Iterable[Path], file: BinaryIO) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in paths:
            info = zipfile.ZipInfo(str(path.relative_to(folder)), date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (0o755 if path.suffix == ".sh" else 0o644) << 16
            with archive.open(info, "w", force_zip64=True) as target, path.open("rb") as source:
                shutil.copyfileobj(source, target)


def bundle_files(folder: Path) -> Iterator[Path]:
    """The bundle's files in a fixed order, without what only the machine that ran it needs."""
    for path in sorted(folder.rglob("*")):
        names = path.relative_to(folder).parts
        private = names[0] == "out" and len(names) > 1 and names[1] in PRIVATE
        private = private or names == (HERE,) or "__pycache__" in names
        if path.is_file() and not path.is_symlink() and not private:
            yield path
