"""What a training at a service has cost: as the service says, else by the tokens that it trained on. Called by polls."""

from typing import Any

from app.db import session_scope
from app.providers._shapes import RemoteJob
from app.runs.hosted_prepare import find_offer
from app.tables import RemoteJobRow, Run


def known_cost(run: Run) -> int | None:
    """What the run has cost, in micro-dollars; None where nobody knew its price beforehand and no bill came."""
    unknown = run.estimate.get("microdollars", 0) is None and not run.cost_microdollars
    return None if unknown else run.cost_microdollars


def bill(run: Run, row: RemoteJobRow, job: RemoteJob) -> dict[str, Any]:
    """{"cost_microdollars": ...} of the run, or {} while nothing is known. An impossible amount is not believed."""
    if job.cost_microdollars is not None and job.cost_microdollars >= 0:
        return {"cost_microdollars": job.cost_microdollars}
    tokens = job.trained_tokens
    if not tokens or tokens < 0:
        return {}
    with session_scope(write=False) as session:
        price = find_offer(session, run, row.credential_id).price
    if price is None or price.train is None:
        return {}
    # Dollars for a million tokens are micro-dollars for one.
    return {"cost_microdollars": max(round(tokens * price.train), round(price.minimum * 1e6))}
