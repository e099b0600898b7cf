"""The splits of a design: folds of a dataset with the split that pools them, and nested sizes of train.

Called by app/experiments: first to count (the plan), then to make the rows (the launch). A split that was made
before is found again by its name, so the same design on the same data is the same splits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from app.datasets import folds as deals
from app.datasets.items import PART_NAMES
from app.datasets.make_split import (
    FEW_LABELS,
    Known,
    label_codes,
    read_groups,
    read_known,
    split_facts,
    twins,
)
from app.datasets.split import split_hash
from app.errors import Invalid
from app.tables import Dataset, Split

# Kinds of splits that a design makes: they are not offered where a person chooses a split.
FOLD, POOLED, SIZE = "fold", "pooled", "size"
DESIGN_KINDS = (FOLD, POOLED, SIZE)
MOST_FOLDS = 50


@dataclass(frozen=True)
class Drawing:
    """One split that a design needs: its name, how it is drawn, one byte an item, and what it says."""

    name: str
    kind: str
    parameters: dict[str, Any]
    parts: bytes
    remarks: list[str]
    groups: list[str] = field(default_factory=list)
    group_of: list[int] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Items per part."""
        return {name: self.parts.count(code) for code, name in enumerate(PART_NAMES)}


@dataclass(frozen=True)
class Folds:
    """What a person asks for. `key` or `pattern` keep groups together; `leave_one_out`: a fold per group."""

    folds: int = 5
    seed: int = 1
    key: str = ""
    pattern: str = ""
    leave_one_out: bool = False


def draw_folds(session: Session, dataset: Dataset, asked: Folds) -> list[Drawing]:
    """The pooled split, then one split per fold. Raises Invalid when the folds cannot be dealt."""
    if not 0 <= asked.seed < 2**31:
        raise Invalid(f"The seed is {asked.seed}.", "Use a whole number from 0 to 2,147,483,647.")
    if asked.key or asked.pattern or asked.leave_one_out:
        group_of, groups = _groups(session, dataset, asked.key, asked.pattern)
        fold_of = _group_folds(asked, group_of, groups)
    else:
        group_of, groups = None, []
        fold_of = _item_folds(session, dataset, asked)
    count = int(fold_of.max()) + 1
    names = groups if asked.leave_one_out else [f"fold {number + 1} of {count}" for number in range(count)]
    whole = describe_folds(asked, count)
    remarks = _remarks(fold_of)
    how: dict[str, Any] = {"folds": count, **_by(asked)}
    where = {"groups": groups, "group_of": group_of.tolist()} if group_of is not None else {}
    pooled = Drawing(f"{whole}, pooled"[:100], POOLED, how, deals.pooled_parts(fold_of), remarks, **where)
    return [pooled] + [
        Drawing(
            f"{whole}: {number + 1}"[:100],
            FOLD,
            {**how, "fold": number + 1, "fold_name": names[number]},
            deals.parts_of_fold(fold_of, number),
            remarks,
            **where,
        )
        for number in range(count)
    ]


def describe_folds(asked: Folds, count: int) -> str:
    """The design in a few words: "5 folds, seed 1", "one left out of 12 groups by family"."""
    by = f"{asked.key or asked.pattern}"[:50]
    if asked.leave_one_out:
        return f"one left out of {count} groups by {by}"
    return f"{count} folds, {f'grouped by {by}, ' if by else ''}seed {asked.seed}"


def _by(asked: Folds) -> dict[str, Any]:
    by = {"key": asked.key} if asked.key else {"pattern": asked.pattern} if asked.pattern else {}
    return {**by, **({} if asked.leave_one_out else {"seed": asked.seed})}


def _item_folds(session: Session, dataset: Dataset, asked: Folds) -> Any:
    if not 2 <= asked.folds <= min(MOST_FOLDS, dataset.items):
        raise Invalid(
            f"{asked.folds} folds cannot be made of {dataset.items:,} items.",
            f"Take 2 to {min(MOST_FOLDS, dataset.items)} folds; 5 and 10 are usual.",
            {"folds": f"2 to {min(MOST_FOLDS, dataset.items)}"},
        )
    same = twins(session, dataset)
    return deals.deal(dataset.items, asked.folds, asked.seed, strata(session, dataset), (same[0], same[1]))


