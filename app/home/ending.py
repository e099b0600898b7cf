"""Runs whose tuned model its service will shut down soon: what the first page flags. Called by queries.py."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.catalog.offered import PROMPT
from app.catalog.tuned import SOON_DAYS, days_until
from app.clock import now
from app.lab.actor import Actor
from app.providers import providers
from app.tables import RemoteJobRow, Run, RunState, StoredOffer

SHOWN = 5
LOOKED_AT = 500


@dataclass(frozen=True)
class EndingModel:
    """One tuned model that answers for `days` more, nothing beyond its own run's predictions being stored."""

    run_id: int
    label: str
    seed: int | None
    model: str
    grid_id: str
    dataset_id: int
    ends_on: str
    days: int


@dataclass(frozen=True)
class Ending:
    """Those that end first; `total` counts all."""

    rows: list[EndingModel]
    total: int


def ending_models(session: Session, actor: Actor) -> Ending:
    """Tuned models of done runs that end within SOON_DAYS and were not asked for more yet; three statements at most."""
    query = (
        select(Run, RemoteJobRow)
        .join(RemoteJobRow, col(RemoteJobRow.run_id) == col(Run.id))
        .where(Run.project_id == actor.project_id, Run.state == RunState.DONE, RemoteJobRow.tuned_model != "")
        .order_by(col(Run.id).desc())
        .limit(LOOKED_AT)
    )
    found = session.exec(query).all()
    if not found:
        return Ending([], 0)
    ends = _listed_ends(session, [job.tuned_model for _run, job in found])
    asked = _asked(session, actor, [_grid_id(job) for _run, job in found])
    rows = [
        row
        for run, job in found
        if _grid_id(job) not in asked
        and (row := _row(run, job, ends.get(job.tuned_model) or _published_end(job)))
    ]
    rows.sort(key=lambda row: (row.days, -row.run_id))
    return Ending(rows[:SHOWN], len(rows))


def _row(run: Run, job: RemoteJobRow, ends_on: str) -> EndingModel | None:
    days = days_until(ends_on, now().date())
    if days is None or not 0 <= days <= SOON_DAYS:
        return None
    label = model_label(run.model)
    return EndingModel(
        run.id or 0, label, run.seed, job.tuned_model, _grid_id(job), run.dataset_id, ends_on, days
    )


def _grid_id(job: RemoteJobRow) -> str:
    return f"{PROMPT}/{job.provider}/{job.tuned_model}"


def _listed_ends(session: Session, models: Iterable[str]) -> dict[str, str]:
    """What the services' own lists say."""
    query = select(StoredOffer.model, StoredOffer.facts).where(col(StoredOffer.model).in_(list(models)))
    return {model: str(facts.get("ends_on") or "") for model, facts in session.exec(query)}


def _published_end(job: RemoteJobRow) -> str:
    """What the provider's file knows of the base model, or of the whole service."""
    provider = providers().get(job.provider)
    if provider is None:
        return ""
    known = next((offer.ends_on for offer in provider.offers if offer.model == job.model), "")
    return known or provider.ends_on


def _asked(session: Session, actor: Actor, grid_ids: Iterable[str]) -> set[str]:
    """Models that a later run asks or has asked."""
    given_up = (RunState.FAILED, RunState.CANCELLED)
    query = select(Run.model).where(
        Run.project_id == actor.project_id,
        col(Run.model).in_(list(grid_ids)),
        col(Run.state).not_in(given_up),
    )
    return set(session.exec(query))
