"""Folders to and from a host over ssh: by rsync where both sides have it, else as a tar stream. Used by _host.py."""

import os
import re
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from app.compute._ssh import LOST, Target, failure, open_call, ssh_argv
from app.errors import Busy, Refused, TunebookError, Unclear

STALL_SECONDS = 60
FULL = re.compile(r"No space left on device|Disk quota exceeded|write failed .* \(28\)")


def send(target: Target, source: Path, to: str, leave_out: Sequence[str], rsync: bool) -> None:
    """Copies what is in `source` into the folder `to` there, following links. `leave_out`: names, or paths from the
    top where they begin with a slash. Safe to repeat. Raises Busy when the connection breaks, Refused when the disk
    is full."""
    with open_call(target) as folder:
        if rsync and shutil.which("rsync"):
            # -L: weights of the Hub's cache are links.
            ends = ["-L", f"{source.resolve()}/", f"{_name(target)}:{to}/"]
            _rsync(target, folder, leave_out, ends)
        else:
            _pack(target, folder, source, to, leave_out)


def bring(target: Target, source: str, to: Path, leave_out: Sequence[str], rsync: bool) -> None:
    """Copies what is in the folder `source` there into `to`: files and folders, no links. Safe to repeat; raises like
    `send`, and Refused too where something cannot be read."""
    to.mkdir(parents=True, exist_ok=True)
    with open_call(target) as folder:
        if rsync and shutil.which("rsync"):
            _rsync(target, folder, leave_out, [f"{_name(target)}:{source}/", f"{to.resolve()}/"])
        else:
            _unpack(target, folder, source, to, leave_out)


def left_out(path: PurePosixPath, leave_out: Sequence[str]) -> bool:
    """Whether a path is meant by these patterns, as rsync reads them."""
    tops = [path, *path.parents]
    return any(
        any(str(top) == pattern[1:] for top in tops)
        if pattern.startswith("/")
        else any(fnmatch(part, pattern) for part in path.parts)
        for pattern in leave_out
    )


def copy_here(source: Path, to: Path, leave_out: Sequence[str]) -> None:
    """The same between two folders of this machine."""

    def ignore(folder: str, names: list[str]) -> list[str]:
        inner = Path(folder).relative_to(source)
        return [name for name in names if left_out(PurePosixPath(inner / name), leave_out)]

    shutil.copytree(source, to, ignore=ignore, dirs_exist_ok=True)


def _name(target: Target) -> str:
    return f"[{target.host}]" if ":" in target.host else target.host


def _rsync(target: Target, folder: Path, leave_out: Sequence[str], ends: list[str]) -> None:
    argv = ["rsync", "-rt", "--partial", "--protect-args", f"--timeout={STALL_SECONDS}"]
    argv += ["-e", shlex.join(ssh_argv(target, shared=True)), *(f"--exclude={each}" for each in leave_out)]
    done = subprocess.run(
        [*argv, *ends],
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _check(target, done.returncode, done.stderr.decode("utf-8", "replace"))


def _check(target: Target, code: int, err: str) -> None:
    """Copying starts nothing, so that a lost connection is no more than a reason to try again."""
    if code == 0:
        return
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    last = lines[0] if lines else f"code {code}"
    if FULL.search(err):
        raise Refused(
            f"The disk of {target.host} is full: {last}", "Make room there, or name another folder."
        )
    # rsync's 23 is a file that could not be read or written, 127 a program that is not there.
    if code in (2, 23, 126, 127) and not re.search(r"timed out|connection unexpectedly closed", err):
        raise Refused(f"Files cannot be copied to or from {target.host}: {last}", "Mend it on the host.")
    error: TunebookError = failure(target, err)
    if isinstance(error, Unclear):
        error = Busy(error.message, error.hint)
    raise error


@contextmanager
def _stream(target: Target, folder: Path, argv: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A command there with its input and output open; checked at the end."""
    with (folder / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            [*ssh_argv(target, shared=True), target.host, shlex.join(argv)],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield process
        except (BrokenPipeError, tarfile.TarError, EOFError):
            # Its own words, below, say more.
            process.kill()
            cut = True
        else:
            cut = False
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe and not pipe.closed:
                    _close(pipe)
            process.wait()
        errors.seek(0)
        err = errors.read().decode("utf-8", "replace")
        _check(target, process.returncode or (LOST if cut else 0), err)


def _close(pipe: object) -> None:
    try:
        pipe.close()  # type: ignore[attr-defined]
    except BrokenPipeError:
        return


def _pack(target: Target, folder: Path, source: Path, to: str, leave_out: Sequence[str]) -> None:
    def kept(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path = PurePosixPath(info.name)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        known = info.isdir() or info.isreg()
        return info if known and not left_out(path, leave_out) else None

    argv = ["tar", "-x", "-o", "-f", "-", "-C", to]
    with (
        _stream(target, folder, argv) as process,
        tarfile.open(fileobj=process.stdin, mode="w|", dereference=True) as archive,
    ):
        archive.add(source, arcname=".", filter=kept)


def _unpack(target: Target, folder: Path, source: str, to: Path, leave_out: Sequence[str]) -> None:
    argv = ["tar", "-c", "-f", "-", "-C", source, *(f"--exclude=.{each}" for each in leave_out), "."]
    with _stream(target, folder, argv) as process, tarfile.open(fileobj=process.stdout, mode="r|") as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise Refused(f"{target.host} sends a file named {member.name!r}, which is not taken.")
            _write(archive, member, to.joinpath(*path.parts))


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    if member.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    file = archive.extractfile(member) if member.isreg() else None
    if file is None:
        return
    part = path.with_name(path.name + ".part")
    with part.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
    os.utime(part, (member.mtime, member.mtime))
    part.replace(path)
