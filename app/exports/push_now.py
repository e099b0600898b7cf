"""A push with a token from the form: made by the web process itself, so that the token stays in its memory.

Called by routes after the response. Should the process end first, the worker finds the row and says so.
"""

import os
import socket
from datetime import datetime

import psutil
from sqlalchemy import update
from sqlmodel import col

from app.clock import in_seconds
from app.db import session_scope
from app.errors import TunebookError
from app.exports.make import fail_export, make_export
from app.tables import Export, ExportState

ONCE = "given once"
LONGEST_SECONDS = 6 * 3600


def held_by_this_process() -> tuple[str, datetime]:
    """Owner and lease of a row that this process works on: the sweep frees it when the process is gone."""
    process = psutil.Process()
    name = f"{socket.gethostname()}/{os.getpid()}/{process.create_time():.2f}#web"
    return name, in_seconds(LONGEST_SECONDS)


def gone_with_its_token(export: Export) -> bool:
    """Whether only the process that had the token could have made it."""
    return export.parameters.get("token") == ONCE


def push_now(export_id: int, token: str) -> None:
    """Pushes; the row ends ready or failed."""
    with session_scope(write=False) as session:
        export = session.get_one(Export, export_id)
    try:
        make_export(export, session_scope, token)
    except TunebookError as error:
        fail_export(export, session_scope, error.message, error.hint)
    finally:
        with session_scope() as session:
            session.execute(
                update(Export)
                .where(col(Export.id) == export_id, col(Export.state) != ExportState.QUEUED)
                .values(owner=None, lease_until=None)
            )
