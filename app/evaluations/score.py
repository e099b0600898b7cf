"""All scores of one sample. Called when an evaluation is scored."""

from app.metrics import Sample, Value, for_task


def score(sample: Sample) -> dict[str, Value]:
    """{metric name: value} in the order of display, of the metrics that apply to the sample."""
    computed = ((metric.name, metric.compute(sample)) for metric in for_task(sample.task))
    return {name: value for name, value in computed if value is not None}
