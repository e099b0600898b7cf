"""The difference between an expected text and an answer, word by word. Pure; called by the items' page."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

PIECE = re.compile(r"\s+|\w+|[^\w\s]+")
# The comparison takes time by the product of both lengths.
MOST_PIECES = 2_000


@dataclass(frozen=True)
class Piece:
    """A run of text: `kind` is "same", "ins" (only in the answer) or "del" (only in the expected text)."""

    kind: str
    text: str


def word_difference(expected: str, answer: str) -> tuple[Piece, ...]:
    """The answer with what it adds and what it lacks; texts too long to compare come as one change."""
    old, new = PIECE.findall(expected), PIECE.findall(answer)
    if max(len(old), len(new)) > MOST_PIECES:
        return _kept([Piece("del", expected), Piece("ins", answer)])
    pieces = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(new[k:m])))
        else:
            pieces += [Piece("del", "".join(old[i:j])), Piece("ins", "".join(new[k:m]))]
    return _kept(pieces)


def _kept(pieces: list[Piece]) -> tuple[Piece, ...]:
    return tuple(piece for piece in pieces if piece.text)
