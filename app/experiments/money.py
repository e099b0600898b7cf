"""The money of a launch: what its runs may cost, what the budgets say, and the reservations. Called by service.py."""

from dataclasses import asdict, replace
from typing import Any

from sqlmodel import Session

from app.errors import Invalid
from app.experiments.plan import Plan
from app.experiments.planned import PlannedModel
from app.format import money
from app.lab.actor import Actor
from app.lab.budgets import EXPERIMENT, MOST_MICRODOLLARS, Cost, objections
from app.lab.reservations import reserve, to_reserve
from app.tables import Budget, Experiment, Run


def plan_costs(plan: Plan) -> list[Cost]:
    """What each run at a service, or on compute that is paid, may cost at most."""
    return [
        Cost(row.model.label, _reserved(row, run.estimate["microdollars"]))
        for row in plan.rows
        if row.paid
        for run in row.runs
    ]


def _reserved(row: PlannedModel, microdollars: int | None) -> int | None:
    """What is reserved for one run: on compute its price until the deadline, which is no estimate."""
    return microdollars if row.spot else to_reserve(microdollars)


def reserved_total(plan: Plan) -> int:
    """What a launch of the plan reserves, as far as prices are known."""
    return sum(cost.microdollars or 0 for cost in plan_costs(plan))


def check_cap(dollars: float | None) -> int | None:
    """The cap that a person sets on an experiment, in micro-dollars; raises Invalid."""
    if dollars is None:
        return None
    if not 0 <= dollars <= MOST_MICRODOLLARS / 1e6:
        raise Invalid(
            "The experiment's cap cannot be used.",
            "Write dollars, 0 or more, or leave it empty.",
            {"cap": "dollars, 0 or more"},
        )
    return round(dollars * 1e6)


def with_money(session: Session, actor: Actor, plan: Plan, cap: int | None) -> Plan:
    """The plan with the budgets' objections among its problems."""
    costs = plan_costs(plan)
    if not costs:
        return plan
    found = objections(session, actor, costs)
    total = sum(cost.microdollars or 0 for cost in costs)
    if cap is not None and total > cap:
        found.append(f"This may cost {money(total)}; you allow this experiment {money(cap)}.")
    return replace(plan, problems=(*plan.problems, *found))


def keep_cap(session: Session, actor: Actor, experiment: Experiment, cap: int | None) -> None:
    """Stores the cap, so that it holds for retries and for what services ask later."""
    if cap is not None:
        session.add(
            Budget(
                project_id=actor.project_id,
                maker_id=actor.member_id,
                scope=EXPERIMENT,
                experiment_id=experiment.id,
                cap_microdollars=cap,
            )
        )


def reserve_run(session: Session, actor: Actor, row: PlannedModel, run: Run) -> None:
    """Reserves for one run of the launch; one that costs nothing has no reservation."""
    if row.paid:
        provider = row.spot.kind if row.spot else row.model.provider
        reserve(session, actor, run, provider, _reserved(row, run.estimate["microdollars"]))


def service_facts(row: PlannedModel) -> dict[str, Any]:
    """What a run keeps of its service as it was at launch."""
    model = row.model
    if model.offer is None:
        return {}
    offer = asdict(replace(model.offer, raw={}))
    price = offer.pop("price")
    return {
        "service": {
            "provider": model.provider,
            "label": model.provider_label,
            "price": price,
            "undisclosed": list(model.undisclosed),
            "notice": model.notice,
            "ends_on": model.ends_on,
            "weights": model.weights,
            "offer": offer,
        }
    }
