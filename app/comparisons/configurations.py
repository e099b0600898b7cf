"""What the compared runs were made with, side by side: hyperparameters, split, code, hardware. For the page and API."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlmodel import Session, col, select

from app.evaluations.leaderboard import LeaderboardRow
from app.format import DASH, count, size
from app.runs.ledger import show as ledger_rows
from app.runs.queries import labels_of
from app.tables import Run

TOLD = "Told by the trainer"


@dataclass(frozen=True)
class Setting:
    """One line: what, and its value in each run."""

    part: str
    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the runs disagree here."""
        return len(set(self.values)) > 1

    @property
    def alone(self) -> bool:
        """Whether one trainer of several runs tells it of itself, asked by nobody: nothing to compare it with."""
        known = sum(value != DASH for value in self.values)
        return self.part == TOLD and known == 1 and len(self.values) > 1


@dataclass(frozen=True)
class Configurations:
    """Side by side; `same` counts the lines that all runs share, `alone` those that one trainer tells of itself, which
    are shown with all settings only."""

    rows: list[LeaderboardRow]
    settings: list[Setting]
    same: int
    alone: int

    @property
    def parts(self) -> list[tuple[str, list[Setting]]]:
        """The settings by part."""
        return [(part, list(found)) for part, found in groupby(self.settings, lambda one: one.part)]


def configurations(session: Session, rows: Sequence[LeaderboardRow], show: str) -> Configurations:
    """The settings of the runs, in one query; `show` "differences" leaves out what all share."""
    found = session.exec(select(Run).where(col(Run.id).in_([row.run_id for row in rows])))
    runs = {run.id: run for run in found}
    made = [_of_run(runs[row.run_id]) for row in rows]
    names = list(dict.fromkeys(name for one in made for name in one))
    # By part first, in the order in which the parts come up.
    parts = list(dict.fromkeys(part for part, _ in names))
    names.sort(key=lambda name: parts.index(name[0]))
    settings = [
        Setting(part, name, tuple(one.get((part, name), DASH) for one in made)) for part, name in names
    ]
    alone = [setting for setting in settings if setting.alone]
    differing = [setting for setting in settings if setting.differs and not setting.alone]
    shown = settings if show == "all" else differing
    return Configurations(list(rows), shown, len(settings) - len(differing) - len(alone), len(alone))


def _of_run(run: Run) -> dict[tuple[str, str], str]:
    stored: dict[str, Any] = run.snapshot
    environment = stored.get("environment") or {}
    hardware, usage = environment.get("hardware") or {}, stored.get("usage") or {}
    counts = stored.get("counts") or {}
    found = {
        ("Model", "Name"): run.model,
        ("Model", "Parameters"): _count(stored.get("parameters")),
        ("Model", "Trained parameters"): _count(stored.get("trained_parameters")),
        ("Model", "Seed"): DASH if run.seed is None else str(run.seed),
    }
    found |= {
        (TOLD if line.asked == line.sent == DASH else "Hyperparameters", line.label): line.resolved
        for line in ledger_rows(run.ledger, labels_of(run), True)
    }
    found |= {
        ("Data", "Split"): str(stored.get("split", DASH)),
        ("Data", "Split SHA-256"): str(stored.get("split_sha256", DASH))[:16],
        ("Data", "Train items"): _count(counts.get("train")),
        ("Data", "Validation items"): _count(counts.get("validation")),
        ("Code", "Tunebook"): str(stored.get("code", DASH)),
        ("Code", "Python"): str(environment.get("python", DASH)),
        ("Hardware", "Processor"): str(hardware.get("cpu", DASH)),
        ("Hardware", "Cores"): str(hardware.get("cores", DASH)),
        ("Hardware", "Memory"): size(hardware.get("memory_bytes")),
        ("Hardware", "GPU"): str(hardware.get("gpu") or "none") if hardware else DASH,
        ("Hardware", "Threads"): str(environment.get("threads", DASH)),
        ("Use", "Tokens trained"): _count(usage.get("tokens_trained")),
    }
    return found | {
        ("Packages", name): str(version) for name, version in (environment.get("packages") or {}).items()
    }


def _count(value: Any) -> str:
    return count(value) if isinstance(value, int) else DASH
