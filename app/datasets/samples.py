"""Built-in sample datasets. Listed by the pages; service.add_sample writes one."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One sample: `data()` makes its JSON Lines bytes, always the same; `origin` says how it was made."""

    key: str
    name: str
    sentence: str
    origin: str
    data: Callable[[], bytes]


SAMPLES: dict[str, Sample] = {}
