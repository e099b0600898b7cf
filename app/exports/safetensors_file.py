"""Reads safetensors files as NumPy arrays, without PyTorch: one array at a time, straight from the disk.

The format: 8 bytes of length (little endian), a JSON header {name: {dtype, shape, data_offsets}}, the data.
See https://github.com/huggingface/safetensors#format. Used by gguf_file.py.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import Invalid

TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}
LONGEST_HEADER = 100 * 1024 * 1024


@dataclass(frozen=True)
class StoredTensor:
    """One tensor of a file: `read()` gives it as float32 with `shape`."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    path: Path
    offset: int

    def read(self) -> Any:
        """The values as float32, exactly (bfloat16 and float16 are subsets of it)."""
        raw = np.memmap(self.path, TYPES[self.dtype], "r", self.offset, self.shape)
        if self.dtype == "BF16":
            return (raw.astype(np.uint32) << 16).view(np.float32)
        return np.asarray(raw, np.float32)


def tensors(folder: Path) -> Iterator[StoredTensor]:
    """All tensors of the folder's *.safetensors, in order of file and name. Raises Invalid for broken files."""
    for path in sorted(folder.glob("*.safetensors")):
        yield from _of_file(path)


def _of_file(path: Path) -> Iterator[StoredTensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if length > min(LONGEST_HEADER, size):
            raise _broken(path, "its header is longer than the file")
        try:
            header = json.loads(file.read(length))
        except ValueError:
            raise _broken(path, "its header is not JSON") from None
    for name, entry in sorted(header.items()):
        if name == "__metadata__":
            continue
        if entry["dtype"] not in TYPES:
            raise _broken(path, f"{name} is stored as {entry['dtype']}; F32, F16, BF16 and F64 can be read")
        start, end = entry["data_offsets"]
        if 8 + length + end > size:
            raise _broken(path, f"{name} lies behind the end of the file")
        yield StoredTensor(name, tuple(entry["shape"]), entry["dtype"], path, 8 + length + start)


def _broken(path: Path, why: str) -> Invalid:
    return Invalid(f"{path.name} cannot be read: {why}.", "Make or fetch the weights again.")
