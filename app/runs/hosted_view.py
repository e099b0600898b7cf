"""What a hosted run's page and the API show of its job at the service. Called by app/runs/queries.py."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from app.errors import TunebookError
from app.providers._base import Provider, Repeat
from app.providers._shapes import ENDED, Phase
from app.runs.hosted import Place, find_row, place_of, provider_of
from app.runs.hosted_files import FIRST, LAST
from app.runs.rescue_again import lacks_weights, rescue_of
from app.storage import run_folder
from app.tables import RemoteJobRow, RescueState, Run, RunState, Sent


@dataclass(frozen=True)
class HostedView:
    """The job as its panel shows it. `asks`: what a person is asked, "" for nothing: "unconfirmed" or "paused"."""

    label: str
    remote_id: str
    base_url: str
    state: str
    phase: str
    message: str
    tuned_model: str
    trained_tokens: int | None
    heard_at: datetime | None
    sent_at: datetime | None
    trouble: str
    alarm: str
    asks: str
    looks: int
    looked_for: bool
    may_cost: bool
    list_note: str
    identity: str
    doubles: tuple[dict[str, Any], ...]
    decisions: tuple[dict[str, str], ...]
    undisclosed: tuple[str, ...]
    notice: str
    ends_on: str
    cancel_note: str
    raw_files: tuple[tuple[str, str], ...]
    # Weights that are not here: "lacking" (a person can have them fetched), "asked", or "".
    weights: str
    weights_note: str


def hosted_view(session: Session, run: Run) -> HostedView | None:
    """The panel of a hosted run; None for others, and before it was sent anywhere."""
    if place_of(run) != Place.HOSTED:
        return None
    row = find_row(session, run.id)
    if row is None:
        return None
    provider = _provider(run)
    training = provider.training if provider else None
    label = provider.label if provider else row.provider
    weights, weights_note = _weights(session, run, row) if provider else ("", "")
    return HostedView(
        label=label,
        remote_id=row.remote_id,
        base_url=row.base_url,
        state=row.state,
        phase=row.phase,
        message=row.message,
        tuned_model=row.tuned_model,
        trained_tokens=row.trained_tokens,
        heard_at=row.heard_at,
        sent_at=row.sent_at,
        trouble=row.trouble if run.state != RunState.DONE else "",
        alarm=row.alarm,
        asks=_asks(run, row),
        looks=row.looks,
        looked_for=run.state == RunState.UNKNOWN,
        may_cost=row.sent == Sent.SENDING or (row.sent == Sent.YES and row.phase not in ENDED),
        list_note=training.list_note if training else "",
        identity=training.identity if training and training.repeat != Repeat.OWN_ID else "the job's own id",
        doubles=tuple(row.doubles),
        decisions=tuple(row.decisions),
        undisclosed=provider.undisclosed if provider else (),
        notice=provider.notice if provider else "",
        ends_on=provider.ends_on if provider else "",
        cancel_note=_cancel_note(run, row, label),
        raw_files=_raw_files(run),
        weights=weights,
        weights_note=weights_note,
    )


def _weights(session: Session, run: Run, row: RemoteJobRow) -> tuple[str, str]:
    if not lacks_weights(run, row):
        return "", ""
    wish = rescue_of(session, run.id)
    if wish is None:
        return "lacking", ""
    return "asked" if wish.state == RescueState.ASKED else "lacking", wish.note


def _provider(run: Run) -> Provider | None:
    try:
        return provider_of(run.model)
    except TunebookError:
        return None


def _asks(run: Run, row: RemoteJobRow) -> str:
    if run.state == RunState.PAUSED:
        return "paused"
    return "unconfirmed" if run.state == RunState.UNKNOWN and row.not_confirmed else ""


def _cancel_note(run: Run, row: RemoteJobRow, label: str) -> str:
    """How far a cancel has come, in one sentence; "" where none is under way."""
    if not run.cancel_asked or run.ended_at is not None:
        return ""
    if row.sent == Sent.SENDING:
        return f"It is cancelled at {label} as soon as its job is found there."
    if row.phase == Phase.DONE:
        return f"{label} had finished the training; what it made is still fetched."
    if row.cancel_sent_at is None:
        return f"The cancel has not reached {label} yet; it is sent again until it does."
    return f"{label} has the cancel and has not confirmed the end yet. Until then the job may cost money."


def _raw_files(run: Run) -> tuple[tuple[str, str], ...]:
    folder = run_folder(run.id or 0) / "service"
    named = ((FIRST, "first answer"), (LAST, "last answer"))
    return tuple(
        (label, f"/runs/{run.id}/files/{name}") for name, label in named if (folder / name).is_file()
    )


def hosted_json(view: HostedView | None) -> dict[str, Any] | None:
    """The same for the API."""
    if view is None:
        return None
    wanted = (
        *("remote_id", "base_url", "state", "phase", "message", "tuned_model", "trained_tokens"),
        *(
            "sent_at",
            "heard_at",
            "trouble",
            "alarm",
            "asks",
            "looks",
            "cancel_note",
            "weights",
            "weights_note",
        ),
    )
    found = {name: getattr(view, name) for name in wanted}
    return {
        "label": view.label,
        **found,
        "doubles": list(view.doubles),
        "decisions": list(view.decisions),
        "undisclosed": list(view.undisclosed),
        "notice": view.notice,
        "ends_on": view.ends_on,
        "raw": dict(view.raw_files),
    }
