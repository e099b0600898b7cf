"""Two projects with one row of each kind, and everybody who may or may not reach them; for tests of rights."""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, select

from app.clock import in_seconds, now
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import (
    Budget,
    BudgetRequest,
    Channel,
    Credential,
    DeploymentRow,
    DoorBatch,
    DoorFile,
    DoorJob,
    Endpoint,
    Evaluation,
    Export,
    JudgeMark,
    Judging,
    Machine,
    Member,
    ModelAlias,
    Notification,
    OrphanJob,
    Project,
    ProjectMember,
    Run,
    Scope,
    Split,
    Token,
    TokenKind,
)
from app.vault import seal
from tests.pages import add_dataset, add_experiment

JUDGE = {"base_url": "https://example.org/v1", "model": "judge"}
# Everybody who acts; "other" is a member of the other project alone, "both" of both.
ROLES = ("admin", "member", "viewer", "other", "both", "disabled", "removed")


@dataclass(frozen=True)
class Lab:
    """`mine` and `theirs`: the ids of a project's rows by the names of path parameters; `bearers`: API tokens and
    `cookies`: sessions, by who acts."""

    mine: dict[str, Any]
    theirs: dict[str, Any]
    bearers: dict[str, str]
    cookies: dict[str, str]
    members: dict[str, int]


def seed_lab(session: Session) -> Lab:
    """All of it, committed."""
    here, there = Project(name="Here"), Project(name="There")
    people = {name: Member(name=name, role=name if name in ROLES[:3] else "member") for name in ROLES}
    session.add_all([here, there, *people.values()])
    session.flush()
    ids = {name: row.id or 0 for name, row in people.items()}
    inside = [(here, name) for name in ("member", "viewer", "both", "disabled", "removed")]
    for project, name in [*inside, (there, "other"), (there, "both")]:
        session.add(ProjectMember(project_id=project.id or 0, member_id=ids[name]))
    session.flush()
    bearers, cookies = {}, {}
    for name, row in people.items():
        actor = Actor(ids[name], (there if name == "other" else here).id or 0, name, row.role)
        bearers[name] = make_token(session, actor, TokenKind.API, name)
        cookies[name] = make_token(session, actor, TokenKind.SESSION, name)
        if name == "member":
            bearers["reads"] = make_token(session, actor, TokenKind.API, "reads", scope=Scope.READ)
    mine = seed_project(session, Actor(ids["member"], here.id or 0, "member", "member"))
    theirs = seed_project(session, Actor(ids["other"], there.id or 0, "other", "member"))
    people["disabled"].disabled_at = now()
    session.delete(session.get_one(ProjectMember, (here.id, ids["removed"])))
    session.commit()
    return Lab(mine, theirs, bearers, cookies, ids)


def seed_project(session: Session, actor: Actor) -> dict[str, Any]:
    """One row of each kind that belongs to a project, by the name of its path parameter."""
    dataset = add_dataset(session, actor, f"dataset of {actor.name}")
    runs = [{"model": "baseline/majority", "score": (0.5, 0.4, 0.6)}, {"model": "baseline/nearest"}]
    experiment = add_experiment(session, actor, dataset, f"experiment of {actor.name}", runs)
    run_id = session.exec(select(Run.id).where(Run.experiment_id == experiment.id).order_by(Run.id)).first()
    split_id = session.exec(select(Split.id).where(Split.dataset_id == dataset.id)).one()
    rows = {**_lab_rows(actor), **_run_rows(actor, run_id or 0)}
    session.add_all(rows.values())
    session.flush()
    ids = {name: row.id or 0 for name, row in rows.items()}
    token = session.exec(
        select(Token.id).where(Token.member_id == actor.member_id, Token.kind == "api")
    ).first()
    return {
        **ids,
        **_dependent_rows(session, actor, run_id or 0, ids),
        **_door_rows(session, actor),
        "dataset_id": dataset.id or 0,
        "experiment_id": experiment.id or 0,
        "run_id": run_id or 0,
        "split_id": split_id or 0,
        "project_id": actor.project_id,
        "member_id": actor.member_id,
        "token_id": token or 0,
    }


