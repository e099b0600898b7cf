"""Pools the folds of one model and seed: all out-of-fold predictions become one run, scored over all items.

Called when a run ends (finish.py). To everything else the pooled run is a run like others: compared, exported,
read under answer rules.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from app.datasets.items import TEST
from app.evaluations.answers import default_rules
from app.evaluations.service import NewPrediction, score_evaluation, store_evaluation
from app.runs.lifecycle import move
from app.tables import Dataset, Evaluation, Experiment, Prediction, Run, RunState, Split


def pool_folds(session: Session, run: Run) -> Run | None:
    """The pooled run, if `run` was the last fold of its model, settings and seed to end well; else None."""
    if run.fold is None:
        return None
    # Two folds that end at once wait here for each other, so that the later one sees both done.
    experiment = session.exec(
        select(Experiment).where(Experiment.id == run.experiment_id).with_for_update()
    ).one()
    folds = folds_of_cell(session, run)
    if any(fold.state != RunState.DONE for fold in folds):
        return None
    pooled = _pooled_run(session, experiment, folds)
    move(session, pooled, RunState.SCORING)
    dataset = session.get_one(Dataset, pooled.dataset_id)
    evaluations = _evaluations(session, folds)
    evaluation = store_evaluation(
        session, pooled, evaluations[0].labels, _predictions(session, evaluations), evaluations[0].decoding
    )
    score_evaluation(session, evaluation, pooled, default_rules(dataset.task))
    move(session, pooled, RunState.DONE, progress=1.0)
    return pooled


def folds_of_cell(session: Session, run: Run) -> list[Run]:
    """The runs of all folds with the run's model, settings and seed, in the order of the folds."""
    return list(
        session.exec(
            select(Run)
            .where(
                Run.experiment_id == run.experiment_id,
                Run.model == run.model,
                Run.variant == run.variant,
                col(Run.seed).is_not_distinct_from(run.seed),
                col(Run.fold).is_not(None),
            )
            .order_by(col(Run.fold))
            .execution_options(populate_existing=True)
        )
    )


def _pooled_run(session: Session, experiment: Experiment, folds: list[Run]) -> Run:
    first, split = folds[0], session.get_one(Split, experiment.split_id)
    ended = [fold.ended_at for fold in folds if fold.ended_at]
    started = [fold.started_at for fold in folds if fold.started_at]
    run = Run(
        project_id=first.project_id,
        maker_id=first.maker_id,
        experiment_id=first.experiment_id,
        dataset_id=first.dataset_id,
        split_id=experiment.split_id,
        model=first.model,
        seed=first.seed,
        variant=first.variant,
        pooled=True,
        launch_key=f"pool-{first.launch_key}",
        ledger=first.ledger,
        cost_microdollars=sum(fold.cost_microdollars for fold in folds),
        started_at=min(started, default=None),
        ended_at=max(ended, default=None),
        snapshot={
            **first.snapshot,
            "split": split.name,
            "split_sha256": split.sha256,
            "counts": split.counts,
            "design": {"folds": len(folds)},
            "folds": [_fold(fold) for fold in folds],
            "usage": _usage(folds),
            "pooled_from": [fold.id for fold in folds],
            "seconds": sum(
                (fold.ended_at - fold.started_at).total_seconds()
                for fold in folds
                if fold.ended_at and fold.started_at
            ),
        },
    )
    session.add(run)
    session.flush()
    return run


def _fold(run: Run) -> dict[str, Any]:
    """What tells which items one fold was trained on and tested on."""
    stored, counts = run.snapshot, run.snapshot.get("counts") or {}
    name = (stored.get("design") or {}).get("name")
    return {
        "name": name,
        "split_sha256": stored.get("split_sha256"),
        "train": counts.get("train"),
        "test": counts.get("test"),
    }


def _usage(folds: list[Run]) -> dict[str, float | None]:
    """What all folds spent together; None where one of them does not say."""
    said = [fold.snapshot.get("usage") or {} for fold in folds]
    names = {name: None for usage in said for name in usage}
    return {
        name: sum(usage[name] for usage in said)
        if all(isinstance(usage.get(name), int | float) for usage in said)
        else None
        for name in names
    }


def _evaluations(session: Session, folds: list[Run]) -> list[Evaluation]:
    return list(
        session.exec(
            select(Evaluation)
            .where(col(Evaluation.run_id).in_([fold.id for fold in folds]), Evaluation.part == "test")
            .order_by(col(Evaluation.id))
        )
    )


def _predictions(session: Session, evaluations: list[Evaluation]) -> Iterator[NewPrediction]:
    rows = session.exec(
        select(Prediction)
        .where(col(Prediction.evaluation_id).in_([one.id for one in evaluations]))
        .order_by(col(Prediction.number))
    )
    for row in rows:
        yield NewPrediction(*(getattr(row, name) for name in NewPrediction._fields))


def fold_numbers(session: Session, run: Run) -> dict[int, int]:
    """{item number: the fold (from 1) that tested it} of a pooled run; {} for any other run."""
    if not run.pooled:
        return {}
    found: dict[int, int] = {}
    splits = session.exec(
        select(Run.fold, Split.parts)
        .join(Split, col(Split.id) == Run.split_id)
        .where(col(Run.id).in_(run.snapshot["pooled_from"]))
    )
    for fold, parts in splits:
        tested = np.flatnonzero(np.frombuffer(parts, np.uint8) == TEST)
        found.update(dict.fromkeys(tested.tolist(), fold or 0))
    return found
