"""Secrets at rest: sealed with a master key that is a setting, or else a file of its own in the data folder. Called by
settings, backup and doctor. A copy of the database alone opens nothing.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from app.config import settings
from app.errors import Unavailable
from app.log import hide

# What `seal` gives: version 128, then a time whose upper half is zero, in base64.
SEALED = re.compile(rb"gAAAAA[\w-]{70,}={0,2}")
UNREADABLE = "It cannot be decrypted: the master key was lost or changed. Put the old vault.key back, or enter the key again."


def key_file() -> Path:
    """Where the key lies that no setting gives; readable by its owner alone."""
    return settings().folder / "vault.key"


def key_place() -> str:
    """Where the key in force comes from, for messages."""
    return "of the setting TUNEBOOK_VAULT_KEY" if settings().vault_key else str(key_file())


def sealed_in_files() -> Iterator[str]:
    """Secrets that are kept in files: what places for training hand to machines that are not up yet."""
    for path in sorted((settings().folder / "machines").rglob("*.json")):
        with suppress(FileNotFoundError):
            yield from (found.decode() for found in SEALED.findall(path.read_bytes()))


def seal(text: str) -> str:
    """The text encrypted and signed (Fernet: AES-128-CBC with HMAC-SHA256); "" stays "". Raises Unavailable when the
    key file cannot be used."""
    hide(text)
    return _fernet(_key()).encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """What `seal` was given. Raises Unavailable when the key file is another one than at that time, or none."""
    if not sealed:
        return ""
    key = present_key()
    try:
        text = _fernet(key).decrypt(sealed.encode()).decode() if key else None
    except (InvalidToken, ValueError):
        text = None
    if text is None:
        raise Unavailable(
            "A stored key cannot be decrypted.",
            "Put the master key back that it was stored with, or enter the key again.",
        )
    hide(text)
    return text


def is_readable(sealed: str) -> bool:
    """Whether `unseal` would give it: for pages that show which stored keys are lost."""
    try:
        unseal(sealed)
    except Unavailable:
        return False
    return True


def fingerprint(key: bytes) -> str:
    """Names a key without telling it: 16 hexadecimal digits; "" for none."""
    return hashlib.sha256(b"tunebook vault " + key.strip()).hexdigest()[:16] if key.strip() else ""


def present_key() -> bytes:
    """The setting's key, else the key file's content; b"" for none. Raises Unavailable when it may not be read."""
    if own := settings().vault_key:
        hide(own)
        return own.encode()
    path = key_file()
    try:
        return path.read_bytes().strip()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Unavailable(
            f"The master key {path} cannot be read: {error.strerror}.",
            f"Give it to whoever runs Tunebook: chown $USER '{path}' && chmod 600 '{path}'",
        ) from error


def put_key(key: bytes) -> None:
    """Writes the key file where there is none, for its owner alone; one that is there stays."""
    path = key_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"vault.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    # Of two processes that make one at the same time the first wins; a link never replaces.
    with suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def _fernet(key: bytes) -> Fernet:
    try:
        return Fernet(key)
    except ValueError as error:
        raise Unavailable(
            f"The master key {key_place()} is damaged: it is no key of Tunebook.",
            "Put the right one back; or move it away and enter the stored keys again.",
        ) from error


def _key() -> bytes:
    if not settings().vault_key and not key_file().exists():
        put_key(Fernet.generate_key())
    return present_key()
