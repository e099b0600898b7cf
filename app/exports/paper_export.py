"""A paper bundle made by the worker: for comparisons of so many predictions that a request should not wait."""

from collections.abc import Mapping
from typing import Any

from app.comparisons.run_ids import parse_runs
from app.db import new_session
from app.exports.latex import label_of
from app.exports.paper_bundle import write_bundle
from app.exports.state import PaperState, read_state
from app.exports.work import Made, Work
from app.lab.actor import Actor
from app.tables import Member

# Predictions that are zipped while the reader waits: some seconds.
MOST_AT_ONCE = 50_000
YES = ("1", "true", "on", "yes")


def too_large(state: PaperState) -> bool:
    """Whether the bundle is for the worker."""
    return sum(run.items for run in state.runs) > MOST_AT_ONCE


def check_paper(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Runs as "1,2,3" (none: the run itself), `inputs` and `data` as flags; raises Invalid."""
    runs = parse_runs([str(parameters.get("runs", ""))])
    flags = {name: str(parameters.get(name, "")).lower() in YES for name in ("inputs", "data")}
    return {"runs": runs, **flags}


def make_paper(work: Work) -> Made:
    """Writes the zip."""
    asked = work.export.parameters
    with new_session(write=False) as session:
        member = session.get_one(Member, work.export.maker_id)
        actor = Actor(member.id or 0, work.export.project_id, member.name, member.role)
        state = read_state(session, actor, asked["runs"] or [work.run.id or 0])
        work.say(0.0, f"writes the bundle of {len(state.runs)} runs")
        with work.target.open("wb") as file:
            write_bundle(session, actor, state, file, inputs=asked["inputs"], data=asked["data"])
        return Made(f"{label_of(state)}-paper-bundle.zip")
