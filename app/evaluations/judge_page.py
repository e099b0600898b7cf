"""The page of a judging as it is drawn, and the same as JSON: progress, score, agreement."""

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.catalog.models import model_label
from app.datasets.stored import group_name
from app.evaluations import hand_labels
from app.evaluations.judge_marks import verdicts
from app.evaluations.judge_prompts import PAIR, SCALES
from app.evaluations.judge_result import Agreement, agreement, usage
from app.evaluations.looks import note_look
from app.format import DASH, count, money, percent, plural
from app.lab.actor import Actor, find, owned
from app.runs.lock import check_unlocked
from app.statistics import Estimate
from app.tables import Endpoint, JudgeMark, Judging, JudgingState, MarkState, Run, Split

UNDER_WAY = (JudgingState.QUEUED, JudgingState.WORKING)


@dataclass(frozen=True)
class JudgingView:
    """The head of the page: what is judged by whom, how far it is, and the score once it is there."""

    judging: Judging
    title: str
    names: tuple[str, ...]
    endpoint: str
    active: bool
    done: int
    calls: int
    fraction: float
    facts: list[tuple[str, str]]
    score: str
    low: str
    high: str
    sentence: str
    can_resume: bool


@dataclass(frozen=True)
class JudgingLine:
    """One judging on the page of a run that it judges."""

    id: int
    model: str
    scale: str
    state: str
    items: int
    prompt_sha256: str
    value: tuple[str, str, str]


@dataclass(frozen=True)
class AgreementLine:
    """One person against the judge."""

    name: str
    n: int
    unsure: int
    rate: tuple[str, str, str]
    kappa: tuple[str, str, str]


def find_judging(session: Session, actor: Actor, judging_id: int) -> Judging:
    """The judging; raises NotFound, or Forbidden while the test set of a judged run is locked."""
    judging: Judging = find(session, actor, Judging, judging_id)
    runs = [run for run in (judging.run_id, judging.other_run_id) if run]
    check_unlocked(session, runs)
    note_look(session, session.exec(select(Run.experiment_id).where(col(Run.id).in_(runs))).all())
    return judging


def judging_view(session: Session, actor: Actor, judging_id: int) -> JudgingView:
    """The head of the page; three statements whatever the size."""
    judging = find_judging(session, actor, judging_id)
    states = {
        state: (n, tokens_in, tokens_out) for state, n, tokens_in, tokens_out in _states(session, judging)
    }
    calls = sum(n for n, _, _ in states.values())
    waiting = states.get(MarkState.WAITING, (0, 0, 0))[0]
    spent = usage(judging, sum(s[1] for s in states.values()), sum(s[2] for s in states.values()))
    names = _names(session, judging)
    endpoint = session.get_one(Endpoint, judging.endpoint_id).name
    found = judging.result
    value, low, high = (found.get(name) for name in ("value", "low", "high"))
    facts = [
        (f"{calls - waiting:,} of {calls:,}", "calls done" if judging.scale == PAIR else "items done"),
        (count(states.get(MarkState.UNREADABLE, (0, 0, 0))[0]), "unreadable"),
        (count(states.get(MarkState.FAILED, (0, 0, 0))[0]), "failed"),
        (f"{count(spent.input_tokens)} / {count(spent.output_tokens)}", "tokens in / out"),
        (_price(spent.microdollars, judging.cap_microdollars), "cost"),
        (judging.model, "judge"),
    ]
    return JudgingView(
        judging=judging,
        title=f"Judging {judging.id}",
        names=names,
        endpoint=endpoint,
        active=judging.state in UNDER_WAY,
        done=calls - waiting,
        calls=calls,
        fraction=(calls - waiting) / calls,
        facts=facts,
        score=percent(value) if value is not None else "",
        low=percent(low) if low is not None else "",
        high=percent(high) if high is not None else "",
        sentence=sentence(judging, names),
        can_resume=judging.state not in UNDER_WAY and (waiting > 0 or MarkState.FAILED in states),
    )


def _states(session: Session, judging: Judging) -> Any:
    return session.exec(
        select(
            JudgeMark.state,
            func.count(),
            func.sum(JudgeMark.input_tokens),
            func.sum(JudgeMark.output_tokens),
        )
        .where(JudgeMark.judging_id == judging.id)
        .group_by(col(JudgeMark.state))
    )


def _names(session: Session, judging: Judging) -> tuple[str, ...]:
    wanted = [run for run in (judging.run_id, judging.other_run_id) if run]
    rows = session.exec(select(Run.id, Run.model, Run.seed).where(col(Run.id).in_(wanted)))
    found = {
        run: model_label(model) + (f", seed {seed}" if seed is not None else "") for run, model, seed in rows
    }
    return tuple(found[run] for run in wanted)


