"""Which column of a table is the prompt, the answer and so on: the mapping given, or guessed by name. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from app.datasets.flaws import Flaw

UNMAPPED = "unmapped-columns"
FIELDS = ("prompt", "answer", "rejected", "system", "split")
# An empty name of one of these means that there is no such column, also where one could be guessed.
OPTIONAL = ("rejected", "system", "split")
# Names in the order of preference; compared without case, blanks and punctuation.
NAMES = {
    "prompt": ("prompt", "input", "question", "instruction", "query", "user", "text", "sentence", "request"),
    "answer": ("completion", "answer", "output", "response", "target", "label", "expected", "assistant",
               "class", "category", "gold", "y", "chosen", "preferred", "preferredoutput"),
    "rejected": ("rejected", "rejectedmessage", "rejectedanswer", "rejectedresponse", "nonpreferred",
                 "nonpreferredoutput"),
    "system": ("system", "systemprompt", "systemmessage"),
    "split": ("split", "part", "subset", "fold"),
}  # fmt: skip


def map_columns(columns: Sequence[str], mapping: Mapping[str, Any]) -> dict[str, str]:
    """{"prompt": column, "answer": column, perhaps "rejected", "system" and "split"}.

    `mapping` wins; what it leaves out is guessed by name. Raises Flaw that names the columns.
    """
    found = ", ".join(repr(column) for column in columns[:30]) or "none"
    given = {name: str(column) for name, column in mapping.items() if name in FIELDS and column}
    for name, column in given.items():
        if column not in columns:
            raise Flaw(
                UNMAPPED,
                name,
                f"The mapping names the column {column!r} for {name}, but the columns are {found}.",
                "Choose one of them for the prompt and one for the answer.",
            )
    plain = {_plain(column): column for column in reversed(columns)}
    for name, guesses in NAMES.items():
        free = {key: column for key, column in plain.items() if column not in given.values()}
        guess = next((free[key] for key in guesses if key in free), None)
        if guess is not None and not (name in OPTIONAL and name in mapping):
            given.setdefault(name, guess)
    absent = [name for name in ("prompt", "answer") if name not in given]
    if absent:
        raise Flaw(
            UNMAPPED,
            "header",
            f"It is not clear which column is the {' and which the '.join(absent)}. The columns are {found}.",
            'Say which is which, for example {"prompt": "question", "answer": "label"}; the file is kept for that.',
        )
    return {name: given[name] for name in FIELDS if name in given}


def _plain(column: str) -> str:
    return "".join(letter for letter in column.casefold() if letter.isalnum())


def scalar_keys(row: Mapping[str, Any], before: str = "", depth: int = 3) -> Iterator[str]:
    """The keys of a row whose values are text, numbers or truth values; nested ones as "outer.inner"."""
    for key, value in row.items():
        if isinstance(value, dict) and depth:
            yield from scalar_keys(value, f"{before}{key}.", depth - 1)
        elif isinstance(value, str | int | float) and "." not in key:
            yield f"{before}{key}"
