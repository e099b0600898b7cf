"""Makes a split of a dataset: reads what the draw depends on, draws, and counts labels and leaks per part.

Called by the check (the first split) and by service.make_split. Only reads the database: the row it returns is
not added to any session.
"""

import time
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from sqlmodel import Session

from app.datasets import split as draws
from app.datasets.index_table import raw_rows
from app.datasets.items import PART_NAMES, TEST, TRAIN, VALIDATION, prompt_text
from app.datasets.leaks import find_ceiling
from app.datasets.split import Drawn
from app.datasets.stored import open_rows
from app.datasets.twins import SORTED, starts_of
from app.errors import Invalid
from app.patterns import compiled
from app.tables import Dataset, Split

KINDS = ("file", "seeded", "grouped")
FEW_LABELS = 50
MOST_GROUPS = 10_000
PATTERN_SECONDS = 60.0
LINES_NAMED = 10
_TWIN = np.dtype([("number", "i4"), ("first", "i4"), ("key", "i8"), ("line", "i4")])


@dataclass(frozen=True)
class SplitRequest:
    """What a person asks for; shares are of all items, `of_train` and `test_of_train` (of a file's own split without a
    validation or test part) are shares of train that become that part. `key` is a metadata key of the rows ("family", "meta.family"), `pattern` a
    regular expression over the prompt whose first group (or whole match) names the item's group."""

    kind: str = "seeded"
    name: str = ""
    seed: int = 1
    test: float = 0.1
    validation: float = 0.1
    key: str = ""
    pattern: str = ""
    test_groups: tuple[str, ...] = ()
    validation_groups: tuple[str, ...] = ()
    of_train: float = 0.0
    test_of_train: float = 0.0


class Known(NamedTuple):
    """What a draw depends on: label codes (None without labels), twins and the numbers of the items with a rejected
    answer, as the functions below give them."""

    codes: Any
    twins: tuple[Any, Any, Any, Any]
    rejected: Any


def draw_split(
    session: Session, dataset: Dataset, request: SplitRequest, known: Known | None = None
) -> Split:
    """The split as a row that is not stored yet; what is not known is read. Raises Invalid when it cannot be made."""
    if not 0 <= request.seed < 2**31:
        raise Invalid(f"The seed is {request.seed}.", "Use a whole number from 0 to 2,147,483,647.")
    known = known or read_known(session, dataset)
    drawn = _draw(session, dataset, request, known)
    parts = np.frombuffer(drawn.parts, np.uint8)
    return Split(
        dataset_id=dataset.id or 0,
        project_id=dataset.project_id,
        maker_id=dataset.maker_id,
        name=request.name.strip()[:100] or default_name(request),
        kind=request.kind,
        parameters=_parameters(request),
        parts=drawn.parts,
        sha256=draws.split_hash(dataset.sha256, drawn.parts),
        counts=drawn.counts,
        groups=drawn.groups,
        group_of=drawn.group_of,
        remarks=drawn.remarks,
        facts=split_facts(dataset, known, parts),
    )


def read_known(session: Session, dataset: Dataset) -> Known:
    """What a draw depends on, read from the index."""
    return Known(label_codes(session, dataset), twins(session, dataset), rejected_items(session, dataset))


def split_facts(dataset: Dataset, known: Known, parts: Any) -> dict[str, Any]:
    """What is stored of a split beside its parts: labels, leaks, ceiling, and {part: items with a rejected answer}."""
    ceiling = find_ceiling(known.codes, known.twins[0], known.twins[2], parts)
    return {
        "labels": balance(dataset.labels, known.codes, parts),
        "leaks": find_leaks(known.twins, parts),
        "ceiling": asdict(ceiling) if ceiling else None,
        "rejected": count_parts(parts, known.rejected),
    }


def count_parts(parts: Any, numbers: Any) -> dict[str, int]:
    """{part: how many of the items with these numbers are in it}; `parts` is one byte an item."""
    counts = np.bincount(np.frombuffer(parts, np.uint8)[numbers], minlength=len(PART_NAMES))
    return dict(zip(PART_NAMES, counts.tolist(), strict=True))


