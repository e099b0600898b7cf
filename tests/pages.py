"""What the page tests share: statements counted, regions compared, rows made quickly, a stranger's project."""

import hashlib
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event
from sqlmodel import Session, select

from app.datasets.check_file import check_dataset
from app.datasets.service import upload_dataset
from app.db import session_scope
from app.lab.actor import Actor
from app.storage import incoming_file
from app.tables import (
    Dataset,
    DatasetState,
    Evaluation,
    Experiment,
    Member,
    Project,
    Run,
    RunState,
    Score,
    Scoring,
    Split,
)

# Names that break pages which do not escape, or that turn the text around them.
HOSTILE = "<script>alert('x')</script> \"quoted\" & \u202edlrow"
ESCAPED = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &#34;quoted&#34; &amp;"


@contextmanager
def counted_statements() -> Iterator[list[str]]:
    """Every SQL statement that any connection sends meanwhile."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN")):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def region(html: str, element_id: str) -> str:
    """The element with that id, from its first tag to its last, blanks put together."""
    start = re.search(rf'<(\w+)[^>]*\bid="{element_id}"', html)
    assert start, f"no element has the id {element_id}"
    tag, depth = start.group(1), 0
    for found in re.finditer(rf"<(/?){tag}\b>?", html[start.start() :]):
        depth += -1 if found.group(1) else 1
        if not depth:
            return " ".join(html[start.start() : start.start() + found.end()].split())
    raise AssertionError(f"the element {element_id} does not end")


def stranger(session: Session) -> Actor:
    """Somebody in a project of their own."""
    member, project = Member(name="Stranger"), Project(name="Elsewhere")
    session.add_all([member, project])
    session.flush()
    return Actor(member.id or 0, project.id or 0, member.name, member.role)


def add_dataset(session: Session, actor: Actor, name: str = "rule", **values: Any) -> Dataset:
    """A dataset's row alone, ready unless `values` say otherwise; it has a split, but no items."""
    made = Dataset(
        project_id=actor.project_id,
        maker_id=actor.member_id,
        name=name,
        **{"state": DatasetState.READY, "task": "classification", "labels": ["a", "b"], "items": 9, **values},
    )
    session.add(made)
    session.flush()
    if made.state == DatasetState.READY:
        session.add(
            Split(
                project_id=actor.project_id,
                maker_id=actor.member_id,
                dataset_id=made.id or 0,
                name="seeded",
                kind="seeded",
                parts=b"\0" * 6 + b"\1" + b"\2" * 2,
                sha256="ab" * 32,
                counts={"train": 6, "validation": 1, "test": 2, "unused": 0},
            )
        )
        session.flush()
    return made


def add_experiment(
    session: Session, actor: Actor, dataset: Dataset, name: str, runs: Sequence[Mapping[str, Any]]
) -> Experiment:
    """An experiment with runs; a run with "score" (value, low, high) is done and scored."""
    split = session.exec(select(Split).where(Split.dataset_id == dataset.id)).one()
    owner = {"project_id": actor.project_id, "maker_id": actor.member_id}
    made = Experiment(
        **owner,
        name=name,
        dataset_id=dataset.id or 0,
        split_id=split.id or 0,
        launch_key=secrets.token_hex(8),
    )
    session.add(made)
    session.flush()
    for values in runs:
        score = values.get("score")
        run = Run(
            **owner,
            experiment_id=made.id or 0,
            dataset_id=dataset.id or 0,
            split_id=split.id or 0,
            launch_key=secrets.token_hex(8),
            **{
                "state": RunState.DONE if score else RunState.QUEUED,
                **{k: v for k, v in values.items() if k != "score"},
            },
        )
        session.add(run)
        session.flush()
        if score:
            _add_score(session, owner, run, score)
    return made


def _add_score(session: Session, owner: dict[str, int], run: Run, score: tuple[float, float, float]) -> None:
    evaluation = Evaluation(**owner, run_id=run.id or 0, items=2)
    session.add(evaluation)
    session.flush()
    scoring = Scoring(**owner, evaluation_id=evaluation.id or 0)
    session.add(scoring)
    session.flush()
    value, low, high = score
    session.add(Score(scoring_id=scoring.id or 0, name="accuracy", value=value, low=low, high=high, n=2))
    session.flush()


def upload(session: Session, actor: Actor, name: str, data: bytes, check: bool = True) -> int:
    """A file that was really uploaded and, unless told not to, checked to its end. Commits."""
    path = incoming_file(secrets.token_hex(8))
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    made = upload_dataset(session, actor, path, file_name=name, sha256=digest, size=len(data))
    session.commit()
    if check:
        session.expunge(made)
        check_dataset(made, session_scope)
    return made.id or 0
