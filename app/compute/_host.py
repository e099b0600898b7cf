"""A machine that holds folders of runs, reached over ssh, or this one: how it is entered and how it is asked. Used by
ssh.py and slurm, with _host_files.py for the folders. The steps are taken there, by _there_steps.py.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.compute._base import Field, Site
from app.compute._ssh import Said, Target, command, fingerprints, learn
from app.errors import Busy, Refused, TunebookError, Unclear

# The files that are run there as one, and how they name each other here.
PARTS = ("_there.py", "_there_runs.py", "_there_steps.py")
APART = re.compile(r"^from app\.compute import _there\w* as (\w+)$", re.MULTILINE)
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*")
JUMP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@:,-]*")
KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+ ")
# Numbers of the system's errors that pass: a disk or a network that does not answer just now.
PASSING = (5, 11, 16, 100, 101, 110, 112, 113, 116)

HOST_FIELDS = (
    Field(
        "host", "Host", "Its name, its address, or a name of ~/.ssh/config of the account that runs Tunebook."
    ),
    Field("user", "User", "Empty: as the configuration says.", required=False),
    Field("port", "Port", "Empty: 22, or as the configuration says.", required=False, kind="int"),
    Field("jump", "Jump host", "user@host:port of a host on the way. The same key opens it.", required=False),
    Field(
        "host_key",
        "The host's key",
        "Empty: learned at the first look, and from then on nothing else is accepted.",
        required=False,
        kind="long",
    ),
)
RUN_FIELDS = (
    Field(
        "folder",
        "Folder there",
        "Runs and base weights lie below it; on a cluster it must be seen by all nodes.",
        default="~/tunebook",
    ),
    Field(
        "python",
        "Python there",
        "3.10 or later, by name or path. Runs make their environments with it, once for each set of packages. "
        "Empty: python3.",
        required=False,
    ),
    Field(
        "trainer_python",
        "Python with the training packages",
        "It is used as it is, and no environment is made.",
        required=False,
    ),
    Field(
        "setup",
        "Before each run",
        "Lines of shell: module load cuda, source ~/venv/bin/activate. A line that fails ends the run.",
        required=False,
        kind="long",
    ),
)
SECRET_LABEL = "Private key"
SECRET_HELP = "The whole private key, without a passphrase. Empty: the agent and ~/.ssh of the account that runs Tunebook."


@dataclass(frozen=True)
class Host:
    """Where a run's folder lies. `target` None: on this machine itself."""

    target: Target | None
    folder: str
    python: str = ""

    @property
    def name(self) -> str:
        """For messages."""
        return self.target.host if self.target else "this machine"


def host_of(site: Site) -> Host:
    """The host as it was entered; without a host's name this machine. Raises Refused for what ssh would read as
    something else."""
    fields = {name: str(value).strip() for name, value in site.fields.items()}
    folder, python = fields.get("folder") or "~/tunebook", fields.get("python", "")
    if not fields.get("host"):
        return Host(None, folder, python)
    for name, pattern in (("host", HOST), ("user", USER), ("jump", JUMP), ("port", re.compile(r"\d{1,5}"))):
        if fields.get(name) and not pattern.fullmatch(fields[name]):
            raise Refused(
                f"{fields[name]!r} cannot be the {name} of an SSH host.", "Write it without blanks."
            )
    lines = [line.strip() for line in fields.get("host_key", "").splitlines() if line.strip()]
    known = "".join(f"* {line}\n" if KEY_TYPE.match(line) else f"{line}\n" for line in lines)
    target = Target(
        host=fields["host"],
        folder=site.folder,
        user=fields.get("user", ""),
        port=int(fields.get("port") or 0),
        jump=fields.get("jump", ""),
        key=site.secret,
        known_hosts=known,
    )
    return Host(target, folder, python)


def program(steps: Sequence[tuple[str, Mapping[str, Any]]], mark: str) -> bytes:
    """What is run there: the files in one, then the steps. Cut off anywhere, it does nothing."""
    here = Path(__file__).parent
    text = "\n\n".join((here / part).read_text(encoding="utf-8") for part in PARTS)
    text = APART.sub(r"\1 = sys.modules[__name__]", text)
    request = json.dumps({"mark": mark, "steps": [[name, dict(values)] for name, values in steps]})
    return f"{text}\nanswer(json.loads({request!r}))\n".encode()


def ask(host: Host, *steps: tuple[str, Mapping[str, Any]], seconds: float = 90.0) -> list[Any]:
    """Takes the steps there, in turn, and gives their answers. Raises Refused where one cannot be taken, Busy where
    nothing was done, Unclear where nobody knows."""
    if host.target and not host.target.known_hosts.strip():
        raise Refused(f"The key of {host.name} is not known yet.", "Check the place once: it learns the key.")
    mark = f"answer-{secrets.token_hex(8)} "
    text = program(steps, mark)
    if host.target:
        return read(host, command(host.target, [host.python or "python3", "-"], text, seconds), mark)
    return read(host, _here(host, text, seconds), mark)


def _here(host: Host, text: bytes, seconds: float) -> Said:
    # Tunebook's own settings hold passwords that no run has a use for.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("TUNEBOOK_", "CELERY_"))
    }
    argv = [os.path.expanduser(host.python) or sys.executable, "-"]
    try:
        done = subprocess.run(
            argv, input=text, env=kept, capture_output=True, timeout=seconds, start_new_session=True
        )
    except OSError as error:
        raise Refused(
            f"{argv[0]} cannot be started: {error.strerror}.", "Name a Python that is there."
        ) from error
    except subprocess.TimeoutExpired:
        raise Unclear(f"This machine did not answer within {seconds:g} seconds.") from None
    return Said(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def read(host: Host, said: Said, mark: str) -> list[Any]:
    """The answers in what the program printed."""
    line = said.out.rpartition(mark.encode())[2].split(b"\n")[0] if mark.encode() in said.out else b""
    last = next((each.strip() for each in reversed(said.err.splitlines()) if each.strip()), "")
    if not line:
        if said.code in (126, 127):
            hint = "Install Python 3.10 or later there, or name the one to use in the field Python."
            raise Refused(f"There is no {host.python or 'python3'} on {host.name}: {last}", hint)
        if "SyntaxError" in said.err:
            raise Refused(
                f"{host.python or 'python3'} on {host.name} is too old.", "Name Python 3.10 or later."
            )
        raise Unclear(f"{host.name} gave no answer: {last or f'code {said.code}'}")
    values = []
    for result in json.loads(line):
        if "error" in result:
            raise _refusal(host, result)
        values.append(result["value"])
    return values


def _refusal(host: Host, result: Mapping[str, Any]) -> TunebookError:
    if result["full"]:
        return Refused(f"The disk of {host.name} is full: {result['error']}", "Make room there.")
    if result["errno"] in PASSING:
        return Busy(f"{host.name} cannot do it just now: {result['error']}")
    return Refused(f"{host.name} cannot do it: {result['error']}", "Mend it there, or name another folder.")


def look(host: Host) -> tuple[dict[str, Any], dict[str, str], str]:
    """(what the machine is, fields that were learned, the sentence about the host's key)."""
    if not host.target:
        return ask(host, ("look", {"root": host.folder}))[0], {}, ""
    mark = f"answer-{secrets.token_hex(8)} "
    text = program([("look", {"root": host.folder})], mark)
    said, known = learn(host.target, [host.python or "python3", "-"], text)
    learned = {} if host.target.known_hosts.strip() else {"host_key": known.strip()}
    prints = f"host key {', '.join(fingerprints(known))}"
    return read(host, said, mark)[0], learned, prints
