"""Answer rules: how an answer is read, and when it is right. Pure; used by scoring, import and the run page.

The expected answer is read by the same rules. Order: strip, pattern, case, alias; then by task as a label,
number, list or JSON.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, lru_cache
from typing import Any

from app.evaluations.notation import find_number, join_list, parse_json, split_list, write_json
from app.patterns import compiled

MAX_PATTERN = 500
MAX_ALIASES = 2_000


@dataclass(frozen=True)
class Rules:
    """The rules of one scoring. `aliases` are {as written: as meant}; `pattern` is a regular expression whose
    first group (or whole match) is the answer; a number is right within the larger of the two tolerances,
    the relative one being a share of the expected number."""

    strip: bool = True
    ignore_case: bool = False
    aliases: dict[str, str] = field(default_factory=dict)
    pattern: str = ""
    absolute_tolerance: float = 0.0
    relative_tolerance: float = 0.0

    @cached_property
    def meanings(self) -> dict[str, str]:
        """The aliases after strip and case."""
        return {_plain(written, self): _plain(meant, self) for written, meant in self.aliases.items()}

    def to_json(self) -> dict[str, Any]:
        """The rules as stored and as the API gives them."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Any) -> "Rules":
        """Rules from what was stored or sent; what is left out has its default. ValueError says what is wrong."""
        if not isinstance(values, dict):
            raise ValueError('they must be an object, for example {"ignore_case": true}.')
        known = [one.name for one in fields(cls)]
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise ValueError(f"there is no rule {unknown[0]!r}; the rules are {', '.join(known)}.")
        for name, value in values.items():
            CHECKS[name](name, value)
        numbers = {name: float(value) for name, value in values.items() if name.endswith("_tolerance")}
        return cls(**{**values, **numbers})


def _check_switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, not {value!r}.")


def _check_aliases(name: str, value: Any) -> None:
    if not isinstance(value, dict) or not all(
        isinstance(text, str) for pair in value.items() for text in pair
    ):
        raise ValueError('aliases must map text to text, for example {"V": "VL"}.')
    if len(value) > MAX_ALIASES:
        raise ValueError(f"{len(value):,} aliases are too many: at most {MAX_ALIASES:,} are taken.")
    if "" in value:
        raise ValueError("an alias must say what was written: one has nothing before its `=`.")


def _check_pattern(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"pattern must be text, not {value!r}.")
    if len(value) > MAX_PATTERN:
        raise ValueError(f"the pattern has {len(value)} characters: at most {MAX_PATTERN} are taken.")
    try:
        compiled(value)
    except ValueError as error:
        raise ValueError(
            f"the pattern {value!r} is no regular expression that RE2 takes: {error}."
        ) from error


def _check_tolerance(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} must be a number from 0 up, not {value!r}.")


CHECKS = {
    "strip": _check_switch,
    "ignore_case": _check_switch,
    "aliases": _check_aliases,
    "pattern": _check_pattern,
    "absolute_tolerance": _check_tolerance,
    "relative_tolerance": _check_tolerance,
}


def default_rules(task: str) -> Rules:
    """What answers are read by when nobody has set anything. A number is right within 5 %, the "relaxed
    accuracy" of Methani et al. (2020), PlotQA, WACV."""
    return Rules(relative_tolerance=0.05) if task == "number" else Rules()


def read_answers(
    texts: Iterable[str | None], rules: Rules, task: str, labels: Sequence[str]
) -> list[str | None]:
    """`read_answer` for a whole run; None stays None."""
    labels = tuple(labels)
    return [None if text is None else read_answer(text, rules, task, labels) for text in texts]


def read_answer(text: str, rules: Rules, task: str, labels: Sequence[str]) -> str | None:
    """The answer as read: a label's own spelling, a number, a list, JSON with sorted keys, or the text.

    None where the pattern finds nothing, or a number is asked for and none is there. What is no label, or no
    JSON, stays as written, to be seen.
    """
    if rules.pattern:
        found = _find(rules, text)
        if found is None:
            return None
        text = found
    return _read(text, rules, task, tuple(labels))