def _group_folds(asked: Folds, group_of: Any, groups: list[str]) -> Any:
    if asked.leave_one_out:
        if len(groups) > MOST_FOLDS:
            raise Invalid(
                f"There are {len(groups):,} groups, and each one left out is a run of every model.",
                f"At most {MOST_FOLDS} are taken: group more coarsely, or deal the groups into folds.",
                {"key": f"{len(groups):,} groups, at most {MOST_FOLDS}"},
            )
        return group_of
    if not 2 <= asked.folds <= min(MOST_FOLDS, len(groups)):
        raise Invalid(
            f"{asked.folds} folds cannot be made of {len(groups):,} groups.",
            f"Take 2 to {min(MOST_FOLDS, len(groups))} folds.",
            {"folds": f"2 to {min(MOST_FOLDS, len(groups))}"},
        )
    return deals.deal_groups(group_of, groups, asked.folds, asked.seed)


def _remarks(fold_of: Any) -> list[str]:
    lost = int((fold_of == deals.NEVER).sum())
    said = ["Every item is tested exactly once, by a model that was not trained on it."]
    if lost:
        said = [f"{lost:,} items belong to no group: they are trained on in every fold and never tested."]
    return said


def strata(session: Session, dataset: Dataset) -> Any:
    """Label codes to stratify by; None where answers are no small closed set."""
    return label_codes(session, dataset) if 0 < len(dataset.labels) <= FEW_LABELS else None


def _groups(session: Session, dataset: Dataset, key: str, pattern: str) -> tuple[Any, list[str]]:
    """Groups of a dataset; remembered, as a plan asks again at every change and a dataset never changes."""
    found = _remembered().get(wanted := (dataset.sha256, dataset.id, key, pattern))
    if found is None:
        found = read_groups(session, dataset, key, pattern)
        if len(_remembered()) >= 8:
            _remembered().clear()
        _remembered()[wanted] = found
    return found


@lru_cache
def _remembered() -> dict[Any, tuple[Any, list[str]]]:
    return {}


def draw_sizes(
    session: Session, dataset: Dataset, base: Split, shares: Sequence[float], seed: int
) -> list[Drawing]:
    """One split per share below 1 of the base split's train part, each a part of the next larger one."""
    parts = np.frombuffer(base.parts, np.uint8)
    codes = strata(session, dataset)
    how = "stratified by label" if codes is not None else "without regard to the answers"
    return [
        Drawing(
            f"{share:.4g} of train, seed {seed}, of split {base.id}",
            SIZE,
            {"base": base.id, "share": share, "seed": seed},
            deals.nested(parts, share, seed, codes),
            [
                f"{100 * share:g} % of the train items of {base.name!r}, drawn by seed {seed}, {how}; a smaller share "
                "is a part of a larger one. Validation and test are the same."
            ],
            base.groups,
            base.group_of,
        )
        for share in shares
        if share < 1
    ]


def keep_splits(
    session: Session, dataset: Dataset, maker_id: int, drawings: Sequence[Drawing]
) -> list[Split]:
    """The rows of the drawings, those that are there already found again; in the same order."""
    names = [one.name for one in drawings]
    found = session.exec(
        select(Split).where(
            Split.dataset_id == dataset.id, col(Split.kind).in_(DESIGN_KINDS), col(Split.name).in_(names)
        )
    )
    there = {(split.kind, split.name, split.sha256): split for split in found}
    known = read_known(session, dataset)
    rows = []
    for one in drawings:
        digest = split_hash(dataset.sha256, one.parts)
        row = there.get((one.kind, one.name, digest)) or _row(dataset, maker_id, one, digest, known)
        session.add(row)
        rows.append(row)
    session.flush()
    return rows


def _row(dataset: Dataset, maker_id: int, one: Drawing, digest: str, known: Known) -> Split:
    return Split(
        dataset_id=dataset.id or 0,
        project_id=dataset.project_id,
        maker_id=maker_id,
        name=one.name,
        kind=one.kind,
        parameters=one.parameters,
        parts=one.parts,
        sha256=digest,
        counts=one.counts,
        groups=one.groups,
        group_of=one.group_of,
        remarks=one.remarks,
        facts=split_facts(dataset, known, np.frombuffer(one.parts, np.uint8)),
    )
