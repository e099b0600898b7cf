"""The Python environment that a bundle trains in: made once from environment.txt, then entered by every run that has
the same. Standard library only: any Python from 3.10 can start a bundle with it.

ENVIRONMENTS names the folder that holds them; without it the Python that was started is used as it is.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .deadline import NAME as DEADLINE
from .failures import Failure
from .files import read_json, remove_folder
from .reporting import Reporter

PLACE, ENTERED = "ENVIRONMENTS", "ENTERED_ENVIRONMENT"
OLDEST = ("3.10", "3.13")
LAST_LINES = 12


def enter(folder: Path, arguments: list[str], reporter: Reporter) -> None:
    """Goes on as `python -m training ARGUMENTS` in the environment of the bundle; returns where that runs already, or
    where none is asked for. The process keeps its id. Raises Failure when it cannot be made."""
    place = os.environ.get(PLACE)
    if not place or os.environ.get(ENTERED) == str(folder):
        return
    started = time.monotonic()
    python = make(folder, Path(place).expanduser().resolve(), reporter)
    environment = os.environ | {
        ENTERED: str(folder),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    environment.pop("PYTHONHOME", None)
    if environment.get(DEADLINE):
        left = float(environment[DEADLINE]) - (time.monotonic() - started)
        environment[DEADLINE] = f"{max(left, 1.0):g}"
    sys.stdout.flush()
    os.execve(python, [str(python), "-m", "training", *arguments], environment)


def make(folder: Path, place: Path, reporter: Reporter) -> Path:
    """The Python of the environment, made where it is not there yet; of two runs at once the second waits."""
    wanted = place / name_of(folder)
    python = wanted / "bin" / "python"
    place.mkdir(parents=True, exist_ok=True)
    with _alone(place / f"{wanted.name}.lock", reporter):
        if not (wanted / "complete").is_file():
            remove_folder(wanted)
            _install(folder, wanted, python, reporter)
            (wanted / "complete").touch()
    return python


def name_of(folder: Path) -> str:
    """Environments with the same packages and the same Python have the same name."""
    digest = hashlib.sha256()
    for name in ("environment.txt", "environment.json"):
        with (folder / name).open("rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def _install(folder: Path, wanted: Path, python: Path, reporter: Reporter) -> None:
    asked = read_json(folder / "environment.json")
    oldest, newest = asked.get("python") or OLDEST
    reporter.progress("preparing", 0.05, f"making the environment ({asked.get('size') or 'once'})")
    reporter.log(f"makes the environment {wanted.name} from environment.txt")
    uv = shutil.which("uv")
    packages = ["-r", str(folder / "environment.txt")]
    if uv:
        _call([uv, "venv", "--quiet", "--python", f">={oldest},<={newest}.99", str(wanted)], reporter)
        _call([uv, "pip", "install", "--python", str(python), *packages], reporter)
    else:
        _call([find_python(oldest, newest), "-m", "venv", str(wanted)], reporter)
        _call([str(python), "-m", "pip", "install", "--disable-pip-version-check", *packages], reporter)
    for command in asked.get("after") or []:
        _call([part.replace("{python}", str(python)) for part in command], reporter)


def find_python(oldest: str, newest: str) -> str:
    """A Python of this machine from `oldest` to `newest` ("3.10"), the newest first. Raises Failure without one."""
    least, most = int(oldest.partition(".")[2]), int(newest.partition(".")[2])
    for minor in range(most, least - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and _makes_environments(found):
            return found
    if least <= sys.version_info.minor <= most:
        return sys.executable
    raise Failure(
        f"This needs Python {oldest} to {newest}, and there is only {sys.version_info.major}.{sys.version_info.minor}.",
        f"Install Python {newest} (with venv), or the program uv, which fetches it.",
    )


def _makes_environments(python: str) -> bool:
    """Some names only stand for a Python that is not installed, and some Pythons lack venv."""
    asked = [python, "-c", "import ensurepip, venv"]
    try:
        return subprocess.run(asked, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _call(command: list[str], reporter: Reporter) -> None:
    """Runs a command into the log. Raises Failure with its last words."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise Failure(f"{command[0]} cannot be started: {error.strerror}.", "Install it.") from error
    said: list[str] = []
    for line in process.stdout or ():
        said = [*said, line.rstrip()][-LAST_LINES:]
        reporter.log(line.rstrip())
        reporter.progress("preparing", 0.1, f"installing: {line.strip()[:80]}")
    if process.wait() != 0:
        reason = next((line for line in reversed(said) if line.strip()), "no word")
        raise Failure(
            f"The environment could not be made: {reason[:400]}",
            "The log says what was missing; the machine needs a package index (PyPI) to reach, or a Python that has "
            "these packages already.",
        )


@contextmanager
def _alone(lock: Path, reporter: Reporter) -> Iterator[None]:
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            reporter.log("waits for another run that makes the same environment")
            reporter.progress("preparing", 0.05, "another run makes the same environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
