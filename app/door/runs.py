"""Runs as models at the door: which can answer, and what is needed to ask them. Called by targets.py."""

from typing import Any

from sqlmodel import Session, col, select

from app.catalog.models import hub_name, toolkits
from app.door.target import BASELINE, HOSTED, LOCAL, Service, Target
from app.errors import ModelNotFound, Unavailable
from app.lab.actor import Actor
from app.runs.hosted import LOCAL_GROUPS, PROMPT, Place, find_row, place_of, provider_of
from app.runs.hosted_prepare import find_offer
from app.runs.outputs import weights_folder
from app.settings.access import access_for
from app.storage import run_folder
from app.tables import DeploymentRow, DeploymentState, RemoteJobRow, Run, RunState

# Runs that a list of models names at most, the newest.
MOST_LISTED = 500
IMPORTED = "imported"


def run_name(run_id: int | None) -> str:
    """The name of a run's model at the door."""
    return f"run-{run_id}"


def run_target(session: Session, actor: Actor, run_id: int, asked: str) -> Target:
    """The model of one run. Raises ModelNotFound for a run that is not in the actor's project or has no model, and
    Unavailable for one that cannot answer now."""
    run = session.exec(select(Run).where(Run.id == run_id, Run.project_id == actor.project_id)).first()
    if run is None:
        raise ModelNotFound(f"There is no run {run_id} here.", "GET /v1/models lists what answers.")
    _must_have_model(run)
    ended = int(run.ended_at.timestamp()) if run.ended_at else 0
    common: dict[str, Any] = {
        "asked": asked,
        "project_id": actor.project_id,
        "run_id": run_id,
        "created": ended,
    }
    if place_of(run) == Place.HOSTED:
        service = _service(session, actor, run)
        return Target(HOSTED, run_name(run_id), owned_by=service.provider.name, service=service, **common)
    kind = BASELINE if run.model.startswith("baseline/") else LOCAL
    return Target(kind, run_name(run_id), weights=_weights(run), **common)


def _must_have_model(run: Run) -> None:
    group = run.model.partition("/")[0]
    if run.pooled or group == IMPORTED:
        raise ModelNotFound(f"Run {run.id} has predictions and no model.", "Ask a run that trained one.")
    if group == PROMPT:
        raise ModelNotFound(
            f"Run {run.id} trained nothing: it asked {run.model.removeprefix('prompt/')}.",
            "Ask that model by its name.",
        )
    if run.state != RunState.DONE:
        raise Unavailable(
            f"Run {run.id} is {run.state}: its model answers when it is done.", "Ask again then."
        )


def _weights(run: Run) -> dict[str, Any]:
    """What the inference process needs to find the model."""
    group, folder = run.model.partition("/")[0], run_folder(run.id or 0)
    kind = group if group in ("baseline", "starter") else "hub"
    found = weights_folder(folder)
    if kind == "hub" and found is None:
        raise ModelNotFound(
            f"The weights of run {run.id} are not on this machine.",
            "Fetch them on the run's page, or run it again.",
        )
    toolkit = toolkits().get(group)
    if toolkit is not None and toolkit.weights not in ("peft", "hf"):
        raise ModelNotFound(
            f"The weights of run {run.id} are in {toolkit.label}'s own form, which Tunebook does not serve.",
            "Serve them with that toolkit and enter its address as an endpoint under Settings.",
        )
    adapter = found if kind == "hub" and found and found.name == "adapter" else None
    return {
        "id": run_name(run.id),
        "kind": kind,
        "bundle": str(folder),
        "adapter": str(adapter) if adapter else None,
        "base": (hub_name(run.model) or None) if adapter else None,
    }


def _service(session: Session, actor: Actor, run: Run) -> Service:
    """Where a tuned model answers, and with whose key."""
    row, provider = find_row(session, run.id), provider_of(run.model)
    if row is None or not row.tuned_model or provider.chat is None:
        raise ModelNotFound(
            f"The model of run {run.id} is not at {provider.label} any more.",
            "GET /v1/models lists what answers.",
        )
    model = row.tuned_model
    if provider.deploy is not None:
        model = _deployed(session, run) or ""
        if not model:
            raise Unavailable(
                f"The model of run {run.id} answers only while {provider.label} deploys it, and it is not deployed.",
                "Deploy it at the service, or predict with it from its run's page.",
            )
    access, credential_id, private = access_for(session, provider, run.project_id, actor.member_id)
    return Service(provider, access, find_offer(session, run, credential_id), model, True, private)


def _deployed(session: Session, run: Run) -> str | None:
    return session.exec(
        select(DeploymentRow.model)
        .where(DeploymentRow.run_id == run.id, DeploymentRow.state == DeploymentState.RUNNING)
        .order_by(col(DeploymentRow.id).desc())
    ).first()


def list_runs(session: Session, actor: Actor) -> list[Target]:
    """The runs whose models may answer, the newest first; whether weights are there shows when one is asked."""
    rows = session.exec(
        select(Run.id, Run.model, Run.ended_at, RemoteJobRow.provider, RemoteJobRow.tuned_model)
        .outerjoin(RemoteJobRow, col(RemoteJobRow.run_id) == Run.id)
        .where(Run.project_id == actor.project_id, Run.state == RunState.DONE, col(Run.pooled).is_(False))
        .order_by(col(Run.id).desc())
        .limit(MOST_LISTED)
    )
    found = []
    local = {*LOCAL_GROUPS, *toolkits()} - {IMPORTED}
    for run_id, model, ended_at, provider, tuned in rows:
        group = model.partition("/")[0]
        if group not in local and not tuned:
            continue
        kind = BASELINE if group == "baseline" else LOCAL if group in local else HOSTED
        name, created = run_name(run_id), int(ended_at.timestamp()) if ended_at else 0
        owner = "tunebook" if group in local else provider
        found.append(Target(kind, name, name, actor.project_id, run_id, owner, created))
    return found
