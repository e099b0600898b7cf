"""All runs of a project: the page at /runs and the same as JSON."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse

from app.catalog.models import model_label
from app.evaluations.columns import written
from app.evaluations.run_list import NEWEST, STATES, RunFilter, list_runs, models_of, ranking_metrics
from app.web.pages import page
from app.web.session import Acting, Database

router = APIRouter()
api_router = APIRouter()
STATE_LABELS = {"active": "under way", "unknown": "not confirmed"}


def chosen_filter(model: str = "", state: str = "", order: str = NEWEST) -> RunFilter:
    """The filter of an address: model, state ("active": under way), order ("newest" or a metric, best first)."""
    return RunFilter(model, state, order or NEWEST)


Chosen = Annotated[RunFilter, Depends(chosen_filter)]


@router.get("/runs")
def runs_page(
    request: Request, session: Database, actor: Acting, chosen: Chosen, after: str = ""
) -> HTMLResponse:
    """The runs of the project, newest or best first."""
    found = list_runs(session, actor, chosen, after)
    asked = {"model": chosen.model, "state": chosen.state}
    asked = {name: value for name, value in asked.items() if value}
    if chosen.order != NEWEST:
        asked["order"] = chosen.order
    return page(
        request, "runs/list.html", "Runs",
        lines=found.lines, chosen=chosen, filtered=bool(chosen.model or chosen.state), written=written,
        fields=_fields(chosen, models_of(session, actor)), metric=ranking_metrics().get(chosen.order),
        older=f"/runs?{urlencode({**asked, 'after': found.after})}" if found.after else "",
        newer=f"/runs?{urlencode(asked)}".rstrip("?") if after else "",
    )  # fmt: skip


def _fields(chosen: RunFilter, models: list[str]) -> list[tuple[str, str, list[tuple[str, str]], str]]:
    """(name, label, [(value, label)], chosen) of the page's form."""
    known = dict.fromkeys([*models, *filter(None, [chosen.model])])
    return [
        ("model", "Model", [("", "all"), *((model, model_label(model)) for model in known)], chosen.model),
        (
            "state",
            "State",
            [("", "all"), *((state, STATE_LABELS.get(state, state)) for state in STATES)],
            chosen.state,
        ),
        (
            "order",
            "Order",
            [
                (NEWEST, "newest first"),
                *((metric.name, f"best {metric.label}") for metric in ranking_metrics().values()),
            ],
            chosen.order,
        ),
    ]


@api_router.get("/runs")
def get_runs(session: Database, actor: Acting, chosen: Chosen, after: str = "") -> dict[str, Any]:
    """The newest 50 runs, or those with the best values of a metric; `next` is the `after` to go on with."""
    found = list_runs(session, actor, chosen, after)
    runs = [
        {
            "id": line.id,
            "name": line.name,
            "model": line.model,
            "seed": line.seed,
            "state": line.state,
            "progress": line.progress,
            "experiment_id": line.experiment_id,
            "experiment": line.experiment,
            "dataset_id": line.dataset_id,
            "dataset": line.dataset,
            "score": None
            if line.value is None
            else {"metric": line.metric.name, "value": line.value, "low": line.low, "high": line.high},
            "locked": line.locked,
            "seconds": line.seconds,
            "created_at": line.created_at.isoformat(),
        }
        for line in found.lines
    ]
    return {"runs": runs, "next": found.after or None}
