"""The contract of compute: a place where a bundle runs, and everything that Tunebook does there.

Each file (or folder) of this package gives one object named COMPUTE, but local.py, which is this machine and has a
queue of its own. All of it is plain data and functions; the rows, the budget and the decisions are in app/runs/away*.py,
which call these with a Site. No function repeats a call by itself.

What runs there is always the same: the bundle's folder, and in it `sh run.sh --here`, with LAUNCH_KEY and
DEADLINE_SECONDS in the environment. It writes everything to the bundle's out/: process.json, progress.json,
metrics.jsonl, log.txt while it runs; predictions.jsonl, adapter/, and exit_code last of all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

# What a run writes as it goes: `pull` brings these home, so that the run page shows them like a run of this machine.
LIVE = ("progress.json", "metrics.jsonl", "log.txt")
# What stays on the other machine: it serves the process that made it alone.
STAYS = ("checkpoints", "work", "lock", "process.json")


class Phase(StrEnum):
    """How a job stands, in our words; the place's own word is kept beside."""

    WAITING = "waiting"  # accepted; the place has not started it yet
    RUNNING = "running"
    ENDED = "ended"  # the process is over, out/exit_code says how
    GONE = "gone"  # killed, timed out, preempted or lost: no exit code will come


@dataclass(frozen=True)
class Field:
    """One thing that a person enters for such a place. `kind`: text, int, choice or long (several lines)."""

    name: str
    label: str
    help: str = ""
    required: bool = True
    kind: str = "text"
    default: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """One place as a lab member entered it. `fields` by the names of the compute's fields, all texts; `secret` is the
    key, token or private key, "" for none; `folder` a folder of ours that lasts, for known hosts and sockets."""

    name: str
    fields: Mapping[str, str]
    secret: str
    folder: Path
    # Lets HTTP calls go to private and loopback addresses.
    allow_private: bool = False


@dataclass(frozen=True)
class Order:
    """One run to start. `folder` is the bundle here, written whole. `base`: a folder of base weights that must lie in
    the bundle there under its own name; None where the weights come from the Hub."""

    launch_key: str
    folder: Path
    deadline_seconds: float
    base: Path | None = None
    # GPUs that the run asks for; 0: as the place gives.
    gpus: int = 0
    # For the names of things at the place: "run 12, axolotl/Qwen3-0.6B".
    label: str = ""
    # Sent along as HF_TOKEN where the run fetches weights from the Hub.
    hub_token: str = ""


@dataclass(frozen=True)
class Status:
    """How a job stands. `state`: the place's own word. `microdollars`: spent so far as the place tells, None where it
    does not."""

    phase: Phase
    state: str = ""
    note: str = ""
    microdollars: int | None = None


@dataclass(frozen=True)
class Found:
    """A job at the place that carries a launch key of ours. `handle` is what submit would have given."""

    launch_key: str
    handle: Mapping[str, Any]
    status: Status
    created_at: float = 0.0


@dataclass(frozen=True)
class Checked:
    """What a look at the place found. `note` is a sentence for the person who entered it ("2 × NVIDIA A100, Python 3.12,
    412 GB free"); `facts`: gpus [{name, memory_bytes}], python, free_bytes, hourly_microdollars, balance_microdollars,
    prices [{name, hourly_microdollars}], each where it is known; `learned`: fields that the look itself found and
    that are kept, such as a host's key."""

    note: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    learned: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Compute:
    """One kind of place. Errors are those of app.errors: KeyRefused, OutOfCredit, Refused (a clear no: nothing runs),
    Gone, Busy (ask again), Unclear (nobody knows; a submit may have started something), Unavailable (an optional
    package or program is missing here; says what to install).

    - check(site): a look that costs nothing. Raises when the place cannot be used, saying what to mend.
    - submit(site, order) -> handle (JSON, small): starts the run once. Called after `find` found nothing.
    - find(site, launch_key): every job that carries the key, the oldest first, ended ones too while the place knows.
    - status(site, handle).
    - pull(site, handle, folder): brings what LIVE names into folder/out as far as it has grown; may be called every
      few seconds, so it sends only what is new where it can. A file may be behind, never torn within a line.
    - fetch(site, handle, folder): brings all of out/ (but STAYS) home. Whole or an error; safe to repeat.
    - cancel(site, handle): ends the process and all its children there; no error when it is over already.
    - release(site, handle): removes what the run left there (folder, machine, volume); afterwards it costs nothing.
      Safe to repeat. Called once results are home, after a cancel, and for orphans.
    - jobs(site): everything there that carries any launch key of ours, for the list of orphans.
    """

    name: str
    label: str
    description: str
    fields: tuple[Field, ...]
    secret_label: str = ""
    secret_help: str = ""
    secret_required: bool = False
    help_url: str = ""
    # Whether it costs money; then each run reserves deadline × hourly price.
    paid: bool = False
    # Whether a second submit is safe when `find` sees nothing: its list is immediate, or names are unique there.
    repeatable: bool = False
    # How the deadline is kept where Tunebook itself is dead, for the page and the docs.
    deadline_kept_by: str
    # What was never tried against the real thing, as a sentence for the page.
    unverified: str = ""
    # How often `status` and `pull` are asked.
    poll_seconds: float = 5.0
    check: Callable[[Site], Checked]
    submit: Callable[[Site, Order], dict[str, Any]]
    find: Callable[[Site, str], Sequence[Found]]
    status: Callable[[Site, Mapping[str, Any]], Status]
    pull: Callable[[Site, Mapping[str, Any], Path], None]
    fetch: Callable[[Site, Mapping[str, Any], Path], None]
    cancel: Callable[[Site, Mapping[str, Any]], None]
    release: Callable[[Site, Mapping[str, Any]], None]
    jobs: Callable[[Site], Sequence[Found]]
