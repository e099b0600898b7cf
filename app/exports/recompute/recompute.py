"""Computes every number of this bundle's table again from the predictions beside it: python3 recompute.py

Prints each number with the stored one and whether they agree; ends with 1 when one does not. Standard library
only; with --bootstrap also the bootstrap intervals, for which requirements.txt names NumPy's version.
"""

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import points  # noqa: E402  the files beside this one
from pairs import paired  # noqa: E402
from rates import holm  # noqa: E402
from reading import Item, load, misread  # noqa: E402

Check = tuple[str, str, Any, Any]
COUNTS = ("both", "only_a", "only_b", "neither")


def main() -> int:
    """0 when every number agrees, 1 when one does not, 2 when something to compute with is missing."""
    stored = json.loads((HERE.parent / "scores.json").read_text(encoding="utf-8"))
    labels = stored["labels"]
    items = {run["key"]: load(HERE.parent / run["predictions"], labels) for run in stored["runs"]}
    checks = [*_readings(stored, items), *_scores(stored, items), *_pairs(stored, items)]
    if "--bootstrap" in sys.argv[1:]:
        try:
            from bootstrap import intervals
        except ImportError as error:
            sys.stderr.write(f"{error}. pip install -r recompute/requirements.txt, then run this again.\n")
            return 2
        checks += _intervals(stored, items, intervals)
    return report(checks)


def report(checks: list[Check]) -> int:
    """Prints the checks; the exit code."""
    width = max((len(check[0]) for check in checks), default=0)
    wrong = 0
    for run, name, before, again in checks:
        agrees = same(before, again)
        wrong += not agrees
        words = "agrees" if agrees else "DISAGREES"
        _say(f"{run:<{width}}  {name:<28} {_text(before):>24} {_text(again):>24}  {words}")
    _say(f"{len(checks) - wrong} numbers agree, {wrong} do not.")
    return 1 if wrong else 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.10g}"
    text = "none" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 24 else text[:21] + "..."


def same(one: Any, other: Any) -> bool:
    """Equal, numbers up to a billionth: sums in another order round otherwise."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


def _readings(stored: dict[str, Any], items: dict[str, list[Item]]) -> Iterator[Check]:
    for run in stored["runs"]:
        wrong = misread(items[run["key"]], run["rules"], stored["task"], stored["labels"])
        yield run["key"], "answers read otherwise", [], wrong


def _scores(stored: dict[str, Any], items: dict[str, list[Item]]) -> Iterator[Check]:
    for run, subset, scores, rows in _subsets(stored, items):
        again = points.everything(rows, stored["task"], stored["labels"])
        for name, score in scores.items():
            found = again.get(name)
            if found is not None:
                yield from _score(run, name + subset, score, found)
            elif name in points.METRICS and score["value"] is not None:
                yield run, name + subset, score["value"], None


def _subsets(
    stored: dict[str, Any], items: dict[str, list[Item]]
) -> Iterator[tuple[str, str, dict[str, Any], list[Item]]]:
    """(run, subset's name, stored scores, items): all items, then those that do not stand in train too."""
    for run in stored["runs"]:
        rows = items[run["key"]]
        yield run["key"], "", run["scores"], rows
        if run["unseen"]:
            yield run["key"], ", unseen", run["unseen"], [item for item in rows if not item.in_train]


def _score(run: str, name: str, score: dict[str, Any], found: dict[str, Any]) -> Iterator[Check]:
    if "detail" in found:
        for part, value in found["detail"].items():
            yield run, f"{name}, {part}", score["detail"].get(part), value
        return
    yield run, name, score["value"], found["value"]
    yield run, f"{name}, items", score["n"], found["n"]
    if "low" in found:
        yield run, f"{name}, 95 % interval", [score["low"], score["high"]], [found["low"], found["high"]]


def _pairs(stored: dict[str, Any], items: dict[str, list[Item]]) -> Iterator[Check]:
    known = {key: {one.item: one for one in rows} for key, rows in items.items()}
    ps = []
    for pair in stored["pairs"]:
        a, b = known[pair["a"]], known[pair["b"]]
        shared = [item for item in a if item in b]
        sides = ([side[item].correct for item in shared] for side in (a, b))
        found = paired(*sides, [a[item].group for item in shared])
        name = f"{pair['a']} - {pair['b']}"
        yield name, "2 x 2 counts", [pair[count] for count in COUNTS], found["counts"]
        ps.append(found["p"])
        yield name, f"p over {found['groups']} groups" if found["groups"] else "McNemar p", pair["p"], ps[-1]
        yield (
            name,
            "difference, interval",
            [pair[x] for x in ("difference", "low", "high")],
            found["difference"],
        )
    for pair, p in zip(stored["pairs"], holm(ps), strict=True):
        yield f"{pair['a']} - {pair['b']}", "p corrected by Holm", pair["p_holm"], p


def _intervals(stored: dict[str, Any], items: dict[str, list[Item]], intervals: Any) -> Iterator[Check]:
    for run, subset, scores, rows in _subsets(stored, items):
        for name, (low, high) in intervals(rows, stored["task"], stored["labels"]).items():
            if name in scores:
                ends = [scores[name]["low"], scores[name]["high"]]
                yield run, f"{name}{subset}, bootstrap", ends, [low, high]


if __name__ == "__main__":
    sys.exit(main())
