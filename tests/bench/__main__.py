"""Runs all benchmarks, or those named, and prints one line a figure; exits 1 when one is short of its target."""

import sys
from importlib import import_module
from pathlib import Path


def main(names: list[str]) -> int:
    """Returns the exit code."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem[0] != "_")
    if strangers := set(names) - set(found):
        print(
            f"no such benchmark: {', '.join(sorted(strangers))}; there are {', '.join(found)}",
            file=sys.stderr,
        )
        return 2
    short = 0
    for name in names or found:
        for figure in import_module(f"tests.bench.{name}").figures():
            print(figure, flush=True)
            short += not figure.ok
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
