"""Recorded answers become a dataset: each row keeps the call that it came from. Used by recorded_routes.py and
recorded_api.py.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from typing import Any

from sqlmodel import Session, col

from app.datasets.service import upload_dataset
from app.door.recorded import AnswerFilter, conditions, plain_messages
from app.errors import Conflict
from app.lab.actor import Actor, owned, require_member
from app.storage import incoming_file, remove
from app.tables import Dataset, DoorCall

AT_ONCE = 500


def dataset_of_answers(
    session: Session, actor: Actor, chosen: AnswerFilter, name: str, rejected: bool = False
) -> Dataset:
    """A dataset of the answers that fit, oldest first, checked and split like any upload. Those marked bad are left out
    unless a person corrected them. With `rejected`, what the model said stands beside a correction as the answer that is
    not wanted. Raises Conflict where nothing is left."""
    require_member(actor, "make a dataset")
    path = incoming_file(secrets.token_hex(16))
    digest, size, rows = hashlib.sha256(), 0, 0
    try:
        with path.open("wb") as file:
            for row in _rows(session, actor, chosen):
                line = json.dumps(_line(row, rejected), ensure_ascii=False).encode() + b"\n"
                digest.update(line)
                size, rows = size + file.write(line), rows + 1
        if not rows:
            raise Conflict(
                "No recorded answer is left for a dataset.",
                "Answers marked bad are left out unless they are corrected. Choose others, or record more.",
            )
        return upload_dataset(
            session,
            actor,
            path,
            file_name="answers.jsonl",
            sha256=digest.hexdigest(),
            size=size,
            name=name.strip() or "Recorded answers",
            origin=_origin(chosen, rows),
        )
    finally:
        remove(path)


def _rows(session: Session, actor: Actor, chosen: AnswerFilter) -> Iterator[DoorCall]:
    last = 0
    query = owned(actor, DoorCall).where(*conditions(chosen))
    query = query.where((col(DoorCall.mark) != "bad") | col(DoorCall.corrected_by).is_not(None))
    while True:
        found = session.exec(
            query.where(col(DoorCall.id) > last).order_by(col(DoorCall.id)).limit(AT_ONCE)
        ).all()
        yield from found
        if len(found) < AT_ONCE:
            return
        last = found[-1].id or 0


def _line(row: DoorCall, rejected: bool) -> dict[str, Any]:
    """OpenAI's chat row, with OpenPipe's key for a rejected answer, and where it came from."""
    request, said = row.request or {}, _message(row.response or {})
    corrected = row.corrected is not None
    made: dict[str, Any] = {
        "messages": [
            *plain_messages(request.get("messages") or []),
            _message(row.corrected) if row.corrected else said,
        ]
    }
    if request.get("tools"):
        made["tools"] = request["tools"]
    if corrected and rejected:
        made["rejected_message"] = said
    source = {
        "call": row.public_id,
        "model": row.model,
        "asked": row.asked_model,
        "at": row.created_at.isoformat(timespec="seconds"),
        "corrected": corrected,
        "mark": row.mark,
        "metadata": row.labels,
    }
    return made | {"source": source}


def _message(kept: dict[str, Any]) -> dict[str, Any]:
    """An answer as training data has it, without what only the API tells of it."""
    made = {"role": "assistant", "content": kept.get("content") or ""}
    return made | ({"tool_calls": kept["tool_calls"]} if kept.get("tool_calls") else {})


def _origin(chosen: AnswerFilter, rows: int) -> str:
    asked = {"model": chosen.model, "shown": chosen.show, "metadata": chosen.label, "text": chosen.search}
    words = "; ".join(f"{name} `{value.replace('`', ' ')}`" for name, value in asked.items() if value)
    return f"Made of {rows:,} answers recorded at the door{f' ({words})' if words else ''}. Each row names its call in `source`."
