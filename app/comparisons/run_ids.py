"""The chosen runs as they stand in a URL: runs=1,2,3 or runs=1&runs=2."""

from collections.abc import Sequence

from app.errors import Invalid


def parse_runs(values: Sequence[str]) -> list[int]:
    """The run ids in order, each once; raises Invalid for anything that is no run's number."""
    parts = [part.strip() for value in values for part in value.split(",") if part.strip()]
    if any(not (part.isascii() and part.isdigit() and len(part) < 12) for part in parts):
        raise Invalid(
            "Runs are chosen by their numbers.", "Write for example runs=1,2,3.", {"runs": "not numbers"}
        )
    return list(dict.fromkeys(int(part) for part in parts))
