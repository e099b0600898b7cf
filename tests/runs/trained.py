"""Files as a training of Transformers leaves them."""

import enum
import io
import pickle
import zipfile
from typing import Any


class Schedule(enum.Enum):
    """As Transformers keeps its schedules."""

    LINEAR = "linear"


class Arguments:
    """As Transformers keeps its arguments."""


def training_args(**values: Any) -> bytes:
    """training_args.bin as torch.save writes it."""
    kept = Arguments()
    kept.__dict__ |= values
    return zipped({"training_args/data.pkl": pickle.dumps(kept, protocol=2), "training_args/version": b"3\n"})


def zipped(files: dict[str, bytes]) -> bytes:
    """A zip of them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()
