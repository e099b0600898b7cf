"""Which runs are hosted, at which provider, and the row and the account of their job there. Used by all hosted steps."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from enum import StrEnum
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import and_, or_, update
from sqlmodel import Session, col

from app.clock import in_seconds, now
from app.config import settings
from app.db import session_scope
from app.errors import KeyRefused, OutOfCredit, ProviderError, TunebookError, Unavailable
from app.providers._base import Provider, Training
from app.registry import load_kinds
from app.runs.lifecycle import move
from app.service_http import Api
from app.settings.access import access_for, open_api
from app.tables import RemoteJobRow, Run, RunState

Save = Callable[[], AbstractContextManager[Session]]
LOCAL_GROUPS = ("baseline", "starter", "hf", "imported")
PROMPT = "prompt"
# Between two failed calls about one run: at most this, so that an outage of a day makes few calls.
LONGEST_PAUSE = 300.0
# A Retry-After beyond this is not waited for in one go.
LONGEST_WAIT = 86_400.0
PAUSED_SECONDS = 900.0


class Place(StrEnum):
    """Where a run's work is done: which steps it has (see workers/runs.py)."""

    LOCAL = "local"
    AWAY = "away"  # a bundle on another machine
    HOSTED = "hosted"
    PROMPT = "prompt"


def place_of(run: Run) -> Place:
    """The place of a run by its machine and its model's name."""
    if run.machine_id is not None:
        return Place.AWAY
    group = run.model.partition("/")[0]
    if group in LOCAL_GROUPS or group in load_kinds("app.trainers", "TRAINER"):
        return Place.LOCAL
    return Place.PROMPT if group == PROMPT else Place.HOSTED


def at_service(run: Run) -> bool:
    """Whether a hosted service trains the run or answers for it."""
    return place_of(run) in (Place.HOSTED, Place.PROMPT)


def is_local() -> Any:
    """Whether a run's place is this machine, as a condition on runs."""
    groups = dict.fromkeys((*LOCAL_GROUPS, *load_kinds("app.trainers", "TRAINER")))
    named = or_(*(col(Run.model).startswith(f"{group}/") for group in groups))
    return and_(named, col(Run.machine_id).is_(None))


def provider_name(model: str) -> str:
    """ "openai" of "openai/gpt-4.1-nano" and of "prompt/openai/gpt-4.1-nano"."""
    return model.removeprefix(f"{PROMPT}/").partition("/")[0]


def sent_seed(run: Run) -> int | None:
    """The seed that goes along with the create call; None where the service takes none."""
    return None if "seed" in provider_of(run.model).undisclosed else run.seed


def remote_model(model: str) -> str:
    """The model's name at its service: "gpt-4.1-nano" of "openai/gpt-4.1-nano"."""
    return model.removeprefix(f"{PROMPT}/").partition("/")[2]


def provider_of(model: str) -> Provider:
    """The run's provider. Raises Unavailable when Tunebook no longer has it."""
    name = provider_name(model)
    kinds = load_kinds("app.providers", "PROVIDER")
    if name not in kinds:
        raise Unavailable(
            f"There is no provider {name!r} in this Tunebook.", "Start the version that launched this run."
        )
    return cast(Provider, kinds[name])


def training_of(model: str) -> Training:
    """How the run's provider trains."""
    training = provider_of(model).training
    if training is None:
        raise TunebookError(f"{provider_of(model).label} trains no models.", "Choose another service.")
    return training


def job_row(run: Run) -> RemoteJobRow:
    """The run's row of its job at the service, detached."""
    with session_scope(write=False) as session:
        return session.get_one(RemoteJobRow, run.id)


def find_row(session: Session, run_id: int | None) -> RemoteJobRow | None:
    """The same, or None before there is one."""
    return session.get(RemoteJobRow, run_id)


def put(session: Session, run: Run, **values: Any) -> None:
    """Writes values to the run's job row."""
    session.execute(update(RemoteJobRow).where(col(RemoteJobRow.run_id) == run.id).values(**values))


def set_run(session: Session, run: Run, **values: Any) -> None:
    """Writes values to a run that is still in the state it was read in."""
    session.execute(update(Run).where(col(Run.id) == run.id, col(Run.state) == run.state).values(**values))


@contextmanager
def open_job(run: Run, row: RemoteJobRow) -> Iterator[Api]:
    """The service as whoever launched the run, at the address that the job was sent to.

    Raises KeyRefused when there is no key, or when the base URL now lies on another host: a key goes to the host
    alone that it was entered for.
    """
    provider = provider_of(run.model)
    with session_scope(write=False) as session:
        access, _, allow_private = access_for(session, provider, run.project_id, run.maker_id)
    if _host(access.base_url) != _host(row.base_url):
        raise KeyRefused(
            f"This run's job is at {row.base_url}, but {provider.label} is now set to {access.base_url}.",
            "Set the base URL back on the Settings page; the run then goes on.",
        )
    with open_api(replace(access, base_url=row.base_url), provider, allow_private) as api:
        yield api


def _host(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def must_wait(run: Run, row: RemoteJobRow, save: Save) -> bool:
    """Whether it is too early for a call: a second message, or a nudge of the sweep. Sets when it is due."""
    if row.wait_until is None or row.wait_until <= now():
        return False
    with save() as session:
        set_run(session, run, due_at=row.wait_until)
    return True


def pause_seconds(failures: int) -> float:
    """How long to leave a service alone after so many failures in a row."""
    return float(min(settings().remote_poll_seconds * 2 ** min(failures, 16), LONGEST_PAUSE))


def put_off(run: Run, save: Save, row: RemoteJobRow, error: ProviderError, **values: Any) -> None:
    """Asks again later: not before the time that the service named, the later the more calls have failed."""
    seconds = max(min(error.wait or 0.0, LONGEST_WAIT), pause_seconds(row.failures))
    later = in_seconds(seconds)
    with save() as session:
        put(session, run, failures=row.failures + 1, trouble=error.message[:1000], wait_until=later, **values)
        set_run(session, run, due_at=later, progress_note=error.message[:300])


def pause(run: Run, save: Save, error: TunebookError, **values: Any) -> None:
    """The key or the money ran out: the run waits, and says what for. `values` go to the job's row."""
    with save() as session:
        if values:
            put(session, run, **values)
        pause_run(session, run, error)


def pause_run(session: Session, run: Run, error: TunebookError) -> None:
    """Moves a run to paused with the sentence of `error`; it is looked at again now and then."""
    move(
        session,
        run,
        RunState.PAUSED,
        error=error.message[:2000],
        hint=error.hint[:2000],
        progress=run.progress,
        due_at=in_seconds(PAUSED_SECONDS),
    )


PAUSING = (KeyRefused, OutOfCredit)
