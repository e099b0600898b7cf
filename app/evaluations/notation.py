"""How numbers, lists and JSON are written in answers. Pure; used by answers.py."""

import json
import math
import re
from typing import Any

from app.metrics._json import decode

# 1,234.5 · 1234 · .5 · 1,5 (decimal comma) with an exponent as 3e-4, 3 x 10^-4 or 3×10⁻⁴; not part of a word.
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_])(?<![0-9]\.)(?P<sign>[+-])?"
    r"(?P<digits>[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|[0-9]+,[0-9]+(?![0-9,])|[0-9]+\.?[0-9]*|\.[0-9]+)"
    r"(?:[eE](?P<e>[+-]?[0-9]+)(?![0-9.])|\s?[x×·*]\s?10"
    r"(?:\^?(?P<power>(?<=\^)[+-]?[0-9]+|[+-][0-9]+)|(?P<raised>[⁺⁻]?[⁰¹²³⁴-⁹]+)))?"
)
THOUSANDS = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
MINUS = str.maketrans(dict.fromkeys("−‐‑‒–﹣－", "-"))
MAX_DIGITS = 400
BULLET = re.compile(r"^\s*(?:[-*•]|[0-9]{1,3}[.)])\s+")
SEPARATORS = re.compile(r"[,;|\n]")
FENCE = re.compile(r"^```[a-zA-Z]*\s*\n(.*)\n\s*```$", re.DOTALL)


def find_number(text: str) -> str | None:
    """The first number in the text, as Python writes it: "−1,234.5 g" -> "-1234.5"; None when there is none."""
    match = NUMBER.search(text.translate(MINUS))
    if match is None or len(match.group()) > MAX_DIGITS:
        return None
    digits = match["digits"]
    digits = digits.replace(",", "" if THOUSANDS.fullmatch(digits) else ".").rstrip(".")
    exponent = match["e"] or match["power"] or (match["raised"] or "").translate(RAISED)
    number = ("-" if match["sign"] == "-" else "") + digits + (f"e{exponent}" if exponent else "")
    return number if math.isfinite(float(number)) else None


def split_list(text: str) -> list[str]:
    """The distinct elements of a JSON array, or of text with commas, semicolons, bars or line breaks, in order."""
    found, value = parse_json(text)
    if found and isinstance(value, list):
        elements = [one if isinstance(one, str) else write_json(one) for one in value]
    else:
        elements = [BULLET.sub("", element) for element in SEPARATORS.split(text)]
    return list(dict.fromkeys(element.strip() for element in elements if element.strip()))


def join_list(elements: list[str]) -> str:
    """The elements as text that `split_list` reads back: with commas, or as a JSON array where one has a comma."""
    plain = ", ".join(elements)
    return plain if split_list(plain) == elements else write_json(elements)


def parse_json(text: str) -> tuple[bool, Any]:
    """(True, value) of strict JSON, also inside a Markdown fence; (False, None) when it is none."""
    fence = FENCE.match(text.strip())
    return decode(fence.group(1) if fence else text)


def write_json(value: Any, fold: bool = False) -> str:
    """One spelling for equal values: keys sorted, 1.0 as 1; `fold` puts strings in lower case."""
    return json.dumps(_plain(value, fold), sort_keys=True, ensure_ascii=False)


def _plain(value: Any, fold: bool) -> Any:
    if isinstance(value, dict):
        return {(key.casefold() if fold else key): _plain(one, fold) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, fold) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value.casefold() if fold and isinstance(value, str) else value
