"""Classical models that need no GPU and no network: the floor that a fine-tuned model has to beat.

A copy of this package travels in each bundle, so it finds its own files without app/registry.py.
"""

import importlib
import pkgutil
from functools import lru_cache

from ._base import Baseline

# The order of the tiles, from the simplest.
ORDER = ("majority", "nearest", "tfidf-linear", "char-trees")


@lru_cache
def _all() -> dict[str, Baseline]:
    modules = (info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))
    found = [importlib.import_module(f".{name}", __name__).BASELINE for name in modules]
    place = {name: number for number, name in enumerate(ORDER)}
    return {kind.name: kind for kind in sorted(found, key=lambda kind: (place.get(kind.name, 99), kind.name))}


def names() -> list[str]:
    """The names of all baselines, simplest first."""
    return list(_all())


def load(name: str) -> Baseline:
    """The baseline of that name; raises KeyError for an unknown one."""
    return _all()[name]
