"""Two projects with one row of each kind, and everybody who may or may not reach them; for tests of rights."""

from dataclasses import dataclass

from sqlmodel import Session, select

from app.clock import now
from app.lab.actor import Actor
from app.lab.sign_in import make_token
from app.tables import (
    Budget,
    BudgetRequest,
    Channel,
    Credential,
    DeploymentRow,
    Endpoint,
    Evaluation,
    Export,
    JudgeMark,
    Judging,
    Machine,
    Member,
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

# Everybody who acts; "other" is a member of the other project alone, "both" of both.
ROLES = ("admin", "member", "viewer", "other", "both", "disabled", "removed")


@dataclass(frozen=True)
class Lab:
    """`mine` and `theirs`: the ids of a project's rows by the names of path parameters; `bearers`: API tokens and
    `cookies`: sessions, by who acts."""

    mine: dict[str, int]
    theirs: dict[str, int]
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


def seed_project(session: Session, actor: Actor) -> dict[str, int]:
    """One row of each kind that belongs to a project, by the name of its path parameter."""
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    key = f"{actor.project_id:064d}"
    dataset = add_dataset(session, actor, f"dataset of {actor.name}")
    runs = [{"model": "baseline/majority", "score": (0.5, 0.4, 0.6)}, {"model": "baseline/nearest"}]
    experiment = add_experiment(session, actor, dataset, f"experiment of {actor.name}", runs)
    run_id = session.exec(select(Run.id).where(Run.experiment_id == experiment.id).order_by(Run.id)).first()
    split_id = session.exec(select(Split.id).where(Split.dataset_id == dataset.id)).one()
    evaluation_id = session.exec(select(Evaluation.id).where(Evaluation.run_id == run_id)).one()
    place = {"base_url": "https://example.org/v1", "model": "judge"}
    endpoint = Endpoint(**owner, name="judge", **place)
    machine = Machine(**owner, name=f"machine {actor.project_id}", kind="ssh")
    credential = Credential(**owner, provider="together", host="https://example.org", sealed_key=seal("key"))
    budget = Budget(**owner, scope="project", cap_microdollars=1_000_000)
    export = Export(**owner, run_id=run_id, kind="gguf")
    channel = Channel(**owner, member_id=actor.member_id, medium="webhook", sealed_target=seal("x"))
    about = {"address": f"runs={run_id}", "runs": [run_id], "title": "shared"}
    share = Token(
        member_id=actor.member_id, project_id=actor.project_id, kind=TokenKind.SHARE, digest=key, about=about
    )
    note = Notification(
        member_id=actor.member_id, project_id=actor.project_id, key=key, kind="run", title="A run ended"
    )
    remote = {"provider": "together", "base_url": "https://example.org", "launch_key": key}
    orphan = OrphanJob(
        project_id=actor.project_id,
        account_run_id=run_id,
        remote_id=key,
        found_at=now(),
        looked_at=now(),
        **remote,
    )
    deployment = DeploymentRow(project_id=actor.project_id, run_id=run_id, asked_at=now(), **remote)
    rows = {
        "endpoint_id": endpoint,
        "machine_id": machine,
        "credential_id": credential,
        "budget_id": budget,
        "export_id": export,
        "channel_id": channel,
        "share_id": share,
        "note_id": note,
        "orphan_id": orphan,
        "deployment_id": deployment,
    }
    session.add_all(rows.values())
    session.flush()
    judging = Judging(
        **owner,
        run_id=run_id,
        evaluation_id=evaluation_id,
        endpoint_id=endpoint.id,
        scale="right",
        prompt="?",
        prompt_sha256=key,
        items=2,
        of_items=2,
        **place,
    )
    request = BudgetRequest(**owner, budget_id=budget.id, more_microdollars=5)
    session.add_all([judging, request])
    session.flush()
    session.add(JudgeMark(judging_id=judging.id or 0, number=0))
    session.flush()
    token = session.exec(
        select(Token.id).where(Token.member_id == actor.member_id, Token.kind == "api")
    ).first()
    return {
        **{name: row.id or 0 for name, row in rows.items()},
        "dataset_id": dataset.id or 0,
        "experiment_id": experiment.id or 0,
        "run_id": run_id or 0,
        "split_id": split_id or 0,
        "judging_id": judging.id or 0,
        "request_id": request.id or 0,
        "project_id": actor.project_id,
        "member_id": actor.member_id,
        "token_id": token or 0,
    }