def rejected_items(session: Session, dataset: Dataset) -> Any:
    """The numbers of the items that have a rejected answer."""
    if not dataset.facts.get("rejected"):
        return np.empty(0, np.int64)
    # The word for true is the same in SQLite and PostgreSQL.
    rows = raw_rows(session, dataset.id or 0, "number", "AND rejected = true")
    return np.fromiter((number for (number,) in rows), np.int64)


def default_name(request: SplitRequest) -> str:
    """A name that says what the split is."""
    if request.kind == "file":
        shares = ((request.test_of_train, "test"), (request.of_train, "validation"))
        said = [f", {100 * share:.4g} % of train to {part}" for share, part in shares if share]
        return f"file{''.join(said)}, seed {request.seed}" if said else "file"
    drawn = f"{100 * request.test:g} % test, {100 * request.validation:g} % validation, seed {request.seed}"
    if request.kind == "seeded":
        return f"seeded, {drawn}"
    how = f"grouped by {request.key or 'pattern'}"
    chosen = ", ".join(request.test_groups)
    return f"{how}, {f'{chosen} held out' if chosen else drawn}"[:100]


def _parameters(request: SplitRequest) -> dict[str, Any]:
    if request.kind == "file":
        shares = {"of_train": request.of_train, "test_of_train": request.test_of_train}
        named = {key: value for key, value in shares.items() if value}
        return {**named, "seed": request.seed} if named else {}
    drawn = {"seed": request.seed, "test": request.test, "validation": request.validation}
    if request.kind == "seeded":
        return drawn
    groups = {"test_groups": list(request.test_groups), "validation_groups": list(request.validation_groups)}
    by = {"key": request.key} if request.key else {"pattern": request.pattern}
    return {**by, **drawn, **{key: value for key, value in groups.items() if value}}


def _draw(session: Session, dataset: Dataset, request: SplitRequest, known: Known) -> Drawn:
    few = known.codes is not None and len(dataset.labels) <= FEW_LABELS
    strata = known.codes if few else None
    same = known.twins[:2] if len(known.twins[0]) else None
    if request.kind == "file":
        rows = raw_rows(session, dataset.id or 0, "file_part")
        parts = np.fromiter((part for (part,) in rows), np.uint8, dataset.items)
        if not (parts == TEST).any() and not request.test_of_train:
            raise Invalid("The file's own split names no test row.", "Make a seeded split instead.")
        return draws.from_file(parts, request.of_train, request.seed, strata, same, request.test_of_train)
    if request.kind == "seeded":
        return draws.seeded(dataset.items, request.test, request.validation, request.seed, strata, same)
    if request.kind != "grouped":
        raise Invalid(f"There is no kind of split {request.kind!r}.", f"Choose one of {', '.join(KINDS)}.")
    group_of, groups = read_groups(session, dataset, request.key, request.pattern)
    return draws.grouped(
        group_of,
        groups,
        request.test,
        request.validation,
        request.seed,
        request.test_groups,
        request.validation_groups,
    )


def label_codes(session: Session, dataset: Dataset) -> Any:
    """Each item's index in `dataset.labels` (int16), or None when the dataset has no labels."""
    if not dataset.labels:
        return None
    codes = {label: index for index, label in enumerate(dataset.labels)}
    rows = raw_rows(session, dataset.id or 0, "label")
    return np.fromiter((codes.get(label, -1) for (label,) in rows), np.int16, dataset.items)


def twins(session: Session, dataset: Dataset) -> tuple[Any, Any, Any, Any]:
    """(numbers, first numbers, content keys, lines) of all items that share their prompt with another one."""
    rows = raw_rows(session, dataset.id or 0, "number, same_as, content_key, line", "AND same_as IS NOT NULL")
    dtype = np.dtype([("number", "i4"), ("first", "i4"), ("key", "i8"), ("line", "i4")])
    found = np.fromiter(rows, dtype)
    return found["number"], found["first"], found["key"], found["line"]


def balance(labels: list[str], codes: Any, parts: Any) -> dict[str, dict[str, int]]:
    """{part: {label: items}}; empty without labels."""
    if codes is None:
        return {}
    balance = {}
    for code, name in enumerate(PART_NAMES):
        counts = np.bincount(codes[(parts == code) & (codes >= 0)], minlength=len(labels))
        balance[name] = dict(zip(labels, counts.tolist(), strict=True))
    return balance


