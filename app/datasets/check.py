"""Collects what is wrong or odd while a file is read: the first problems in full, all of them counted."""

from collections import Counter
from dataclasses import dataclass, field

from app.datasets.flaws import KEPT, Flaw, Problem, Warned

LINES_NAMED = 10

WARNINGS = {
    "bom": "The file begins with a byte order mark; it was skipped.",
    "crlf": "Lines end with CR LF, as on Windows; they were read as usual.",
    "blank-lines": "Blank lines were skipped.",
    "empty-answer": "The answer is empty: a model would learn to say nothing.",
    "weight-zero": "The last answer has weight 0, so nothing is learned from it.",
    "same-as-rejected": "The rejected answer is the same as the wanted one, so nothing is learned from the pair.",
    "some-without-rejected": "Some rows have no rejected answer while others do; preference training leaves them out.",
    "long-row": "The row is over 4,096 tokens by estimate; models with a shorter context cut it.",
    "long-answer": "The answer is far longer than the others.",
    "some-without-split": "Some rows name no split while others do; they go to train.",
    "no-test-part": "The split key names no TEST row, so a seeded split is drawn instead.",
    "no-validation-part": "The split key names no VALIDATION row; an experiment can draw one from train by seed.",
    "duplicate": "The same prompt with the same answer stands more than once.",
    "contradiction": "The same prompt has different answers.",
    "leak": "The same prompt stands in more than one part of the split, so the test is partly known in training.",
    "near-leak": "Prompts in different parts of the split differ only in upper and lower case or white space.",
}


@dataclass
class Report:
    """What was found in one file. Refused when `problem_count` is not 0."""

    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    items: int = 0
    lines: int = 0
    size: int = 0
    sha256: str = ""
    odd: Counter[str] = field(default_factory=Counter)
    odd_lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, line: int, flaw: Flaw) -> None:
        """Counts a problem, and keeps it in full while there are few."""
        self.problem_count += 1
        if len(self.problems) < KEPT:
            self.problems.append(Problem(line, flaw.where, flaw.code, flaw.message, flaw.hint))

    def warn(self, code: str, lines: list[int], count: int | None = None) -> None:
        """Counts something odd; `count` where more lines have it than are named."""
        self.odd[code] += len(lines) if count is None else count
        named = self.odd_lines.setdefault(code, [])
        named.extend(lines[: LINES_NAMED - len(named)])

    @property
    def warnings(self) -> list[Warned]:
        """The odd things in the order of the list above."""
        return [
            Warned(code, self.odd[code], message, self.odd_lines.get(code, []))
            for code, message in WARNINGS.items()
            if code in self.odd
        ]
