"""Ways to multiply train items: one file each, found by app/registry.py. Used by app/runs and app/experiments."""

from app.augmentations._base import Augmentation
from app.errors import Invalid
from app.registry import load_kinds


def augmentations() -> dict[str, Augmentation]:
    """All of them by name."""
    return load_kinds("app.augmentations", "AUGMENTATION")


def find_augmentation(name: str) -> Augmentation:
    """One by name; raises Invalid that lists the names."""
    found = augmentations().get(name)
    if found is None:
        known = ", ".join(augmentations())
        raise Invalid(
            f"There is no augmentation {name[:50]!r}.", f"Choose one of {known}.", {"augment": "unknown"}
        )
    return found
