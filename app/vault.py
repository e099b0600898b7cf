"""Secrets at rest: sealed with a key that lies in a file of its own, outside the database. Called by settings.

A copy of the database alone opens nothing; whoever has the data folder has both.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from app.config import settings
from app.errors import Unavailable
from app.log import hide


def key_file() -> Path:
    """Where the key lies; readable by its owner alone."""
    return settings().folder / "vault.key"


def seal(text: str) -> str:
    """The text encrypted and signed (Fernet: AES-128-CBC with HMAC-SHA256); "" stays ""."""
    hide(text)
    return Fernet(_key()).encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """What `seal` was given. Raises Unavailable when the key file is another one than at that time."""
    if not sealed:
        return ""
    try:
        text = Fernet(_key()).decrypt(sealed.encode()).decode()
    except (InvalidToken, ValueError):
        raise Unavailable(
            "A stored key cannot be decrypted.",
            f"Put the {key_file().name} back that it was stored with, or enter the key again.",
        ) from None
    hide(text)
    return text


def _key() -> bytes:
    path = key_file()
    with suppress(FileNotFoundError):
        return path.read_bytes().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"vault.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    # Of two processes that make one at the same time the first wins; a link never replaces.
    with suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()
    return path.read_bytes().strip()
