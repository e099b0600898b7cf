"""Bootstrap intervals of a run's metrics from its predictions, by Tunebook's own metrics, which lie beside this
file in app/. Needs what requirements.txt names.
"""

from reading import Item

from app.metrics import Sample, for_task

Interval = tuple[float | None, float | None]


def intervals(items: list[Item], task: str, labels: list[str]) -> dict[str, Interval]:
    """{metric: (low, high)} of every metric that has an interval."""
    sample = Sample(
        task=task,
        labels=tuple(labels),
        expected=[item.gold for item in items],
        answers=[item.read for item in items],
        correct=[item.correct for item in items],
        probabilities=[dict(zip(labels, item.p, strict=True)) if item.p else None for item in items],
        groups=[item.group for item in items],
        raw=[item.given for item in items],
        marks=[item.mark for item in items] if any(item.mark is not None for item in items) else (),
    )
    found = {metric.name: metric.compute(sample) for metric in for_task(task) if metric.format != "table"}
    return {name: (value.low, value.high) for name, value in found.items() if value is not None}
