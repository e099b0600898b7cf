"""Places for training other than this machine: entered, looked at, removed. Called by the compute page, the API,
launches and workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil
from typing import cast

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.clock import in_seconds, now
from app.compute._base import Checked, Compute, Site
from app.config import settings
from app.errors import Conflict, Invalid, NotFound
from app.format import plural
from app.lab.actor import Actor, find, owned, require_admin
from app.queue import CHECK_MACHINE, enqueue
from app.registry import load_kinds
from app.tables import ACTIVE, JobState, Machine, MachineJob, MachineState, Run
from app.vault import seal, unseal

LOCAL, BY_HAND, HAND = "local", "by-hand", "by hand"
LONGEST_FIELD, LONGEST_SECRET = 4000, 12_000
MOST_SLOTS, MOST_HOURS = 500, 24 * 30
# A place that answers is looked at again after this, one that does not after less.
CHECK_SECONDS, RETRY_SECONDS = 1800.0, 300.0


@dataclass(frozen=True)
class NewMachine:
    """What a person enters. `secret` None keeps the one that is stored."""

    name: str
    kind: str
    fields: Mapping[str, str] = field(default_factory=dict)
    secret: str | None = field(default=None, repr=False)
    slots: int = 1
    deadline_hours: float = 24.0
    allow_private: bool = False


@dataclass(frozen=True)
class Spot:
    """A machine as a launch sees it. `hourly_microdollars` None: not known; `lacking`: why nothing can be launched there
    now, "" when it can."""

    id: int
    name: str
    kind: str
    label: str
    paid: bool
    hourly_microdollars: int | None
    deadline_hours: float
    gpus: int
    # Of its largest GPU, else of the machine; None: not known.
    memory_bytes: int | None = None
    lacking: str = ""

    @property
    def most_microdollars(self) -> int | None:
        """What one run there costs at most: its price until the deadline."""
        if not self.paid:
            return 0
        price = self.hourly_microdollars
        return None if price is None else ceil(price * self.deadline_hours)


@lru_cache
def computes() -> dict[str, Compute]:
    """Every kind of place by name, but this machine."""
    return cast(dict[str, Compute], load_kinds("app.compute", "COMPUTE", without=("local",)))


def compute_of(machine: Machine) -> Compute:
    """Its kind. Raises NotFound when this Tunebook no longer has it."""
    kind = computes().get(machine.kind)
    if kind is None:
        raise NotFound(
            f"There is no compute {machine.kind!r} in this Tunebook.", "Start the version that made it."
        )
    return kind


def site_of(machine: Machine) -> Site:
    """What its compute needs to reach it."""
    folder = settings().folder / "machines" / str(machine.id)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    texts = {name: str(value) for name, value in machine.fields.items()}
    return Site(machine.name, texts, unseal(machine.sealed_secret), folder, machine.allow_private)


def machines(session: Session, actor: Actor) -> list[Machine]:
    """Those of the project, by name."""
    query = owned(actor, Machine).where(Machine.state != MachineState.REMOVED)
    return list(session.exec(query.order_by(col(Machine.name))))


def spots(session: Session, actor: Actor) -> dict[str, Spot]:
    """The project's machines by name, as launches see them; by hand is always there (id 0 before its first use)."""
    found = {machine.name: spot_of(machine) for machine in machines(session, actor)}
    hand = Spot(0, HAND, BY_HAND, computes()[BY_HAND].label, False, 0, float(MOST_HOURS), 0)
    return {HAND: hand, **found}


def spot_of(machine: Machine) -> Spot:
    """One machine as a launch sees it."""
    kind = compute_of(machine)
    found = machine.facts.get("hourly_microdollars")
    failed = machine.state == MachineState.FAILED
    lacking = f"cannot be used: {machine.note}" if failed else ""
    gpus = machine.facts.get("gpus") or []
    memory = [gpu["memory_bytes"] for gpu in gpus if gpu.get("memory_bytes")]
    return Spot(
        machine.id or 0,
        machine.name,
        machine.kind,
        kind.label,
        kind.paid,
        int(found) if found is not None else None,
        machine.deadline_hours,
        len(gpus),
        max(memory, default=None) if gpus else machine.facts.get("memory_bytes"),
        lacking or ("is being looked at" if machine.checked_at is None and kind.fields else ""),
    )


