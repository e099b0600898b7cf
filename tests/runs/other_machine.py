"""Another machine for bundles, as far as one machine can be two: a root of its own that has this system's programs and
nothing of ours, another user with another home, another Python, and no network unless asked for. Linux as root alone."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SYSTEM = ("bin", "lib", "lib64", "sbin", "usr", "etc", "opt")
# The Python of the system, not the one that runs the tests.
SEARCH = "/usr/local/bin:/usr/bin:/bin"
READER = 65534
NEEDED = ("unshare", "chroot", "mount")
PIP = ("PIP_", "SSL_", "REQUESTS_", "HTTPS_PROXY", "HTTP_PROXY")
ENTER = """
set -e
root="$1"; shift
for name in SYSTEM; do
  if [ -L "/$name" ]; then cp -P "/$name" "$root/" 2>/dev/null || true
  elif [ -d "/$name" ]; then
    mkdir -p "$root/$name"; mount --bind "/$name" "$root/$name"; mount -o remount,bind,ro "$root/$name"
  fi
done
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot --userspec=READER:READER "$root" "$@"
""".replace("SYSTEM", " ".join(SYSTEM)).replace("READER", str(READER))


def lacks() -> str:
    """Why there can be none here; "" where there can."""
    if os.name != "posix" or os.getuid() != 0 or not all(map(shutil.which, NEEDED)):
        return "another root needs Linux, root, unshare, chroot and mount"
    tried = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True)
    if tried.returncode != 0:
        return "this system lets nobody make a root of its own"
    python = shutil.which("python3", path=SEARCH)
    version = python and subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True)
    return "" if version and version.returncode == 0 else "the system has no Python that makes environments"


class OtherMachine:
    """Its files lie in `root` as long as it is; what is mounted there is gone with each command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("dev", "proc", "tmp", "home/reader", "srv"):
            (root / name).mkdir(parents=True)
        os.chown(root / "home" / "reader", READER, READER)

    def bring(self, source: Path, name: str) -> None:
        """Copies a folder to /srv/NAME, where it belongs to the reader."""
        shutil.copytree(source, self.root / "srv" / name)
        for path in (self.root / "srv" / name, *(self.root / "srv" / name).rglob("*")):
            os.chown(path, READER, READER)

    def sh(self, line: str, variables: Mapping[str, str], network: bool = False) -> str:
        """What a line of shell prints there, both streams; fails the test where it fails."""
        told = {name: value for name, value in os.environ.items() if network and name.startswith(PIP)}
        given = {"HOME": "/home/reader", "PATH": SEARCH, "LANG": "C.UTF-8", **told, **variables}
        pairs = [f"{name}={value}" for name, value in given.items()]
        apart = ["unshare", "--mount", "--pid", "--fork", *([] if network else ["--net"])]
        argv = [*apart, "sh", "-c", ENTER, "sh", str(self.root), "env", "-i", *pairs, "sh", "-ec", line]
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout
