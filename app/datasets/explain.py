"""Says in plain English why a line of JSON was refused, and finds doubled keys. Used by parse.py on odd lines only."""

import json
import re
from typing import Any, Never

import msgspec

from app.datasets.flaws import Flaw
from app.datasets.items import ROLES
from app.datasets.rows import FORMATS, RowFormat

_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_EXPECTED = re.compile(r"Expected `(?P<wanted>.+)`, got `(?P<found>.+)`")
_MISSING = re.compile(r"Object missing required field `(?P<key>.+)`")
_ENUM = re.compile(r"Invalid enum value '?(?P<value>.*?)'?$", re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_WORDS = {
    "str": "text", "array": "a list", "object": "an object", "int": "a whole number", "float": "a number",
    "bool": "true or false", "null": "null",
}  # fmt: skip


def check_bytes(line: bytes, byte_offset: int = 0) -> str:
    """The line as text. Raises Flaw for bytes that are not UTF-8 and for NUL, raw or escaped."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise Flaw(
            "utf-8",
            f"byte {error.start + 1}",
            f"Byte {error.start + 1} of the line (0x{line[error.start]:02X}, byte {byte_offset + error.start + 1} "
            "of the file) is not valid UTF-8.",
            "Save the file as UTF-8. It may be in Latin-1, Windows-1252 or UTF-16 now.",
        ) from None
    if "\x00" in text:
        place = text.index("\x00") + 1
        raise Flaw("nul", f"character {place}", "The line holds a NUL byte.", "Remove the NUL bytes.")
    if found := _NUL.search(line):
        raise Flaw(
            "nul",
            f"character {found.end() - 5}",
            "The text holds a NUL character (\\u0000), which cannot be stored.",
            "Remove the NUL characters.",
        )
    return text


def refuse(text: str, kind: RowFormat, error: Exception) -> Never:
    """Raises the Flaw that explains why `text` is no row of this format; `error` is what the decoder said."""
    if isinstance(error, RecursionError):
        raise _too_deep() from None
    if "out of range" in str(error):
        raise Flaw(
            "not-a-number", "", "A number is too large to be read.", "Write it in quotes if it is text."
        )
    if isinstance(error, msgspec.ValidationError) and _is_json(text):
        _refuse_value(text, kind, str(error))
    try:
        json.loads(text, parse_constant=_refuse_constant, parse_int=float)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as flaw:
        raise Flaw(
            "bad-json",
            f"character {flaw.pos + 1}",
            f"This is not valid JSON: {_said(flaw)} at character {flaw.pos + 1}, near {_near(text, flaw.pos)}.",
            "Put one whole JSON object on each line; a JSON library writes the quotes and commas for you.",
        ) from None
    raise Flaw(
        "lone-surrogate",
        _surrogate_place(text),
        "A \\uD800-\\uDFFF escape stands alone, so it is only half a character.",
        "Write both halves of the pair, or the character itself in UTF-8; truncated emoji are the usual cause.",
    )


def _is_json(text: str) -> bool:
    """Whether the whole line is JSON: a wrong value may stand before a place where it is not."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def check_doubled_keys(line: bytes, text: str, found: int) -> None:
    """Raises Flaw if an object in the line names a key twice; `found` is the number of keys in the text."""
    if _count_keys(msgspec.json.decode(line)) != found:
        json.loads(text, object_pairs_hook=_refuse_doubled, parse_int=float)


def count_keys_in(text: str) -> int:
    """The number of `"key":` in a line of JSON."""
    return len(_KEY.findall(text))


_KEY = re.compile(r'"(?:[^"\\]|\\.)*"[ \t\r]*(?=:)', re.DOTALL)


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum([_count_keys(v) for v in value.values() if isinstance(v, dict | list)])
    return (
        sum([_count_keys(v) for v in value if isinstance(v, dict | list)]) if isinstance(value, list) else 0
    )


def _refuse_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Flaw(
            "duplicate-key",
            twice,
            f"The key {twice!r} stands twice in one object, so it is unclear which one counts.",
            "Keep one of the two.",
        )
    return made


def _refuse_constant(name: str) -> Never:
    raise Flaw(
        "not-a-number",
        name,
        f"{name} is not valid JSON.",
        'Write null, leave the key out, or put it in quotes ("NaN") if it is meant as text.',
    )


def _too_deep() -> Flaw:
    return Flaw(
        "too-deep",
        "",
        "Lists or objects are nested too deeply to be read.",
        "A row needs only a few levels; check the program that wrote the line.",
    )


def _refuse_value(text: str, kind: RowFormat, said: str) -> None:
    at = _AT.search(said)
    path = at["path"] if at else ""
    said = said[: at.start()] if at else said
    if path in ("", "..."):
        _refuse_row(text, kind, said)
    if missing := _MISSING.match(said):
        key = missing["key"]
        raise Flaw("missing-key", path, f"The key {key!r} is missing.", f"A row looks like {kind.example}")
    if expected := _EXPECTED.match(said):
        wanted, found = (_in_words(expected[part]) for part in ("wanted", "found"))
        raise Flaw("wrong-type", path, f"Expected {wanted}, found {found}.", f"Write {wanted} there.")
    if (wrong := _ENUM.match(said)) and path.endswith("role"):
        message = f"The role {wrong['value'][:40]!r} is not known."
        raise Flaw("unknown-role", path, message, f"Use one of {', '.join(ROLES)}.")
    if wrong and path.endswith("content[...].type"):
        message = f"This part of the message is {wrong['value'][:40]!r}; only text can be learned here."
        raise Flaw("wrong-type", path, message, "Keep only parts of type text.")
    hint = "Use 0 or 1." if path.endswith("weight") else "Change the value."
    raise Flaw("wrong-type", path, f"{said}.", hint)


def _refuse_row(text: str, kind: RowFormat, said: str) -> None:
    if (expected := _EXPECTED.match(said)) and expected["wanted"] == "object":
        found = _in_words(expected["found"])
        raise Flaw("not-an-object", "", f"The line is {found}, not an object.", f"Write {kind.example}")
    missing = _MISSING.match(said)
    if not missing:
        return
    row = msgspec.json.decode(text)
    for other in FORMATS.values():
        if other.row is not kind.row and other.marks <= row.keys():
            message = f"This line is {other.title}, but the file began as {kind.title}."
            raise Flaw("mixed-formats", "", message, "Keep to one format in a file.")
    key = missing["key"]
    near = next((found for found in row if found.lower().strip() == key.lower()), None)
    also = f"; there is {near!r}, and case counts" if near else ""
    raise Flaw("missing-key", key, f"The key {key!r} is missing{also}.", f"A row looks like {kind.example}")


def _in_words(types: str) -> str:
    return " or ".join(
        _WORDS.get(part.strip(), part.strip()) for part in types.split("|") if part.strip() != "null"
    )


def _said(flaw: json.JSONDecodeError) -> str:
    return flaw.msg[:1].lower() + flaw.msg[1:]


def _near(text: str, place: int) -> str:
    piece = text[max(0, place - 10) : place + 15].strip()
    return repr(piece) if piece else "the end of the line"


def _surrogate_place(text: str) -> str:
    pattern = r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    found = re.search(pattern, text)
    return f"character {found.start() + 1}" if found else ""
