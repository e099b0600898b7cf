"""Writes docs/metrics.md from the metrics themselves: `python -m app.metrics._document > docs/metrics.md`."""

import sys

from app.metrics import Metric, for_task

TASKS = {
    "classification": "Classification",
    "number": "Numbers",
    "list": "Lists",
    "json": "JSON",
    "text": "Text",
}
WAYS = {"higher": "higher is better", "lower": "lower is better", "none": "neither end is better"}
HEAD = """# Metrics

Every score is a function of the test items: their expected answers, the answers as read under the answer rules,
and the class probabilities where a model gives them. `n` says over how many items; an item without an answer
counts as wrong, except in errors of numbers, which are taken over answers that are numbers.

**Intervals** are 95 %. Rates have Wilson's. The others have a bootstrap over items with a fixed seed: 2,000
resamples, bias-corrected and accelerated (Efron 1987); above 5,000 items 200 resamples and the normal interval.
Where a split names groups and the test part holds at least 20, whole groups are drawn, and a rate counts with its
effective number of items. Where all items agree there is no spread to draw from, and no interval is given.

**Two models** are compared on the items that both answered: the difference of their accuracies with Tango's
paired score interval (1998), and the exact McNemar test (1947). The smallest difference that a test set shows
(two-sided 5 %, 80 % power) follows Connor (1987).
"""


def markdown() -> str:
    """The page, one table per task."""
    parts = [HEAD]
    for task, title in TASKS.items():
        rows = "\n".join(_row(metric) for metric in for_task(task))
        parts.append(f"## {title}\n\n| Metric | Name | Formula | Source |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def _row(metric: Metric) -> str:
    label = f"{metric.label} ({WAYS[metric.direction]})" if metric.format != "table" else metric.label
    cells = (label, f"`{metric.name}`", metric.formula, metric.source)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