def machine_named(session: Session, actor: Actor, name: str) -> Machine:
    """The machine of that name. Raises Invalid that says which there are."""
    found = {machine.name: machine for machine in machines(session, actor)}
    if name not in found:
        raise Invalid(
            f"There is no compute {name[:60]!r}.",
            f"There are: {', '.join(['this machine', *found])}. Add others under Settings, Compute.",
            {"compute": f"unknown compute {name[:60]!r}"},
        )
    return found[name]


def add_machine(session: Session, actor: Actor, new: NewMachine) -> Machine:
    """Stores it and asks for a look at it. Raises Invalid with a message per field."""
    require_admin(actor, "add compute")
    _check(session, actor, new, None)
    row = Machine(project_id=actor.project_id, maker_id=actor.member_id, name=new.name.strip(), kind=new.kind)
    return _write(session, row, new)


def change_machine(session: Session, actor: Actor, machine_id: int, new: NewMachine) -> Machine:
    """The same for one that is there; its kind and its name stay. Raises Conflict where runs there would be lost."""
    require_admin(actor, "change compute")
    row: Machine = find(session, actor, Machine, machine_id)
    _check(session, actor, new, row)
    if any(row.fields.get(name, "") != text.strip() for name, text in new.fields.items()):
        _refuse_while_used(session, row)
    return _write(session, row, new)


def _write(session: Session, row: Machine, new: NewMachine) -> Machine:
    known = {one.name: one for one in computes()[new.kind].fields}
    given = {name: value.strip() for name, value in new.fields.items() if name in known and value.strip()}
    # What an earlier look learned (a host's key) is kept until a person clears or replaces it.
    learned = {name: row.fields[name] for name in row.facts.get("learned") or () if name in row.fields}
    row.fields = {**{name: text for name, text in learned.items() if name not in new.fields}, **given}
    if new.secret is not None:
        row.sealed_secret = seal(new.secret)
    row.slots, row.deadline_hours, row.allow_private = new.slots, new.deadline_hours, new.allow_private
    return ask_check(session, row)


def ask_check(session: Session, row: Machine) -> Machine:
    """Has a worker look at it."""
    row.state, row.due_at = MachineState.CHECKING, None
    session.add(row)
    session.flush()
    enqueue(session, CHECK_MACHINE, row.id or 0)
    return row


def _check(session: Session, actor: Actor, new: NewMachine, row: Machine | None) -> None:
    kind, wrong = computes().get(new.kind), {}
    if kind is None:
        raise Invalid(
            f"There is no compute {new.kind[:40]!r}.",
            f"Choose one of {', '.join(computes())}.",
            {"kind": "unknown"},
        )
    name = new.name.strip()
    taken = {one.name: one.id for one in session.exec(owned(actor, Machine))}
    if not name or len(name) > 60 or not name.isprintable() or name in (LOCAL, HAND):
        wrong["name"] = "Give it a name of at most 60 characters."
    elif name in taken and (row is None or taken[name] != row.id):
        wrong["name"] = f"{name!r} is taken, also by one that was removed."
    for one in kind.fields:
        value = new.fields.get(one.name, "").strip()
        if one.required and not value and not one.default:
            wrong[one.name] = f"{one.label} is needed."
        elif len(value) > LONGEST_FIELD or "\0" in value or (one.kind != "long" and not value.isprintable()):
            wrong[one.name] = f"{one.label}: use at most {LONGEST_FIELD:,} plain characters."
        elif one.choices and value and value not in one.choices:
            wrong[one.name] = f"{one.label}: choose one of {', '.join(one.choices)}."
        elif one.kind == "int" and value and not value.isdecimal():
            wrong[one.name] = f"{one.label}: write a whole number."
    stored = row is not None and bool(row.sealed_secret)
    if kind.secret_required and not new.secret and not (stored and new.secret is None):
        wrong["secret"] = f"{kind.secret_label} is needed."
    elif new.secret and len(new.secret) > LONGEST_SECRET:
        wrong["secret"] = f"{kind.secret_label} has at most {LONGEST_SECRET:,} characters."
    if not 1 <= new.slots <= MOST_SLOTS:
        wrong["slots"] = f"Write 1 to {MOST_SLOTS} runs at the same time."
    if not 0 < new.deadline_hours <= MOST_HOURS:
        wrong["deadline_hours"] = f"Write hours, more than 0 and at most {MOST_HOURS}."
    if wrong:
        raise Invalid(
            "The compute is not stored: " + " ".join(wrong.values()), "See the marked fields.", wrong
        )


