"""Fills the launch form with what a run was launched with, so that it can be launched again with one thing changed."""

from sqlmodel import Session

from app.catalog.facts import suggest
from app.catalog.models import all_models, find_model
from app.catalog.shelf import read_shelf
from app.experiments.convert import carried, convert
from app.experiments.facts import data_facts
from app.experiments.forms import LaunchForm, form_design, untrained
from app.experiments.service import data_of
from app.lab.actor import Actor, find
from app.runs.ledger import sent_values
from app.tables import Experiment, Machine, Run


def form_of_run(session: Session, actor: Actor, run_id: int, trainer: str = "") -> LaunchForm:
    """The run's model, seed, data and design; every value that is not what would be chosen today counts as asked. With
    `trainer` the run as that one would be given it."""
    run: Run = find(session, actor, Run, run_id)
    experiment = session.get_one(Experiment, run.experiment_id)
    # A pooled run was trained nowhere: its folds were.
    trained = session.get_one(Run, run.snapshot["pooled_from"][0]) if run.pooled else run
    dataset, split = data_of(session, actor, run.dataset_id, trained.split_id)
    model, sent = find_model(run.model, read_shelf(session, actor)), sent_values(run.ledger)
    if trainer:
        model = convert(session, actor, run_id, trainer).other
        sent = carried(model, sent)
    machine = session.get(Machine, run.machine_id) if run.machine_id else None
    chosen = suggest(model, data_facts(dataset, split), sent)
    base = untrained(run.model)
    typed = base.startswith("hf/") and base not in {model.id for model in all_models()}
    return LaunchForm(
        run.dataset_id,
        # Folds are dealt anew by the design; a smaller part of train comes of the experiment's own split.
        0 if experiment.design.get("kind") in ("folds", "groups") else experiment.split_id,
        name=f"{experiment.name}, again"[:200],
        models=(model.id,),
        seed_list="1" if run.seed is None else str(run.seed),
        asked={model.id: {name: value for name, value in sent.items() if chosen.get(name) != value}},
        design=form_design(experiment.design),
        augment=experiment.augment,
        choose_on=experiment.choose_on,
        hugging_face=base.removeprefix("hf/") if typed else "",
        trainers=(model.trainer,),
        places={model.id: machine.name} if machine else {},
    )
