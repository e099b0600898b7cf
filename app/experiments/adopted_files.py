"""The zip of a training's folder: which files are taken, and that none is more than it says. Called by adopt.py."""

import json
import re
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import Invalid

SMALL = re.compile(
    r"adapter_config\.json|config\.json|generation_config\.json|trainer_state\.json|training_args\.bin|mlflow_run\.json"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt"
    r"|chat_template\.(jinja|json)|model\.safetensors\.index\.json|[\w.-]+\.ya?ml"
)
WEIGHTS = re.compile(r"(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors")
# Weights in formats that can run code when they are loaded.
REFUSED = re.compile(r"(adapter_model|pytorch_model.*|consolidated.*)\.(bin|pt|pth|ckpt|pkl)")
TOLD = re.compile(r"(adapter_config|config|trainer_state|mlflow_run)\.json|training_args\.bin|[\w.-]+\.ya?ml")
PREDICTIONS = re.compile(r"predictions\.(csv|jsonl?)")
CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
LARGEST_TOLD = 8 * 1024 * 1024
LARGEST_SMALL, MOST_FILES, LONGEST_HEADER = 64 * 1024 * 1024, 10_000, 100 * 1024 * 1024


@dataclass(frozen=True)
class Folder:
    """An opened zip: `small` are the files that are read, `weights` those that are kept, both by name."""

    archive: zipfile.ZipFile
    small: dict[str, zipfile.ZipInfo]
    weights: dict[str, zipfile.ZipInfo]
    predictions: zipfile.ZipInfo | None

    def texts(self) -> dict[str, bytes]:
        """The bytes of those that say how it was trained. Raises Invalid for one that is too large to be one."""
        told = {name: info for name, info in self.small.items() if TOLD.fullmatch(name)}
        for name, info in told.items():
            if info.file_size > (LARGEST_SMALL if name == "trainer_state.json" else LARGEST_TOLD):
                raise Invalid(f"{name} is too large to be what its name says.", "Leave it out of the zip.")
        return {name: self.archive.read(info) for name, info in told.items()}

    @property
    def is_adapter(self) -> bool:
        """Whether the weights are an adapter on a base model."""
        return "adapter_config.json" in self.small

    def keep(self, folder: Path) -> None:
        """Writes weights and what loads them into `folder`; raises Invalid for a file that is no safetensors file."""
        folder.mkdir(parents=True)
        loaders = [name for name in self.small if not name.endswith((".bin", ".yml", ".yaml"))]
        for name in [
            *self.weights,
            *(name for name in loaders if name not in ("trainer_state.json", "mlflow_run.json")),
        ]:
            info = self.weights.get(name) or self.small[name]
            with self.archive.open(info) as source, (folder / name).open("wb") as target:
                shutil.copyfileobj(source, target, 1024 * 1024)
        for name in self.weights:
            check_safetensors(folder / name)


@contextmanager
def opened(path: Path) -> Iterator[Folder]:
    """Raises Invalid for what is no zip of a training's folder."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError):
        raise Invalid(
            "The file is no zip.", "Zip the folder that the training wrote, or use `tunebook adopt FOLDER`.",
            {"file": "a zip"},
        ) from None  # fmt: skip
    with archive:
        try:
            yield _sorted(archive, path.stat().st_size)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
            raise Invalid(f"The zip cannot be read: {error}.", "Zip the folder once more.") from None


def _sorted(archive: zipfile.ZipFile, size: int) -> Folder:
    infos = [info for info in archive.infolist() if not info.is_dir()]
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > 4 * size + LARGEST_SMALL:
        raise Invalid(
            "The zip holds more than it should.", "Zip the training's folder without packing it tightly."
        )
    small: dict[str, zipfile.ZipInfo] = {}
    weights: dict[str, zipfile.ZipInfo] = {}
    predictions = None
    top = _top([info.filename for info in infos])
    for info in sorted(infos, key=_newest_first):
        parts = info.filename.removeprefix(top).split("/")
        name = parts[-1]
        step = CHECKPOINT.fullmatch(parts[0]) if len(parts) == 2 else None
        if len(parts) == 1 and REFUSED.fullmatch(name):
            raise Invalid(
                f"{name} can run code when it is loaded, so it is refused.",
                "Save the weights as safetensors (save_pretrained does) and send the folder again.",
            )
        if len(parts) == 1 and WEIGHTS.fullmatch(name):
            weights[name] = info
        elif len(parts) == 1 and PREDICTIONS.fullmatch(name):
            predictions = info
        elif len(parts) == 1 and SMALL.fullmatch(name) and info.file_size <= LARGEST_SMALL:
            small[name] = info
        elif step and name in ("trainer_state.json", "training_args.bin"):
            # The end of a training is often written into its last checkpoint alone.
            small.setdefault(name, info)
    return Folder(archive, small, weights, predictions)


def _newest_first(info: zipfile.ZipInfo) -> int:
    found = CHECKPOINT.search(info.filename)
    # What lies beside the checkpoints counts before all of them.
    return -int(found[1]) if found else -(10**13)


def _top(names: list[str]) -> str:
    """The one folder that everything lies in, or ""."""
    first = {name.split("/")[0] for name in names}
    return f"{first.pop()}/" if len(first) == 1 and all("/" in name for name in names) else ""


def check_safetensors(path: Path) -> None:
    """Raises Invalid unless the file's header is one: a length, then JSON."""
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        try:
            whole = 0 < length < LONGEST_HEADER and isinstance(json.loads(file.read(length)), dict)
        except (ValueError, RecursionError):
            whole = False
    if not whole:
        raise Invalid(
            f"{path.name} is no safetensors file.", "Save the weights once more and send the folder again."
        )