def remove_machine(session: Session, actor: Actor, machine_id: int) -> None:
    """Forgets its key. Raises Conflict while runs are there, or something of theirs."""
    require_admin(actor, "remove compute")
    row: Machine = find(session, actor, Machine, machine_id)
    _refuse_while_used(session, row)
    row.sealed_secret, row.state, row.due_at = "", MachineState.REMOVED, None
    session.add(row)
    session.flush()


def _refuse_while_used(session: Session, row: Machine) -> None:
    count = select(func.count())
    busy = session.exec(
        count.select_from(Run).where(Run.machine_id == row.id, col(Run.state).in_(ACTIVE))
    ).one()
    leaving = session.exec(
        count.select_from(MachineJob).where(
            MachineJob.machine_id == row.id, MachineJob.state == JobState.LEAVING
        )
    ).one()
    if busy or leaving:
        what = f"{plural(busy, 'run')} under way" if busy else f"{plural(leaving, 'job')} to be cleared up"
        raise Conflict(f"{row.name} has {what}.", "Cancel what runs, or wait until it is over.")


def stop_orphan(session: Session, actor: Actor, machine_id: int, launch_key: str) -> Machine:
    """Has a worker end and clear a job there that belongs to no run."""
    require_admin(actor, "stop jobs")
    row: Machine = find(session, actor, Machine, machine_id)
    if launch_key not in {each["launch_key"] for each in row.orphans}:
        raise NotFound(f"{row.name} has no such job.", "Look at the page again.")
    row.stopping = list(dict.fromkeys([*row.stopping, launch_key]))
    return ask_check(session, row)


def by_hand(session: Session, actor: Actor) -> Machine:
    """The place that is a person: made on first use."""
    found: Machine | None = session.exec(owned(actor, Machine).where(Machine.kind == BY_HAND)).first()
    if found is None:
        found = Machine(
            project_id=actor.project_id,
            maker_id=actor.member_id,
            name=HAND,
            kind=BY_HAND,
            slots=MOST_SLOTS,
            deadline_hours=float(MOST_HOURS),
            state=MachineState.READY,
            note="You run the bundle wherever you like and upload what came of it.",
        )
        session.add(found)
        session.flush()
    return found


def keep_check(row: Machine, found: Checked | None, trouble: str) -> None:
    """Writes what a look found, or why there was none."""
    row.checked_at = now()
    if found is None:
        row.state, row.note, row.due_at = MachineState.FAILED, trouble[:2000], in_seconds(RETRY_SECONDS)
        return
    learned = dict.fromkeys((*(row.facts.get("learned") or ()), *found.learned))
    row.state, row.note, row.facts = (
        MachineState.READY,
        found.note[:2000],
        {**found.facts, "learned": list(learned)},
    )
    row.fields, row.due_at = {**row.fields, **found.learned}, in_seconds(CHECK_SECONDS)
