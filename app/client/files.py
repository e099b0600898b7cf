"""What the server makes as a file: pictures, texts, exports. Made by the methods of runs and comparisons."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from .errors import UnusableFile


@dataclass(frozen=True)
class Figure:
    """A figure as bytes of one format; a notebook shows SVG by itself.

    >>> figure = experiment.figure("scores")
    >>> figure
    Figure('scores.svg', ...)
    >>> figure.data[:4]
    b'<svg'
    """

    name: str
    format: str
    data: bytes = field(repr=False)

    def save(self, to: str | os.PathLike[str] | None = None) -> Path:
        """Writes it; left out: under its own name here."""
        path = Path(to).expanduser() if to else Path(f"{self.name}.{self.format}")
        try:
            path.write_bytes(self.data)
        except OSError as error:
            raise UnusableFile(
                f"{path} cannot be written: {error.strerror}.", "Choose another file."
            ) from error
        return path

    def _repr_svg_(self) -> str | None:
        return self.data.decode("utf-8") if self.format == "svg" else None

    def __repr__(self) -> str:
        return f"Figure({f'{self.name}.{self.format}'!r}, {len(self.data)} bytes)"
