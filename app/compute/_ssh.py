"""The system's OpenSSH: one command on a host, and what its failures mean. Used by _host.py; folders to and from a host
are in _ssh_copy.py.

Keys and known hosts lie in a folder of their own for the length of one call. Calls share a connection for a minute, so
that looking at a run costs no new handshake. The host's key is pinned: it is learned once, by `learn`.
"""

import base64
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.errors import Busy, KeyRefused, TunebookError, Unavailable, Unclear

CONNECT_SECONDS, PERSIST_SECONDS = 15, 60
# The code with which ssh ends when it is ssh that failed.
LOST = 255
# A key that a killed process left behind is not kept longer.
LEFT_SECONDS = 3600.0
# OpenSSH adds 17 characters to the path of a socket, of which systems take 104.
LONGEST_SOCKET = 80
# In which ways ssh ends with 255, by what it says.
CHANGED = re.compile(r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed")
DENIED = re.compile(
    r"Permission denied \(|Too many authentication failures|No more authentication methods|Load key .*(libcrypto|format)"
)
NOT_REACHED = re.compile(
    r"connect to host \S+ port|Could not resolve hostname|kex_exchange_identification|banner exchange"
    r"|Connection (closed|reset) by \S+ port|No route to host|Network is unreachable|stdio forwarding failed"
    r"|Connection timed out during|open failed: connect failed"
)


@dataclass(frozen=True)
class Target:
    """A host and how to get in. `key`: a private key, "" for the agent and ~/.ssh/config of Tunebook's own account;
    `known_hosts`: lines of that format; `folder`: ours here, for keys of one call and sockets."""

    host: str
    folder: Path
    user: str = ""
    port: int = 0
    jump: str = ""
    key: str = ""
    known_hosts: str = ""


@dataclass(frozen=True)
class Said:
    """How a command there ended, and what it printed."""

    code: int
    out: bytes
    err: str


def command(target: Target, argv: Sequence[str], text: bytes = b"", seconds: float = 60.0) -> Said:
    """Runs `argv` on the host with `text` as its input. Raises KeyRefused, Busy (it was not reached) and Unclear (the
    connection was lost: it may have been run); what the command itself says is in the answer."""
    with open_call(target) as folder:
        argv = [*ssh_argv(target, shared=True), target.host, shlex.join(argv)]
        return _checked(target, _run(target, argv, folder, text, seconds))


def learn(target: Target, argv: Sequence[str], text: bytes, seconds: float = 60.0) -> tuple[Said, str]:
    """`command` over a connection of its own, and the keys by which the host is known: those that are pinned, or at
    the first look those that it shows."""
    with open_call(target, trust=not target.known_hosts.strip()) as folder:
        argv = [*ssh_argv(target, shared=False), target.host, shlex.join(argv)]
        said = _checked(target, _run(target, argv, folder, text, seconds))
        return said, (folder / "known_hosts").read_text()


def close(target: Target) -> None:
    """Ends the shared connection, if one is open."""
    with open_call(target) as folder:
        argv = [*ssh_argv(target, shared=True), "-O", "exit", target.host]
        subprocess.run(argv, cwd=folder, capture_output=True, timeout=CONNECT_SECONDS)


def fingerprints(known_hosts: str) -> list[str]:
    """SHA256:... of each key, as ssh-keygen prints it."""
    found = []
    for line in known_hosts.splitlines():
        words = line.split()
        if len(words) >= 3:
            digest = hashlib.sha256(base64.b64decode(words[2])).digest()
            found.append("SHA256:" + base64.b64encode(digest).decode().rstrip("="))
    return found


@contextmanager
def open_call(target: Target, trust: bool = False) -> Iterator[Path]:
    """A folder with what one call of ssh needs; gone afterwards."""
    if not shutil.which("ssh"):
        raise Unavailable(
            "OpenSSH is not installed on the machine of Tunebook.", "Install it: apt install openssh-client."
        )
    target.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for old in target.folder.glob("call-*"):
        if old.stat().st_mtime < time.time() - LEFT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="call-", dir=target.folder))
    try:
        (folder / "known_hosts").write_text(target.known_hosts)
        (folder / "config").write_text(_config(target, trust))
        if target.key:
            text = target.key.replace("\r\n", "\n").strip() + "\n"
            with open(os.open(folder / "key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _config(target: Target, trust: bool) -> str:
    lines = [
        "BatchMode yes",
        f"ConnectTimeout {CONNECT_SECONDS}",
        "ServerAliveInterval 10",
        "ServerAliveCountMax 3",
        "LogLevel ERROR",
        f"StrictHostKeyChecking {'accept-new' if trust else 'yes'}",
        "UserKnownHostsFile known_hosts",
        "GlobalKnownHostsFile /dev/null",
        "UpdateHostKeys no",
        "HashKnownHosts no",
        "CheckHostIP no",
        "ForwardAgent no",
        "ForwardX11 no",
        "PermitLocalCommand no",
    ]
    if target.key:
        # The key that was entered and no other: not whatever the account of Tunebook happens to have.
        lines += ["IdentityFile key", "IdentitiesOnly yes", "IdentityAgent none"]
        lines += ["PreferredAuthentications publickey"]
    own = Path.home() / ".ssh" / "config"
    if not target.key and own.is_file():
        lines.append(f'Include "{own}"')
    return "Host *\n" + "".join(f"  {line}\n" for line in lines)


def ssh_argv(target: Target, shared: bool) -> list[str]:
    """The command before the host's name. What concerns the host alone stands here, since its jump host reads the
    configuration too."""
    argv = ["ssh", "-F", "./config", "-T"]
    argv += ["-p", str(target.port)] if target.port else []
    argv += ["-l", target.user] if target.user else []
    argv += ["-J", target.jump] if target.jump else []
    argv += ["-o", f"ControlPath={_socket(target) if shared else 'none'}"]
    argv += ["-o", f"ControlMaster={'auto' if shared else 'no'}"]
    argv += ["-o", f"ControlPersist={PERSIST_SECONDS if shared else 'no'}"]
    return argv


def _socket(target: Target) -> str:
    """Where the shared connection is met: another key or another host's key is another connection."""
    told = repr((target.host, target.port, target.user, target.jump, target.key, target.known_hosts))
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    path = str(target.folder.resolve() / name)
    if len(path) <= LONGEST_SOCKET and re.fullmatch(r"[\w./+-]+", path):
        return path
    digest = hashlib.sha256(str(target.folder.resolve()).encode()).hexdigest()[:16]
    short = Path(tempfile.gettempdir()) / f"tunebook-{os.getuid()}-{digest}"
    short.mkdir(mode=0o700, exist_ok=True)
    seen = short.lstat()
    if seen.st_uid != os.getuid() or seen.st_mode & 0o077 or short.is_symlink():
        raise Unavailable(
            f"{short} belongs to somebody else.", "Remove it, so that connections can be shared."
        )
    return str(short / name)


def _run(target: Target, argv: list[str], folder: Path, text: bytes, seconds: float) -> Said:
    process = subprocess.Popen(
        argv,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(text, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Unclear(
            f"{target.host} did not answer within {seconds:g} seconds.", "Look whether the host is up."
        ) from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return Said(process.returncode, out, err.decode("utf-8", "replace"))


def _checked(target: Target, said: Said) -> Said:
    if said.code == LOST or said.code < 0:
        raise failure(target, said.err)
    return said


def failure(target: Target, err: str) -> TunebookError:
    """What it means when ssh itself ends badly."""
    last = next((line.strip() for line in reversed(err.splitlines()) if line.strip()), "no reason was given")
    where = f"{target.user}@{target.host}" if target.user else target.host
    if CHANGED.search(err):
        return KeyRefused(
            f"{where} does not show the host key that it was known by: it was set up anew, or it is another machine.",
            "Ask whoever runs the host. If it is right, empty the field of the host's key and check again.",
        )
    if DENIED.search(err):
        hint = "Give a private key without a passphrase, or one that is in an agent; "
        hint += "its public half must stand in ~/.ssh/authorized_keys on the host."
        return KeyRefused(f"{where} refuses the key: {last}", hint)
    if NOT_REACHED.search(err):
        return Busy(
            f"{where} cannot be reached: {last}", "Look whether the host is up and its address is right."
        )
    return Unclear(f"The connection to {where} was lost: {last}", "Look whether the host is up.")
