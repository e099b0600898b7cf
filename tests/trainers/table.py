"""The tables of docs/trainers.md, made from the toolkits' own words. `python -m tests.trainers.table` rewrites them."""

from app.trainers._fields import SHARED
from tests.source import ROOT
from tests.trainers.toolkits import toolkits

DOCUMENT = ROOT / "docs" / "trainers.md"


def table() -> str:
    """One row for each toolkit."""
    rows = [
        f"| [{each.label}]({each.source}) | `{each.name}/...` | {each.version} | {each.environment.gigabytes:g} GB, "
        f"Python {each.environment.python[0]} to {each.environment.python[1]} | {each.needs or 'any machine'} | "
        f"{each.state or each.description} |\n"
        for each in toolkits().values()
    ]
    head = "| Toolkit | Models | Version | Environment | Needs | |\n|---|---|---|---|---|---|\n"
    return head + "".join(rows)


def keys() -> str:
    """One row for each shared hyperparameter, one column for each toolkit."""
    known = toolkits().values()
    head = "| | " + " | ".join(each.label for each in known) + " |\n|---|" + "---|" * len(known) + "\n"
    names = [*(shape.name for shape in SHARED if any(shape.name in each.keys for each in known)), "seed"]
    rows = [
        f"| `{name}` | {' | '.join(_cell(each.keys.get(name, '')) for each in known)} |\n" for name in names
    ]
    return head + "".join(rows)


def _cell(key: str) -> str:
    return key.strip("()") if key.startswith("(") else f"`{key}`" if key else "–"


def written(document: str) -> str:
    """The document with both tables as they are now."""
    for name, content in (("table", table()), ("keys", keys())):
        before, _, rest = document.partition(f"<!-- {name} -->\n")
        _, mark, after = rest.partition(f"<!-- end of {name} -->\n")
        document = f"{before}<!-- {name} -->\n{content}{mark}{after}"
    return document


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
