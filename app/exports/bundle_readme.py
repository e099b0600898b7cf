"""The README of a paper bundle."""

from app.exports.markdown import escape, markdown_table
from app.exports.state import PaperState

TEXT = """# {title}

Everything behind a comparison of {runs} on the data set “{name}” (SHA-256 `{sha}`), made with Tunebook.

{table}
## Check every number

```
python3 recompute.py
```

computes the scores, confusion matrices, Wilson intervals, exact tests (with Holm’s correction) and Tango’s
intervals again from the files in `predictions/`, with Python’s standard library alone (3.11 or newer), and says for
each number whether it agrees with the stored one. It ends with 1 when one does not. The bootstrap intervals need
NumPy, SciPy and msgspec in the versions of `recompute/requirements.txt`:

```
python3 -m venv venv && venv/bin/pip install -r recompute/requirements.txt
venv/bin/python recompute.py --bootstrap
```

`sha256sum -c SHA256SUMS` checks that no file was changed.

## What lies where

| Path | What it is |
|---|---|
| `scores.json` | every score with its interval, the pair tests, the answer rules of each run |
| `predictions/` | what each run answered for each test item: CSV (raw) and JSON Lines |
| `data/` | {data} |
| `tables/` | the table as LaTeX, Markdown and CSV |
| `figures/` | the plots as SVG and PDF, with the CSV behind each; in the CSV runs are numbered as in the table |
| `methods.txt`, `references.bib` | the Methods section, and what to cite |
| `configurations/` | of each run: configuration, ledger of hyperparameters, snapshot, answer rules |
| `environment/` | the packages that the runs recorded |
| `page/index.html` | the comparison as a page to read without a server |

In `predictions/`, `answer` is as given, `answer_read` as the answer rules read it, `expected_read` the expected
answer under the same rules, and `p(...)` the probability of a class. `in_train` says whether the item’s input stands in train too, `fold`
which fold of a cross-validation tested it (its split stands in the run’s `snapshot.json`), `judge_mark` what a judge
model gave (0 to 1; its model and prompt stand in `configurations/`). An item is known by the same `item` in every
file. In CSV, nothing and an empty text look alike; JSON Lines tells them apart.
"""


def readme(state: PaperState, *, inputs: bool, data: bool) -> str:
    """The text; `inputs` and `data` say what the bundle holds."""
    parts = ["its hash, the parts of the split and the expected answers of the test part"]
    parts.append("the inputs of the test items" if inputs else "no inputs")
    parts.append("the data file itself" if data else "not the data file")
    runs = f"{len(state.runs)} runs" if len(state.runs) != 1 else "one run"
    return TEXT.format(
        title=f"Paper bundle: {escape(state.dataset.name)}",
        runs=runs,
        name=escape(state.dataset.name),
        sha=state.dataset.sha256,
        table=markdown_table(state),
        data="; ".join(parts),
    )
