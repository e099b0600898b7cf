"""A loaded language model with what it takes to ask it. Made by loading.py, asked by lane.py."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workers.training.constrained import Matchers, grammar

Messages = list[dict[str, Any]]
# Sets of labels and schemas that were asked with and stay known.
KEPT = 16


@dataclass
class Language:
    """One tuned run, or one base model.

    `encode` gives a chat's tokens as the run's own prompts were made, `label` the tokens of a label as the answer, its
    end included. `labels`, `choose` and `schema` are the run's own way to answer, `most` its longest answer in tokens.
    `limit` is the longest text that the model can hold. `plain`: its attention heeds no masks, so it is asked one text
    at a time; `joins`: texts may join a running batch. `activate` makes this adapter the base's active one.
    """

    id: str
    model: Any
    tokenizer: Any
    pad: int
    ends: set[int]
    decode: Callable[[list[int]], str]
    encode: Callable[[Messages, Any], list[int]]
    label: Callable[[str], list[int]]
    labels: dict[str, list[int]]
    most: int
    limit: int
    choose: bool = False
    schema: dict[str, Any] | None = None
    plain: bool = False
    joins: bool = True
    bytes: int = 0
    activate: Callable[[], None] = lambda: None
    release: Callable[[], None] = lambda: None
    _known: dict[Any, Any] = field(default_factory=dict)

    def decode_one(self, token: int) -> str:
        """A token by itself, special ones by their names; bytes that are no whole character as U+FFFD."""
        return str(self.tokenizer.decode([token], skip_special_tokens=False))

    def labels_of(self, wanted: tuple[str, ...] | None) -> dict[str, list[int]]:
        """The labels to weigh: those asked for, else the run's own."""
        if wanted is None:
            return self.labels
        return self._keep(wanted, lambda: {label: self.label(label) for label in wanted})

    def matcher(self, schema: dict[str, Any] | None) -> Any:
        """Follows one answer by the schema asked for, else the run's own; None where there is none. Raises Failure for a
        schema that cannot be followed."""
        schema = schema if schema is not None else self.schema
        if schema is None:
            return None
        made = self._keep(repr(schema), lambda: grammar(schema))
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        if "tokenizer" not in self._known:
            self._known["tokenizer"] = from_tokenizer(self.tokenizer, eos_token=sorted(self.ends))
        return Matchers([LLMatcher(self._known["tokenizer"], made)])

    def _keep(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            for old in [old for old in self._known if old != "tokenizer"][: max(0, len(self._known) - KEPT)]:
                del self._known[old]
            self._known[key] = make()
        return self._known[key]
