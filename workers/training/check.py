"""`python -m training.check ORIGINAL FRESH`: compares two prediction files item by item. Called by run.sh."""

import sys
from pathlib import Path

from .files import read_lines

SHOWN = 20


def compare(original: Path, fresh: Path) -> int:
    """Prints how many answers agree; returns 0 when all do, 1 when some differ, 2 without anything to compare."""
    before = {row["item"]: row["answer"] for row in read_lines(original)}
    after = {row["item"]: row["answer"] for row in read_lines(fresh)}
    if not before or not after:
        print(f"There is nothing to compare: {original if not before else fresh} is missing or empty.")
        return 2
    differ = [item for item in before if item not in after or before[item] != after[item]]
    print(f"{len(before) - len(differ)} of {len(before)} answers agree.")
    for item in differ[:SHOWN]:
        print(f"  item {item}: was {before[item]!r}, is {after.get(item)!r}")
    if len(differ) > SHOWN:
        print(f"  and {len(differ) - SHOWN} more")
    return 1 if differ or len(after) != len(before) else 0


if __name__ == "__main__":
    sys.exit(compare(Path(sys.argv[1]), Path(sys.argv[2])))
