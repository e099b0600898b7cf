"""Old names of models and what answers to them now. Called by the JSON API and by the page of old names."""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from app.door.entry import forget_targets
from app.door.targets import LONGEST_NAME, RUN, find_target
from app.errors import Conflict, Invalid, ModelNotFound, Unavailable
from app.lab.actor import Actor, find, owned, require_member
from app.lab.audit import record
from app.tables import Member, ModelAlias

MOST = 1000
LONGEST_NOTE = 500


@dataclass(frozen=True)
class AliasLine:
    """One old name. `trouble`: why nothing answers to it now, "" when something does."""

    id: int
    name: str
    model: str
    note: str
    maker: str
    created_at: datetime
    trouble: str = ""


def list_aliases(session: Session, actor: Actor) -> list[AliasLine]:
    """The project's old names by name, each with what is wrong with it now."""
    rows = session.exec(
        select(ModelAlias, Member.name)
        .join(Member, col(Member.id) == ModelAlias.maker_id)
        .where(ModelAlias.project_id == actor.project_id)
        .order_by(col(ModelAlias.name))
        .limit(MOST)
    ).all()
    return [
        AliasLine(
            row.id or 0, row.name, row.model, row.note, maker, row.created_at, _trouble(session, actor, row)
        )
        for row, maker in rows
    ]


def _trouble(session: Session, actor: Actor, row: ModelAlias) -> str:
    try:
        find_target(session, actor, row.model)
    except (ModelNotFound, Unavailable) as error:
        return error.message
    return ""


def set_alias(session: Session, actor: Actor, name: str, model: str, note: str = "") -> ModelAlias:
    """From now on `model` answers to `name`, whatever did before. Raises Invalid with a message per field."""
    require_member(actor, "map names of models")
    name, model, note = name.strip(), model.strip(), note.strip()
    wrong = _wrong(session, actor, name, model, note)
    if wrong:
        raise Invalid("The name is not mapped: " + " ".join(wrong.values()), "", wrong)
    row = session.exec(owned(actor, ModelAlias).where(ModelAlias.name == name)).first()
    if row is None:
        if len(session.exec(owned(actor, ModelAlias).limit(MOST)).all()) >= MOST:
            raise Conflict(f"The project has {MOST:,} old names.", "Remove one that no script uses.")
        row = ModelAlias(project_id=actor.project_id, maker_id=actor.member_id, name=name, model=model)
    row.model, row.note = model, note
    session.add(row)
    session.flush()
    record(session, actor, "changed", "old name: mapped", row.id, name=name, model=model)
    forget_targets()
    return row


def _wrong(session: Session, actor: Actor, name: str, model: str, note: str) -> dict[str, str]:
    wrong = {}
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        wrong["name"] = f"Write the name that scripts use, 1 to {LONGEST_NAME} characters."
    elif RUN.fullmatch(name):
        wrong["name"] = "This is the name of a run itself, which never answers for another."
    if name == model:
        wrong["model"] = "A name cannot stand for itself."
    if len(note) > LONGEST_NOTE or not note.replace("\n", "").replace("\r", "").isprintable():
        wrong["note"] = f"Use at most {LONGEST_NOTE} characters that can be printed."
    if not wrong:
        try:
            target = find_target(session, actor, model)
            if target.asked != target.model and target.model != model and not RUN.fullmatch(model):
                wrong["model"] = f"This is an old name itself; write {target.model}."
        except ModelNotFound as error:
            wrong["model"] = error.message
        except Unavailable:
            pass  # It may answer later: a run that still trains, a service whose key is to be entered.
    return wrong


def remove_alias(session: Session, actor: Actor, alias_id: int) -> None:
    """Nothing answers to the name any more, unless a model has it. Raises NotFound."""
    require_member(actor, "map names of models")
    row: ModelAlias = find(session, actor, ModelAlias, alias_id)
    session.delete(row)
    session.flush()
    record(session, actor, "changed", "old name: removed", alias_id, name=row.name, model=row.model)
    forget_targets()
