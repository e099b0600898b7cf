"""Collects the numbers that figures are drawn from: stored scores, and right and wrong by group. For routes."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from app.comparisons.outcomes import group_numbers, read_outcomes
from app.comparisons.queries import MAJORITY, Chosen
from app.evaluations.leaderboard import LeaderboardRow
from app.evaluations.outcomes import Columns
from app.figures import Figure, FigureData, FigureRun, figure_kinds
from app.figures._base import Rate
from app.tables import Run, Split

# What a growing training set puts before the other settings in the name of a run.
OF_TRAIN = re.compile(r"^[\d.e+-]+ % of train(, )?")


def figures(session: Session, chosen: Chosen, subset: str) -> list[Figure]:
    """Every figure that these runs have data for."""
    data = figure_data(session, chosen, subset)
    return [figure for kind in figure_kinds() if (figure := kind.draw(data))]


def figure_data(session: Session, chosen: Chosen, subset: str) -> FigureData:
    """The numbers of the chosen runs, on all items or on the unseen ones, in a fixed number of queries."""
    rows = chosen.rows
    sizes = _train_items(session, [row.run_id for row in rows])
    by_group: dict[int, dict[str, Rate]] = {}
    if chosen.split.groups:
        packed = read_outcomes(session, rows, chosen.splits, subset)
        by_group = {row.run_id: rates_by_group(packed[row.run_id], chosen.split) for row in rows}
    first = next((row.primary for row in rows if row.primary), None)
    majority = next((row.primary.value for row in rows if row.model == MAJORITY and row.primary), None)
    runs = tuple(_run(row, sizes.get(row.run_id), by_group.get(row.run_id, {})) for row in rows)
    return FigureData(
        runs,
        first.label if first else "Score",
        first is not None and first.format == "percent",
        majority,
    )


def rates_by_group(columns: Columns, split: Split) -> dict[str, Rate]:
    """{group: right of n}; items without a group do not count."""
    groups = group_numbers(split, columns.numbers)
    counted = groups >= 0
    sizes = np.bincount(groups[counted], minlength=len(split.groups))
    right = np.bincount(groups[counted & columns.right], minlength=len(split.groups))
    return {
        name: Rate(int(right[place]), int(sizes[place]))
        for place, name in enumerate(split.groups)
        if sizes[place]
    }


def _train_items(session: Session, run_ids: Sequence[int]) -> dict[int, int]:
    """{run id: items in the train part of its split}."""
    found = session.exec(
        select(Run.id, Split.counts)
        .join(Split, col(Split.id) == col(Run.split_id))
        .where(col(Run.id).in_(run_ids))
    )
    return {run_id or 0: int(counts.get("train", 0)) for run_id, counts in found}


def _run(row: LeaderboardRow, train_items: int | None, by_group: dict[str, Rate]) -> FigureRun:
    primary = row.primary
    matrix = _detail(row, "confusion")
    confusion = (matrix["expected"], matrix["answered"], matrix["counts"]) if matrix.get("expected") else None
    return FigureRun(
        run_id=row.run_id,
        model=row.model,
        label=row.label,
        name=row.name,
        colour=row.colour,
        items=row.items,
        train_items=train_items,
        score=(primary.value, primary.low, primary.high) if primary and primary.value is not None else None,
        by_label=_by_label(confusion),
        by_group=by_group,
        calibration=_detail(row, "ece").get("bins", ()),
        entropy=_detail(row, "entropy").get("bins", ()),
        confusion=confusion,
        variant=OF_TRAIN.sub("", row.variant),
    )


def _detail(row: LeaderboardRow, name: str) -> dict[str, Any]:
    score = row.scores.get(name)
    return score.detail if score else {}


def _by_label(confusion: tuple[list[str], list[str], list[list[int]]] | None) -> dict[str, Rate]:
    """{label: how many of its items were answered so}."""
    if confusion is None:
        return {}
    expected, answered, counts = confusion
    return {
        label: Rate(counts[place][answered.index(label)] if label in answered else 0, sum(counts[place]))
        for place, label in enumerate(expected)
    }
