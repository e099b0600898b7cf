"""The score table as LaTeX (booktabs). Every text is escaped so that pdfLaTeX, XeLaTeX and LuaLaTeX all take it."""

import re
import unicodedata

from app.exports.score_table import Cell, Line, ScoreTable, score_table
from app.exports.state import PaperState

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%",
    "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
    ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}", "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}", "[": "{[}", "]": "{]}",
}  # fmt: skip
# Signs that stand in tables and names of models; letters with accents are taken as they are.
SIGNS = {
    "−": r"$-$", "–": r"\textendash{}", "—": r"\textemdash{}", "×": r"$\times$", "·": r"$\cdot$", "±": r"$\pm$",
    "≥": r"$\geq$", "≤": r"$\leq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "…": r"\ldots{}", "°": r"$^\circ$",
    "²": r"$^2$", "³": r"$^3$", "µ": r"$\mu$", "“": r"\textquotedblleft{}", "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}", "’": r"\textquoteright{}", "\u00a0": "~", "\u202f": r"\,", "\u2009": r"\,",
    "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$", "δ": r"$\delta$", "ε": r"$\epsilon$", "κ": r"$\kappa$",
    "λ": r"$\lambda$", "μ": r"$\mu$", "π": r"$\pi$", "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$",
    "χ": r"$\chi$", "ω": r"$\omega$", "Δ": r"$\Delta$", "Σ": r"$\Sigma$", "Ω": r"$\Omega$",
}  # fmt: skip
LETTERS = re.compile("[À-ÖØ-öø-ĦĨ-ıĴ-ķĹ-ňŊ-ſ]")
# The text of an article is 345 pt wide. Points of Computer Modern at 10 pt, and the gap between two columns.
WIDEST, LETTER, SMALL_LETTER, GAP = 340, 4.3, 4.0, 6
# Letters that need fonts or packages which a paper may lack.
RARE = "ĿŀĸŉſŦŧĦħĀāĒēĪīŌōŪūĈĉĜĝĤĥĴĵŜŝĊċĖėĨĩĬĭĔĕĎŎŏŨũŬŭŲųĮįĢģĶķĻļŅņŖŗŴŵŶŷ"


def escape(text: str) -> str:
    """Text for LaTeX. A sign that pdfLaTeX may lack becomes its code point, for example U+1F600; control
    characters become blanks."""
    written = "".join(map(_character, unicodedata.normalize("NFC", text)))
    # Two hyphens would become a dash.
    return written.replace("--", "-{}-").replace("--", "-{}-")


def _character(one: str) -> str:
    if one in SPECIAL:
        return SPECIAL[one]
    if one in SIGNS:
        return SIGNS[one]
    if " " <= one <= "~" or (LETTERS.match(one) and one not in RARE):
        return one
    if unicodedata.category(one) in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    return rf"\texttt{{U+{ord(one):04X}}}"


def latex_table(state: PaperState) -> str:
    """A `table` environment; its first line says which packages it needs.

    In a wide table intervals stand below their values; what is wider than the column of text is made smaller.
    """
    table = score_table(state)
    stacked = _width(table) > WIDEST
    lines = [
        r"% Needs \usepackage{booktabs}, \usepackage{graphicx}, \usepackage[T1]{fontenc} and \usepackage{textcomp}.",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{3pt}\setlength{\abovetopsep}{4pt}",
        rf"\caption{{{escape(' '.join(table.caption))}}}",
        rf"\label{{tab:{label_of(state)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}ll{'r' * len(table.heads)}@{{}}}}",
        r"\toprule",
        " & ".join(["Model", "Seed", *map(_head, table.heads)]) + r" \\",
        r"\midrule",
        *_body(table, stacked),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _width(table: ScoreTable) -> float:
    """About how wide the table is with intervals beside their values, in points at 10 pt."""
    columns = [
        [len(line.model) * LETTER for line in table.lines],
        [len(line.seed) * LETTER for line in table.lines],
    ]
    for place, head in enumerate(table.heads):
        cells = [line.cells[place] for line in table.lines]
        columns.append([_cell_width(cell) for cell in cells])
        columns[-1].append(max(map(len, _two_lines(head))) * LETTER)
    return sum(max(column, default=0) for column in columns) + GAP * (len(columns) - 1)


def _cell_width(cell: Cell) -> float:
    value, interval = len(cell.text) * LETTER, len(cell.interval.replace(" to ", "-")) + 2
    return value + LETTER + interval * SMALL_LETTER if cell.interval else value


def label_of(state: PaperState) -> str:
    """A label of letters, digits and hyphens from the dataset's name."""
    plain = unicodedata.normalize("NFKD", state.dataset.name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40] or state.dataset.sha256[:8]


def _head(text: str) -> str:
    """The head of a column; a long one stands in two lines."""
    lines = [escape(line) for line in _two_lines(text)]
    return lines[0] if len(lines) == 1 else rf"\shortstack[r]{{{lines[0]}\\{lines[1]}}}"


def _two_lines(text: str) -> list[str]:
    words = text.split()
    if len(text) < 14 or len(words) < 2:
        return [text]
    half = min(range(1, len(words)), key=lambda i: abs(len(" ".join(words[:i])) - len(" ".join(words[i:]))))
    return [" ".join(words[:half]), " ".join(words[half:])]


def _body(table: ScoreTable, stacked: bool) -> list[str]:
    body: list[str] = []
    before = ""
    for line in table.lines:
        if before and line.model != before and any(one.summary for one in table.lines):
            body.append(r"\addlinespace")
        body.append(_line(line, line.model == before, stacked))
        before = line.model
    return body


def _line(line: Line, again: bool, stacked: bool) -> str:
    seed = rf"\emph{{{escape(line.seed)}}}" if line.summary else escape(line.seed)
    cells = [_cell(cell, stacked) for cell in line.cells]
    return " & ".join(["" if again else escape(line.model), seed, *cells]) + r" \\"


def _cell(cell: Cell, stacked: bool) -> str:
    text = rf"\textbf{{{escape(cell.text)}}}" if cell.bold else escape(cell.text)
    if not cell.interval:
        return text
    ends = escape(cell.interval).replace(" to ", r"\textendash{}")
    if "$-$" in ends:
        ends = escape(cell.interval)
    if stacked:
        return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{text}\\[-2pt]{{\scriptsize {ends}}}\end{{tabular}}"
    return rf"{text} {{\scriptsize ({ends})}}"
