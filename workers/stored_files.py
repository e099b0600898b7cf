"""The tasks that put finished files into the bucket, delete objects, and tidy both sides."""

from app import stored_files
from app.bucket import Away
from app.clock import in_seconds
from app.config import settings
from app.db import session_scope
from app.log import hidden
from app.queue import PUSH_FILE, TIDY_FILES, machine_queue, send_to
from app.tables import StoredFile, StoredState
from workers.celery_app import celery
from workers.task import guarded, lease

STATES = (StoredState.WAITING, StoredState.LEAVING)
# Between two tries of one file while the bucket is away.
LONGEST_WAIT = 60.0


@celery.task(name=PUSH_FILE)
def push(stored_id: int) -> None:
    """Safe to run twice at once. Killed, an upload in parts goes on at the part that is missing."""
    with session_scope(write=False) as session:
        row = session.get(StoredFile, stored_id)
    if row is None or not settings().s3_bucket:
        return
    if row.state == StoredState.WAITING and row.machine != settings().machine_name:
        if settings().broker_url:
            send_to(machine_queue(row.machine), PUSH_FILE, stored_id)
        return
    with lease(StoredFile, stored_id, STATES) as held:
        if held is None:
            return
        row = held.read()

        def put_off(message: str, hint: str) -> None:
            wait = min(LONGEST_WAIT, 2.0 ** min(row.attempt, 6))
            held.save(error=f"{message} {hint}"[:2000], due_at=in_seconds(wait))

        def step() -> None:
            try:
                stored_files.push(row, held.write)
            except Away as error:
                put_off(hidden(error.message), error.hint)

        guarded(step, put_off, "putting a file into the bucket")
    stored_files.evict()


@celery.task(name=TIDY_FILES)
def tidy() -> None:
    """Frees local copies beyond the setting, and aborts uploads that nobody goes on with."""
    if settings().s3_bucket:
        stored_files.evict()
        stored_files.abort_strays()