def read_expected(text: str, rules: Rules, task: str, labels: Sequence[str]) -> str:
    """The expected answer, read in the same way; where the pattern or a number is not there, as it stands."""
    found = _find(rules, text) if rules.pattern else text
    read = _read(text if found is None else found, rules, task, tuple(labels))
    return text if read is None else read


def _find(rules: Rules, text: str) -> str | None:
    match = compiled(rules.pattern).search(text.strip() if rules.strip else text)
    if match is None:
        return None
    return next((group for group in match.groups() if group is not None), match.group())


def _read(text: str, rules: Rules, task: str, labels: tuple[str, ...]) -> str | None:
    if task == "list":
        elements = [_meant(element, rules) for element in split_list(_meant(text, rules))]
        read: str | None = join_list(list(dict.fromkeys(elements)))
    elif task == "json":
        text = rules.meanings.get(_plain(text, rules), text)
        found, value = parse_json(text)
        read = write_json(value, rules.ignore_case) if found else _plain(text, rules)
    else:
        read = _meant(text, rules)
        if task == "number":
            read = find_number(read)
        elif task == "classification":
            read = _spellings(labels, rules.strip, rules.ignore_case).get(read, read)
    # A database takes no NUL, which JSON can spell.
    return None if read is None else read.replace("\0", "\N{SYMBOL FOR NULL}")


def _plain(text: str, rules: Rules) -> str:
    text = text.strip() if rules.strip else text
    return text.casefold() if rules.ignore_case else text


def _meant(text: str, rules: Rules) -> str:
    """The text after strip, case and alias."""
    text = _plain(text, rules)
    return rules.meanings.get(text, text)


@lru_cache(maxsize=256)
def _spellings(labels: tuple[str, ...], strip: bool, ignore_case: bool) -> dict[str, str]:
    """{label after strip and case: its own spelling}; a form that fits two labels means neither of them."""
    rules, found = Rules(strip=strip, ignore_case=ignore_case), {}
    forms = [_plain(label, rules) for label in labels]
    for label, form in zip(labels, forms, strict=True):
        if forms.count(form) == 1:
            found[form] = label
    return found


def is_correct(read: str | None, expected: str, rules: Rules, task: str) -> bool:
    """Whether the answer as read is right; `expected` is the dataset's text, read here by the same rules."""
    if read is None:
        return False
    gold = read_expected(expected, rules, task, ())
    if task == "number":
        return _close(read, gold, rules)
    if task == "list":
        return set(split_list(read)) == set(split_list(gold))
    return _plain(read, rules) == _plain(gold, rules)


def _close(read: str, gold: str, rules: Rules) -> bool:
    try:
        number, wanted = float(read), float(gold)
    except ValueError:
        return False
    # The last term forgives the rounding of binary fractions, such as 1.05 - 1.
    allowed = max(rules.absolute_tolerance, rules.relative_tolerance * abs(wanted)) + 1e-9 * abs(wanted)
    return abs(number - wanted) <= allowed


def describe(rules: Rules) -> list[str]:
    """The rules as plain sentences, in the order in which they work."""
    said = []
    if rules.pattern:
        said.append(
            f"The answer is what the regular expression {rules.pattern} finds; nothing found is no answer."
        )
    if rules.strip:
        said.append("Blanks before and after the answer do not count.")
    if rules.ignore_case:
        said.append("Upper and lower case count the same.")
    said += [f"“{written}” means “{label}”." for written, label in rules.aliases.items()]
    tolerances = []
    if rules.absolute_tolerance:
        tolerances.append(f"{rules.absolute_tolerance:g}")
    if rules.relative_tolerance:
        tolerances.append(f"{100 * rules.relative_tolerance:g} % of the expected number")
    if tolerances:
        said.append(f"A number is right when it is at most {' or '.join(tolerances)} away.")
    return said or ["Answers count exactly as they are given."]