def find_leaks(same: tuple[Any, Any, Any, Any], parts: Any) -> dict[str, Any]:
    """How many items share their prompt with an item of another part: exactly, or but for case and blanks.

    {"exact": n, "near": n, "lines": first lines, "near_lines": first lines}; unused items do not count.
    """
    numbers, firsts, keys, lines = same
    # The bit of an unused item is 0, so that it counts for nothing.
    bits = np.array([1 << TRAIN, 1 << VALIDATION, 1 << TEST, 0], np.uint8)[parts[numbers]]
    exact = _in_several(keys, bits) & (bits > 0)
    near = _in_several(firsts, bits) & (bits > 0) & ~exact
    return {
        "exact": int(exact.sum()),
        "near": int(near.sum()),
        "lines": lines[exact][:LINES_NAMED].tolist(),
        "near_lines": lines[near][:LINES_NAMED].tolist(),
    }


def _in_several(keys: Any, bits: Any) -> Any:
    """Whether each item's key stands in more than one part (`bits`: 1, 2 or 4; 0 for none)."""
    several = np.zeros(len(keys), bool)
    pieces = -(-len(keys) // SORTED)
    # One part of the key space after another, as sorting takes several times the memory of the keys.
    for piece in range(pieces):
        own = np.flatnonzero(keys % pieces == piece)
        order = own[np.argsort(keys[own])]
        begins = np.flatnonzero(starts_of(keys[order]))
        seen = np.bitwise_or.reduceat(bits[order], begins) if len(begins) else bits[:0]
        sizes = np.diff(np.append(begins, len(order)))
        several[order] = np.repeat(~np.isin(seen, (0, 1 << TRAIN, 1 << VALIDATION, 1 << TEST)), sizes)
    return several


def read_groups(session: Session, dataset: Dataset, key: str, pattern: str) -> tuple[Any, list[str]]:
    """(each item's index in the groups or -1, the groups' names), by a metadata key or a pattern.

    Raises Invalid for a bad or slow pattern, or when there are fewer than two groups.
    """
    if bool(key) == bool(pattern):
        raise Invalid("Groups need a metadata key or a pattern.", "Give one of the two.")
    read = _by_key(key) if key else _by_pattern(pattern)
    names: dict[str, int] = {}
    group_of = np.full(dataset.items, -1, np.int32)
    with open_rows(dataset) as rows:
        for number, offset, length in raw_rows(session, dataset.id or 0, 'number, "offset", length'):
            group = read(rows, offset, length)
            if group is not None:
                group_of[number] = names.setdefault(group, len(names))
            if len(names) > MOST_GROUPS:
                raise Invalid(f"There are more than {MOST_GROUPS:,} groups.", "Group by something coarser.")
    if len(names) < 2:
        what = f"the key {key!r}" if key else "the pattern"
        found = f"only the group {next(iter(names))!r}" if names else "no group at all"
        raise Invalid(f"By {what} there is {found}.", "Groups need at least two different values.")
    return group_of, list(names)


def _by_key(key: str) -> Any:
    path = key.split(".")

    def read(rows: Any, offset: int, length: int) -> str | None:
        keys = rows.keys(offset, length)
        value = _at(keys, [key]) or _at(keys, path) or _at(keys, ["metadata", *path])
        return str(value[0])[:200] if value else None

    return read


def _at(value: Any, path: list[str]) -> tuple[Any] | None:
    """The scalar at the path, in a tuple; None when there is none."""
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return None
        value = value[step]
    return None if value is None or isinstance(value, dict | list) else (value,)


def _by_pattern(pattern: str) -> Any:
    try:
        expression = compiled(pattern[:1000])
    except ValueError as error:
        raise Invalid(
            f"The pattern is no regular expression that RE2 takes: {error}.",
            r"For example: extract \S+ (\w+)",
            {"pattern": str(error)},
        ) from None
    deadline = time.monotonic() + PATTERN_SECONDS

    def read(rows: Any, offset: int, length: int) -> str | None:
        if time.monotonic() > deadline:
            raise Invalid(
                f"The pattern takes more than {PATTERN_SECONDS:.0f} seconds on these texts.",
                "Write a shorter one that begins with a fixed word, or group by a metadata key.",
                {"pattern": "too slow"},
            )
        found = expression.search(prompt_text(rows.chat(offset, length)[0]))
        return None if found is None else (found[1] if found.re.groups and found[1] else found[0])[:200]

    return read
