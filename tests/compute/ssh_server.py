"""A real sshd on loopback with its own host key, port and configuration, and bundles whose run.sh does as a test wishes.
Fixtures in tests/compute/conftest.py."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.compute._base import Order, Site

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
LACKS = "no sshd on this machine: install openssh-server"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def make_key(path: Path) -> str:
    """A new key pair; the private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.read_text()


class Sshd:
    """The server. `environment`: what its sessions have beside the usual."""

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder, self.port = folder, free_port()
        # Not the home of whoever runs the tests: what their shells read at each start is theirs.
        self.environment = {"HOME": str(folder), **(environment or {})}
        self.key = make_key(folder / "key")
        self.wrong_key = make_key(folder / "wrong_key")
        self.host_key = ""
        self.new_host_key()
        shutil.copy(folder / "key.pub", folder / "authorized_keys")
        # sshd wants it where it runs as root; packages leave it to the init system.
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def new_host_key(self) -> None:
        for path in self.folder.glob("host_key*"):
            path.unlink()
        make_key(self.folder / "host_key")
        self.host_key = (self.folder / "host_key.pub").read_text().strip()

    def start(self) -> None:
        """Starts it, or starts it again on the same port."""
        told = " ".join(f"{name}={value}" for name, value in self.environment.items())
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host_key",
            f"PidFile {self.folder}/pid",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "MaxStartups 100",
            "Subsystem sftp internal-sftp",
            f"SetEnv {told}",
        ]
        (self.folder / "config").write_text("\n".join(lines) + "\n")
        (self.folder / "pid").unlink(missing_ok=True)
        self.process = None
        for _ in range(500):
            if self.process is None or self.process.poll() is not None:
                # A session of the one before may hold the port for a moment.
                self.process = subprocess.Popen(
                    [str(SSHD), "-D", "-e", "-f", str(self.folder / "config")],
                    stderr=(self.folder / "log").open("ab"),
                    start_new_session=True,
                )
            time.sleep(0.02)
            if not (self.folder / "pid").is_file():
                continue
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        """Ends the server and all its sessions, as a cable that is cut; what they started goes on."""
        if self.process and self.process.poll() is None:
            server = psutil.Process(self.process.pid)
            sessions = [each for each in server.children(recursive=True) if each.name().startswith("sshd")]
            for each in [server, *sessions]:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            self.process.wait()

    def logged(self, text: str) -> int:
        """How often the server said this."""
        return (self.folder / "log").read_text().count(text)

    def site(self, folder: Path, secret: str | None = None, **fields: str) -> Site:
        """The place as a person enters it, after its key was learned."""
        told = {
            "host": "127.0.0.1",
            "port": str(self.port),
            "host_key": self.host_key,
            "folder": str(folder / "there"),
            "python": sys.executable,
            **fields,
        }
        return Site("lab", told, self.key if secret is None else secret, folder / "ours")


def make_order(folder: Path, does: str, deadline: float = 600.0, **more: Any) -> Order:
    """A bundle whose run.sh does `does` (lines of sh) and then ends with code 0."""
    folder.mkdir()
    (folder / "out").mkdir()
    (folder / "out" / "old").write_text("what came home before")
    (folder / "train.jsonl").write_text('{"item": 1}\n')
    (folder / "code").mkdir()
    (folder / "code" / "a file.py").write_text("# code\n")
    ending = "echo 0 > out/exit_code.new\nmv out/exit_code.new out/exit_code\n"
    (folder / "run.sh").write_text(f"{does}\n{ending}")
    return Order(f"tb-{secrets.token_hex(8)}", folder, deadline, **more)


def wait_for(holds: Any, seconds: float = 60) -> Any:
    """What `holds` gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
    return found


def carriers(launch_key: str) -> list[int]:
    """Live processes of this machine that carry the key."""
    mark, found = f"LAUNCH_KEY={launch_key}".encode(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if mark in (entry / "environ").read_bytes() and " Z " not in (entry / "stat").read_text():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def replaced(site: Site, **fields: str) -> Site:
    """The same place with other fields."""
    told: Mapping[str, str] = {**site.fields, **fields}
    return Site(site.name, told, site.secret, site.folder)


def own_sshd(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Sshd]:
    """A real sshd on loopback, ended at the end of the loop over it."""
    if SSHD is None:
        pytest.skip(LACKS)
    made = Sshd(folder, environment)
    try:
        yield made
    finally:
        made.stop()
