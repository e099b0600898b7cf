"""Finds kinds: every file of a kinds folder (app/trainers, app/metrics, ...) gives one object by a known name.

A file that does not import, or lacks the object, stops start-up with its name: nothing is skipped silently.
"""

import importlib
import pkgutil
from functools import lru_cache
from typing import Any


@lru_cache
def load_kinds(package: str, attribute: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """All kinds of `package` (for example "app.trainers"), by their `name`, in order of file name; but the files named
    in `without`, which are of another form.

    Raises RuntimeError naming the file that is broken.
    """
    found: dict[str, Any] = {}
    folder = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(folder.__path__), key=lambda info: info.name):
        if info.name.startswith("_") or info.name in without:
            continue
        path = f"{package}.{info.name}"
        try:
            kind = getattr(importlib.import_module(path), attribute)
        except (ImportError, AttributeError, SyntaxError) as error:
            raise RuntimeError(f"the kind in {path} cannot be loaded: {error}") from error
        if kind.name in found:
            raise RuntimeError(f"two kinds in {package} are named {kind.name!r}")
        found[kind.name] = kind
    return found
