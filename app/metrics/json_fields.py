"""Field accuracy of JSON: the share of expected values that stand in the answer at their place."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from app.metrics._base import Metric, Sample, Value
from app.metrics._intervals import mean
from app.metrics._json import children, decode
from app.statistics import Sums, mean_of
from app.statistics.sums import Array

Path = tuple[str, ...]
MOST_FIELDS = 100


def compute(sample: Sample) -> Value | None:
    """An answer that is no JSON has no field right. detail["fields"]: {path: {right, n}}, the first 100."""
    if not sample.expected:
        return None
    shares, fields = _shares(sample)
    shown = {path: {"right": right, "n": n} for path, (right, n) in sorted(fields.items())[:MOST_FIELDS]}
    value = mean(shares, sample.groups, (0, 1))
    return replace(value, detail={**value.detail, "fields": shown})


def per_item(sample: Sample) -> Sums:
    """Each item's share of right fields."""
    return mean_of(_shares(sample)[0], np.arange(len(sample.expected)))


def _shares(sample: Sample) -> tuple[Array, dict[str, list[int]]]:
    """(the share of each item, {path: [right, all]})."""
    fields: dict[str, list[int]] = {}
    shares = []
    for gold, answer in zip(sample.expected, sample.answers, strict=True):
        wanted, said = _fields(gold), _fields(answer)
        hits = {path: path in said and said[path] == leaf for path, leaf in wanted.items()}
        shares.append(sum(hits.values()) / len(hits))
        for path, hit in hits.items():
            counts = fields.setdefault(".".join(path), [0, 0])
            counts[0], counts[1] = counts[0] + hit, counts[1] + 1
    return np.array(shares), fields


def _fields(text: str | None) -> dict[Path, tuple[str, Any]]:
    """{path: value} of a JSON text; a text that is no JSON is one value, equal to itself only."""
    if text is None:
        return {}
    valid, value = decode(text)
    return dict(_leaves(value, ())) if valid else {(): ("no JSON", text)}


def _leaves(value: Any, path: Path) -> Iterator[tuple[Path, tuple[str, Any]]]:
    """(path, value) of every value that holds no other; true is told from 1."""
    if not children(value):
        yield path, ("truth" if isinstance(value, bool) else "value", value)
        return
    for name, child in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _leaves(child, (*path, str(name)))


METRIC = Metric(
    name="json_fields",
    label="Field accuracy",
    tasks=("json",),
    direction="higher",
    format="percent",
    formula="mean over items of expected values that stand in the answer under the same keys / expected values",
    source="Slot accuracy: Wu CS et al. (2019), TRADE, ACL. Interval: BCa bootstrap.",
    compute=compute,
    per_item=per_item,
    order=10,
)
