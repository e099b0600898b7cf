"""Runs a baseline: fits it on the training part in one go and predicts the test part. Called by __main__.py."""

import time

from .files import write_json
from .job import Job, answer_text, prompt_text
from .machine import EnergyMeter, write_environment, write_usage
from .predictions import PredictionFile, line
from .reporting import Reporter

PACKAGES = ("numpy", "scipy", "scikit-learn")
AT_ONCE = 256
SHOWN = 2


def run(job: Job, reporter: Reporter) -> None:
    """Fits and predicts. A restart fits again: the fit is deterministic and takes seconds."""
    import baselines
    from baselines._base import Example, Setting

    meter = EnergyMeter()
    kind = baselines.load(job.model.partition("/")[2])
    write_environment(job.out, job.threads, PACKAGES)
    reporter.resolved(job.values, {"method": "the most probable answer", "temperature": 0})
    examples = [
        Example(prompt_text(row["messages"][:-1]), answer_text(row["messages"][-1])) for row in job.train
    ]
    _write_preview(job, examples)
    setting = Setting(job.task, tuple(job.labels), job.values, job.seed, job.threads)
    reporter.progress("training", 0.0, f"fitting on {len(examples):,} items")
    started = time.perf_counter()
    model = kind.fit(examples, setting)
    train_seconds = time.perf_counter() - started
    reporter.log(f"fitted on {len(examples)} items in {train_seconds:.2f} s")
    reporter.progress("training", 1.0, "fitted")
    for part in job.predict:
        _predict(job, reporter, model, part)
    write_usage(job.out, train_seconds, None, meter.joules())


def _predict(job: Job, reporter: Reporter, model: object, part: str) -> None:
    file, everything = PredictionFile(job.out, part), job.rows(part)
    for start in range(0, len(everything), AT_ONCE):
        said = f"{part} item {start:,} of {len(everything):,}"
        reporter.progress("predicting", start / len(everything), said)
        rows = everything[start : start + AT_ONCE]
        begun = time.perf_counter()
        answers = model.predict([prompt_text(row["prompt"]) for row in rows])  # type: ignore[attr-defined]
        each = (time.perf_counter() - begun) * 1000 / len(rows)
        file.add(
            line(row, answer.text, answer.p, latency_ms=each)
            for row, answer in zip(rows, answers, strict=True)
        )
    file.finish(everything)
    reporter.progress("predicting", 1.0, f"all {len(everything):,} {part} items")


def _write_preview(job: Job, examples: list) -> None:
    preview = [
        {
            "item": row["item"],
            "tokens": None,
            "segments": [
                {"text": example.text + "\n", "trained": False},
                {"text": example.answer, "trained": True},
            ],
        }
        for row, example in zip(job.train[:SHOWN], examples, strict=False)
    ]
    write_json(job.out / "preview.json", preview)
