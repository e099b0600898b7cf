"""Answers that follow a JSON schema: which tokens may come next, by llguidance. Used by engine.py and vllm_engine.py.

Of white space between the parts at most so much is allowed: a model that has nothing to say would write it for ever.
"""

import json
from typing import TYPE_CHECKING, Any

from .failures import Failure
from .job import Job

if TYPE_CHECKING:
    import torch

WHITE_SPACE = r"[\x20\x0A\x0D\x09]{0,24}"


def check_decoding(job: Job) -> None:
    """Raises Failure, before anything is trained, where the run asks for a decoding that cannot be had."""
    way = job.values.get("decoding", "free")
    if way == "labels" and not job.labels:
        raise Failure(
            "The answers shall be one of the labels, and this data set has none.",
            "Take decoding free; labels are for classification.",
        )
    if way == "json_schema":
        grammar(schema_of(job))


def schema_of(job: Job) -> dict[str, Any]:
    """The JSON schema that the run's answers follow. Raises Failure where it is none."""
    text = str(job.values.get("answer_schema") or "")
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Failure(
            f"The answers shall follow a JSON schema, and {text[:60]!r} is none.",
            "Write the schema as a JSON object into the answer schema, or take decoding free.",
        )
    return found


def grammar(schema: dict[str, Any]) -> str:
    """The schema as llguidance reads it. Raises Failure for a part that it does not know: none is left out silently."""
    try:
        from llguidance import LLMatcher
    except ImportError as error:
        raise Failure(
            "Answers by a JSON schema need the Python package llguidance, which is not installed here.",
            "Install it where the run predicts: pip install llguidance.",
        ) from error
    made: str = LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_pattern": WHITE_SPACE})
    wrong = LLMatcher.validate_grammar(made)
    if wrong:
        raise Failure(
            f"This JSON schema cannot be followed: {wrong.splitlines()[0][:300]}",
            "Simplify that part of the schema, or take decoding free.",
        )
    return made


class Constraint:
    """A JSON schema for one tokenizer, whose answers end with one of `ends`."""

    def __init__(self, schema: dict[str, Any], tokenizer: Any, ends: set[int]) -> None:
        self._grammar = grammar(schema)
        from llguidance.hf import from_tokenizer

        self._tokenizer = from_tokenizer(tokenizer, eos_token=sorted(ends))

    def start(self, count: int) -> "Matchers":
        """For a batch of so many prompts, whose answers begin now."""
        from llguidance import LLMatcher

        return Matchers([LLMatcher(self._tokenizer, self._grammar) for _ in range(count)])


class Matchers:
    """How far each answer of a batch has come; as generation.py asks."""

    def __init__(self, matchers: list[Any]) -> None:
        self._matchers = matchers

    def mask(self, prompts: list[int], vocabulary: int) -> "torch.Tensor":
        """Booleans (prompts, vocabulary): which tokens may come next."""
        import torch

        mask = torch.zeros((len(prompts), vocabulary), dtype=torch.bool)
        for row, prompt in enumerate(prompts):
            allowed = torch.frombuffer(
                bytearray(self._matchers[prompt].compute_logit_bias()), dtype=torch.uint8
            )
            width = min(vocabulary, len(allowed))
            mask[row, :width] = allowed[:width].bool()
        return mask

    def take(self, prompt: int, token: int) -> None:
        """Notes that an answer goes on with `token`, one of those allowed."""
        self._matchers[prompt].consume_token(token)
