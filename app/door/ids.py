"""The ids that OpenAI's clients see, the rows behind them, and pages of lists. Used by files, tuning jobs and batches."""

import json
import secrets
import string
from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlmodel import Session, col

from app.errors import Invalid, NotFound
from app.lab.actor import Actor, owned

LETTERS = string.ascii_letters + string.digits
MOST_LABELS, LONGEST_NAME, LONGEST_VALUE = 16, 64, 512


def new_id(prefix: str) -> str:
    """A new public id: `file-`, `ftjob-` or `batch_` and 24 letters and digits."""
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(24))


def find_public(session: Session, actor: Actor, table: type[Any], public_id: str, what: str) -> Any:
    """The row with this public id in the actor's project; NotFound does not tell whether it exists elsewhere."""
    query = owned(actor, table).where(table.public_id == public_id)
    # No id has other letters, and not every database takes them.
    row = session.exec(query).first() if public_id.isprintable() else None
    if row is None:
        raise NotFound(f"There is no {what} {public_id[:60]!r} in this project.", "List them to see the ids.")
    return row


def unix(moment: datetime | None) -> int | None:
    """Seconds since 1970, as OpenAI writes times."""
    return None if moment is None else int(moment.timestamp())


def rows_after(
    session: Session, actor: Actor, table: type[Any], after: str | None, what: str, oldest_first: bool = False
) -> Iterable[Any]:
    """The project's rows, newest first, behind the one with the public id `after`; read as they are asked for."""
    query = owned(actor, table)
    if after:
        place = find_public(session, actor, table, after, what).id
        query = query.where(table.id > place if oldest_first else table.id < place)
    ordered = query.order_by(col(table.id) if oldest_first else col(table.id).desc())
    return session.exec(ordered.execution_options(yield_per=200))


def page(rows: Iterable[Any], limit: int, show: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """The first `limit` rows as OpenAI's list, with whether there are more."""
    found: list[Any] = []
    for row in rows:
        if len(found) == limit:
            return listed([show(each) for each in found], True)
        found.append(row)
    return listed([show(each) for each in found], False)


def listed(data: list[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """OpenAI's list; its description wants texts as the ids of an empty one, too."""
    first, last = (data[0]["id"], data[-1]["id"]) if data else ("", "")
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": has_more}


def asked_key(header: str | None) -> str | None:
    """What is kept of a caller's Idempotency-Key; None where none was sent."""
    return sha256(header.encode("utf-8", "surrogatepass")).hexdigest() if header else None


def check_labels(labels: dict[str, str] | None) -> dict[str, str]:
    """The caller's `metadata`. Raises Invalid for more or longer ones than OpenAI takes."""
    found = labels or {}
    too_long = [key for key, value in found.items() if len(key) > LONGEST_NAME or len(value) > LONGEST_VALUE]
    if len(found) > MOST_LABELS or too_long:
        raise Invalid(
            "The metadata cannot be kept as it is.",
            f"At most {MOST_LABELS} pairs, keys of at most {LONGEST_NAME} characters, values of {LONGEST_VALUE}.",
            {"metadata": "too many or too long"},
        )
    check_letters(found, "metadata")
    return found


def check_letters(value: Any, param: str) -> None:
    """Raises Invalid for what neither a database nor an answer can hold: NUL, halves of pairs, numbers without end."""
    try:
        # A UnicodeEncodeError is a ValueError too.
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        text = b"\\u0000"
    if b"\\u0000" in text:
        raise Invalid(
            f"{param} holds a letter that is none (NUL, half of a surrogate pair) or a number that is none.",
            "Send it without.",
            {param: "a letter or number that is none"},
        )
