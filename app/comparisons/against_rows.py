"""Every compared model against the baseline as JSON and as lines of a CSV. Called by api.py and routes.py."""

from collections.abc import Iterator
from typing import Any

from app.cells import csv_text, guarded
from app.comparisons.against import Against, AllAgainst
from app.comparisons.queries import Comparison
from app.errors import Invalid

COLUMNS = (
    "model", "runs", "baseline", "baseline_runs", "subset", "items", "groups", "rate", "rate_of_baseline",
    "difference", "low", "high", "p", "p_holm", "verdict",
)  # fmt: skip


def against_json(view: AllAgainst) -> dict[str, Any]:
    """The table as the API gives it: shares of right answers in 0..1, `p_holm` is corrected for all lines;
    `groups` were counted whole (0: items one by one)."""
    return {
        "baseline": [row.run_id for row in view.baseline],
        "sentence": view.sentence,
        "lines": [
            {
                "runs": [row.run_id for row in line.runs],
                "model": line.name,
                **{name: getattr(line, name) for name in COLUMNS[5:]},
            }
            for line in view.lines
        ],
    }


def against_csv(view: Comparison) -> Iterator[bytes]:
    """The CSV, one line per model; raises Invalid where there is nothing to hold against a baseline."""
    found = view.against
    if found is None:
        raise Invalid("One run alone has no baseline.", "Choose another run beside it.")
    lines = [_cells(found, line, view.choice.subset) for line in found.lines]
    return csv_text(COLUMNS, lines)


def _cells(view: AllAgainst, line: Against, subset: str) -> list[Any]:
    runs = [" ".join(str(row.run_id) for row in side) for side in (line.runs, view.baseline)]
    named = [guarded(line.name), runs[0], guarded(view.name), runs[1], subset]
    return [*named, *(getattr(line, name) for name in COLUMNS[5:])]