def _owner(actor: Actor) -> dict[str, int]:
    return {"project_id": actor.project_id, "maker_id": actor.member_id}


def _key(actor: Actor) -> str:
    return f"{actor.project_id:064d}"


def _lab_rows(actor: Actor) -> dict[str, Any]:
    """What belongs to the project or to its member, and to no run."""
    owner, member = _owner(actor), {"member_id": actor.member_id}
    return {
        "endpoint_id": Endpoint(**owner, name="judge", **JUDGE),
        "machine_id": Machine(**owner, name=f"machine {actor.project_id}", kind="ssh"),
        "credential_id": Credential(
            **owner, provider="together", host="https://example.org", sealed_key=seal("key")
        ),
        "alias_id": ModelAlias(**owner, name="old", model="run-1"),
        "budget_id": Budget(**owner, scope="project", cap_microdollars=1_000_000),
        "channel_id": Channel(
            **owner, **member, medium="webhook", sealed_target=seal("https://example.org/x")
        ),
        "note_id": Notification(
            project_id=actor.project_id, **member, key=_key(actor), kind="done", title="A run ended"
        ),
    }


def _run_rows(actor: Actor, run_id: int) -> dict[str, Any]:
    """What belongs to a run."""
    project, key = {"project_id": actor.project_id}, _key(actor)
    remote = {"provider": "together", "base_url": "https://example.org", "launch_key": key}
    about = {"runs": str(run_id), "inputs": True, "export_id": 0}
    return {
        "export_id": Export(**_owner(actor), run_id=run_id, kind="gguf"),
        "share_id": Token(
            **project, member_id=actor.member_id, kind=TokenKind.SHARE, digest=key, about=about,
            expires_at=in_seconds(3600),
        ),
        "orphan_id": OrphanJob(
            **project, **remote, account_run_id=run_id, remote_id=key, found_at=now(), looked_at=now()
        ),
        "deployment_id": DeploymentRow(**project, **remote, run_id=run_id, asked_at=now()),
    }  # fmt: skip


def _door_rows(session: Session, actor: Actor) -> dict[str, str]:
    """What was made at the OpenAI-compatible door, by its public ids."""
    owner, end = _owner(actor), f"of-project-{actor.project_id}"
    file = DoorFile(
        **owner,
        public_id=f"file-{end}",
        purpose="batch",
        name="x",
        path="x",
        size_bytes=0,
        sha256=_key(actor),
    )
    session.add(file)
    session.flush()
    job = DoorJob(
        **owner,
        public_id=f"ftjob-{end}",
        training_file_id=file.id or 0,
        model="baseline/majority",
        seed=1,
        method={"type": "supervised"},
    )
    batch = DoorBatch(
        **owner,
        public_id=f"batch_{end}",
        input_file_id=file.id or 0,
        endpoint="/v1/chat/completions",
        expires_at=in_seconds(3600),
    )
    session.add_all([job, batch])
    session.flush()
    return {"file_id": file.public_id, "job_id": job.public_id, "batch_id": batch.public_id}


def _dependent_rows(session: Session, actor: Actor, run_id: int, ids: dict[str, int]) -> dict[str, int]:
    """What points at others of these rows."""
    evaluation_id = session.exec(select(Evaluation.id).where(Evaluation.run_id == run_id)).one()
    judging = Judging(
        **_owner(actor), run_id=run_id, evaluation_id=evaluation_id, endpoint_id=ids["endpoint_id"], scale="right",
        prompt="?", prompt_sha256=_key(actor), items=2, of_items=2, **JUDGE,
    )  # fmt: skip
    request = BudgetRequest(**_owner(actor), budget_id=ids["budget_id"], more_microdollars=5)
    session.add_all([judging, request])
    session.flush()
    session.add(JudgeMark(judging_id=judging.id or 0, number=0))
    session.flush()
    return {"judging_id": judging.id or 0, "request_id": request.id or 0}