def _price(microdollars: int | None, cap: int | None) -> str:
    if microdollars is None:
        return "not known"
    # Judges are cheap: two decimals would often say nothing.
    spent = (
        money(microdollars) if microdollars >= 100_000 or not microdollars else f"${microdollars / 1e6:.4f}"
    )
    return spent + (f" of {money(cap)}" if cap is not None else "")


def sentence(judging: Judging, names: tuple[str, ...]) -> str:
    """What was found, in words that claim no more than the marks do; "" before there is a score."""
    found = judging.result
    if not found or found["value"] is None:
        return ""
    interval = (
        f" (95 % interval {percent(found['low'])} to {percent(found['high'])})"
        if found["low"] is not None
        else ""
    )
    items = f"over {plural(found['n'], 'item')}"
    if judging.scale != PAIR:
        return f"Mean mark of {names[0]}: {percent(found['value'])} %{interval} {items}."
    marks = found["marks"]
    wins, ties, losses = (marks.get(key, 0) for key in ("1", "0.5", "0"))
    if found["low"] is None:
        luck = "All items agree, so there is no spread to draw an interval from."
    elif found["low"] > 0.5 or found["high"] < 0.5:
        luck = "The interval leaves out 50 %."
    else:
        luck = "That cannot be told from luck."
    return (
        f"{names[0]} wins {percent(found['value'])} %{interval} against {names[1]} {items}: {wins} won, "
        f"{ties} tied, {losses} lost; in {found['inconsistent']} the two orders contradict each other and count as "
        f"ties. {luck}"
    )


def agreements(session: Session, judging: Judging) -> list[AgreementLine]:
    """Everybody who labelled, against the judge."""
    labels = hand_labels.labels_of(session, judging)
    if not labels:
        return []
    marks = session.exec(select(JudgeMark).where(JudgeMark.judging_id == judging.id)).all()
    judged = {verdict.number: verdict.value for verdict in verdicts(marks, judging.scale)}
    split = session.get_one(Split, session.get_one(Run, judging.run_id).split_id)
    groups = {number: group_name(split, number) for number in judged}
    known = hand_labels.names(session, list(labels))
    return [
        _agreement_line(known[member], agreement(judged, own, judging.scale, groups))
        for member, own in sorted(labels.items())
    ]


def _agreement_line(name: str, found: Agreement) -> AgreementLine:
    return AgreementLine(name, found.n, found.unsure, _estimate(found.rate, 100), _estimate(found.kappa, 1))


def _estimate(found: Estimate | None, scale: int) -> tuple[str, str, str]:
    """Value and interval as text, with one decimal of a rate and two of kappa."""
    if found is None or not isfinite(found.value):
        return DASH, "", ""
    digits = 1 if scale == 100 else 2
    ends = ("", "") if found.low is None or found.high is None else (found.low, found.high)
    return tuple(  # type: ignore[return-value]
        end if isinstance(end, str) else f"{scale * end:.{digits}f}".replace("-", "−")
        for end in (found.value, *ends)
    )


def judgings_of(session: Session, actor: Actor, run_id: int) -> list[Judging]:
    """The judgings that a run stands in, newest first. Raises NotFound for a run that is not the project's."""
    find(session, actor, Run, run_id)
    mine = (Judging.run_id == run_id) | (Judging.other_run_id == run_id)  # type: ignore[operator]
    return list(session.exec(owned(actor, Judging).where(mine).order_by(col(Judging.id).desc()).limit(50)))


def judging_lines(session: Session, actor: Actor, run_id: int) -> tuple[JudgingLine, ...]:
    """The same as lines; of a pair the value is the win rate of its first run."""
    return tuple(
        JudgingLine(
            row.id or 0,
            row.model,
            SCALES[row.scale].label,
            row.state,
            row.items,
            row.prompt_sha256,
            _estimate(Estimate(row.result["value"], row.result["low"], row.result["high"]), 100)
            if row.result.get("value") is not None
            else _estimate(None, 100),
        )
        for row in judgings_of(session, actor, run_id)
    )


def judging_json(session: Session, actor: Actor, judging_id: int) -> dict[str, Any]:
    """A judging as the API gives it; rates lie in 0..1."""
    view = judging_view(session, actor, judging_id)
    judging = view.judging
    hidden = {"owner", "lease_until", "due_at", "attempt", "project_id", "maker_id", "base_url"}
    return {
        **judging.model_dump(exclude=hidden),
        "scale_label": SCALES[judging.scale].label,
        "endpoint": view.endpoint,
        "calls_done": view.done,
        "calls": view.calls,
        "sentence": view.sentence or None,
        "agreement": [asdict(line) for line in agreements(session, judging)],
    }
