"""Predicts a part with a causal language model, batch by batch, resumable. Used by starter.py and hub.py."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .generation import generate, read_prompts, score_continuations
from .job import Job
from .predictions import PredictionFile, line
from .reporting import Reporter


@dataclass(frozen=True)
class Predictor:
    """A model with what it takes to ask it. `labels` maps each label to its tokens, the end token included;
    {} where answers are no closed set."""

    model: Any
    pad: int
    ends: set[int]
    decode: Callable[[list[int]], str]
    labels: dict[str, list[int]]
    batch_size: int


def predict(job: Job, reporter: Reporter, predictor: Predictor, part: str, prompts: list[list[int]]) -> None:
    """Writes the predictions of a part, whose rows' prompts are given as tokens.

    Batches are the same whatever was done before a restart, so that the numbers are too.
    """
    import torch

    file, everything = PredictionFile(job.out, part), job.rows(part)
    order = sorted(range(len(prompts)), key=lambda number: (len(prompts[number]), number))
    size = predictor.batch_size
    with torch.inference_mode():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            reporter.progress("predicting", start / len(order), f"{part} item {start:,} of {len(order):,}")
            if any(everything[row]["number"] not in file.done for row in rows):
                batch = [(everything[row], prompts[row]) for row in rows]
                file.add(_batch(job.max_new_tokens, predictor, batch))
    file.finish(everything)
    reporter.progress("predicting", 1.0, f"all {len(order):,} {part} items")
    reporter.log(f"predicted {len(order)} {part} items")


def _batch(
    most_tokens: int, predictor: Predictor, rows: list[tuple[dict[str, Any], list[int]]]
) -> list[dict[str, Any]]:
    begun = time.perf_counter()
    prefix = read_prompts(predictor.model, [prompt for _, prompt in rows], predictor.pad)
    chances: list[list[float]] | None = None
    if predictor.labels:
        scores = score_continuations(predictor.model, prefix, list(predictor.labels.values()))
        chances = scores.softmax(-1).tolist()
    answers = generate(predictor.model, prefix, predictor.ends, most_tokens)
    each = (time.perf_counter() - begun) * 1000 / len(rows)
    return [
        line(
            row,
            predictor.decode(answer.tokens),
            dict(zip(predictor.labels, chances[place], strict=True)) if chances else None,
            answer.logprob,
            each,
            len(answer.tokens),
        )
        for place, ((row, _), answer) in enumerate(zip(rows, answers, strict=True))
    ]


def tell_cut(reporter: Reporter, cut: int, longest: int) -> None:
    """A line in the log when rows did not fit."""
    if cut:
        reporter.log(f"{cut} rows were longer than the {longest} tokens allowed and lost their beginning")


def decoding(job: Job, batch_size: int) -> dict[str, Any]:
    """How answers are made, for resolved.json."""
    return {
        "method": "greedy",
        "temperature": 0,
        "max_new_tokens": job.max_new_tokens,
        "batch_size": batch_size,
        "class_probabilities": "log-probability of each label with its end, normalised over the labels"
        if job.labels
        else None,
    }
