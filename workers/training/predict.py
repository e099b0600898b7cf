"""Predicts a part batch by batch, resumable, with whatever engine answers. Used by starter.py and hub_predict.py."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .failures import out_of_memory
from .files import read_json, write_json
from .job import Job
from .predictions import PredictionFile, line
from .reporting import Reporter


@dataclass(frozen=True)
class Reply:
    """One answer. `p` are the probabilities of the labels, None where answers are no closed set; `logprob` is natural,
    over the whole answer with its end; `tokens` are those of the answer without its end."""

    text: str
    p: dict[str, float] | None
    logprob: float | None
    tokens: int | None


class Engine(Protocol):
    """What answers prompts, which are given as tokens."""

    def prepare(self, prompts: list[list[int]], say: Callable[[str], None]) -> list[list[int]]:
        """Batches of numbers of prompts: a function of the prompts alone, so that a resumed run sees the same."""

    def ask(self, prompts: list[list[int]]) -> list[Reply]:
        """The answers to one batch, in its order."""


def predict(job: Job, reporter: Reporter, engine: Engine, part: str, prompts: list[list[int]]) -> None:
    """Writes the predictions of a part, whose rows' prompts are given as tokens.

    Batches are the same whatever was done before a restart, so that the numbers are too. Where memory does not suffice,
    this batch and those after it are halved; only a single prompt that does not fit raises.
    """
    file, everything = PredictionFile(job.out, part), job.rows(part)
    waiting = engine.prepare(prompts, reporter.log) if prompts else []
    finished = 0
    while waiting:
        rows = waiting.pop(0)
        reporter.progress(
            "predicting", finished / len(prompts), f"{part} item {finished:,} of {len(prompts):,}"
        )
        if any(everything[row]["number"] not in file.done for row in rows):
            lines = _batch(engine, [everything[row] for row in rows], [prompts[row] for row in rows])
            if lines is None:
                half = len(rows) // 2
                reporter.log(f"{len(rows)} prompts at once do not fit into the memory: goes on with {half}")
                waiting = [piece for batch in (rows, *waiting) for piece in _pieces(batch, half)]
                continue
            file.add(lines)
        finished += len(rows)
    file.finish(everything)
    reporter.progress("predicting", 1.0, f"all {len(prompts):,} {part} items")
    reporter.log(f"predicted {len(prompts)} {part} items")


def _pieces(rows: list[int], size: int) -> list[list[int]]:
    return [rows[at : at + size] for at in range(0, len(rows), size)]


def _batch(
    engine: Engine, rows: list[dict[str, Any]], prompts: list[list[int]]
) -> list[dict[str, Any]] | None:
    """The lines of a batch, None where it does not fit into the memory."""
    begun = time.perf_counter()
    try:
        replies = engine.ask(prompts)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or len(rows) == 1:
            raise
        replies = None
    if replies is None:
        # Only now is nothing of the failed batch held any more.
        _free_memory()
        return None
    each = (time.perf_counter() - begun) * 1000 / len(rows)
    return [
        line(row, reply.text, reply.p, reply.logprob, each, reply.tokens)
        for row, reply in zip(rows, replies, strict=True)
    ]


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tell_cut(reporter: Reporter, cut: int, longest: int) -> None:
    """A line in the log when rows did not fit."""
    if cut:
        reporter.log(f"{cut} rows were longer than the {longest} tokens allowed and lost their beginning")


def decoding(job: Job, batch_size: int) -> dict[str, Any]:
    """How answers are made, for resolved.json and the evaluation."""
    way = job.values.get("decoding", "free")
    return {
        "method": "most probable label" if way == "labels" else "greedy",
        "answers": {"free": "free", "labels": "one of the labels", "json_schema": "by a JSON schema"}[way],
        "temperature": 0,
        "max_new_tokens": job.max_new_tokens,
        "batch_size": batch_size,
        "class_probabilities": "log-probability of each label with its end, normalised over the labels"
        if job.labels
        else None,
    }


def note_decoding(job: Job, batch_size: int, program: str) -> None:
    """Writes into resolved.json how answers are really made, and by which program."""
    resolved = read_json(job.out / "resolved.json")
    resolved["decoding"] = {**decoding(job, batch_size), "program": program}
    write_json(job.out / "resolved.json", resolved)
