"""The score table as Markdown (GitHub's pipes), with its caption below."""

import re

from app.exports.score_table import Cell, score_table
from app.exports.state import PaperState

MEANING = re.compile(r"([\\`*_{}\[\]<>#+!|~$&])")


def escape(text: str) -> str:
    """Text in which no character has a meaning to Markdown or HTML; line breaks become blanks."""
    return MEANING.sub(r"\\\1", " ".join(text.split())).replace("\\<", "&lt;").replace("\\>", "&gt;")


def markdown_table(state: PaperState) -> str:
    """The table; numbers are aligned at the right."""
    table = score_table(state)
    rows = [
        _row(["Model", "Seed", *map(escape, table.heads)]),
        _row(["---", "---", *(["---:"] * len(table.heads))]),
        *(_row([escape(line.model), escape(line.seed), *map(_cell, line.cells)]) for line in table.lines),
    ]
    return "\n".join(rows) + "\n\n" + escape(" ".join(table.caption)) + "\n"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    text = f"**{escape(cell.text)}**" if cell.bold else escape(cell.text)
    return f"{text} ({escape(cell.interval)})" if cell.interval else text
