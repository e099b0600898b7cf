"""What has to be known until a machine is up, kept in the site's own folder: orders, and the key pair that opens the
machines. Secrets are sealed. Used by the files beside.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.compute._base import Order, Site
from app.vault import seal, unseal


def keep(site: Site, launch_key: str, values: Mapping[str, Any]) -> None:
    """Writes or adds to what is known of a run, whole or not at all."""
    _write(_path(site, launch_key), read(site, launch_key) | dict(values))


def read(site: Site, launch_key: str) -> dict[str, Any]:
    """What was kept; {} for nothing."""
    with suppress(FileNotFoundError, ValueError):
        found: dict[str, Any] = json.loads(_path(site, launch_key).read_text(encoding="utf-8"))
        return found
    return {}


def forget(site: Site, launch_key: str) -> None:
    """Removes it."""
    _path(site, launch_key).unlink(missing_ok=True)


def keep_order(site: Site, order: Order, **more: Any) -> None:
    """The order, for whoever meets the machine when it is up; `more` is kept beside."""
    values = {
        "folder": str(order.folder),
        "base": str(order.base) if order.base else "",
        "deadline": order.deadline_seconds,
        "gpus": order.gpus,
        "label": order.label,
        "hub_token": seal(order.hub_token),
    }
    keep(site, order.launch_key, values | more)


def kept_order(launch_key: str, kept: Mapping[str, Any]) -> Order:
    """The order again."""
    return Order(
        launch_key,
        Path(kept["folder"]),
        kept["deadline"],
        base=Path(kept["base"]) if kept["base"] else None,
        gpus=kept["gpus"],
        label=kept["label"],
        hub_token=unseal(kept["hub_token"]),
    )


def key_pair(site: Site) -> tuple[str, str]:
    """(private, public) half of the site's own key; made at the first call."""
    path = site.folder / "login.json"
    if not path.exists():
        private, public = _new_pair()
        _write(path, {"private": seal(private), "public": public})
    found = json.loads(path.read_text())
    return unseal(found["private"]), found["public"]


def _new_pair() -> tuple[str, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} tunebook"


def _path(site: Site, launch_key: str) -> Path:
    return site.folder / "orders" / f"{launch_key}.json"


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(dict(values), file)
    part.replace(path)
