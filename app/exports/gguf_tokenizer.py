"""A byte-level BPE tokenizer (tokenizer.json) as GGUF metadata. Called by gguf_file.py.

llama.cpp knows the way that text is split before BPE only by name (`tokenizer.ggml.pre`); a split that is not
in SPLITS is refused, because a wrong name would give wrong tokens without any error.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import Invalid

if TYPE_CHECKING:
    import gguf

_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_UPPER = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_O200K = "|".join(
    (f"{_UPPER}*{_LOWER}+{_SHORT}", f"{_UPPER}+{_LOWER}*{_SHORT}", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
     r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+")
)  # fmt: skip
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
# The regular expression before BPE (None: GPT-2's own) by llama.cpp's name for it, src/llama-vocab.cpp.
SPLITS: Mapping[str | None, str] = {None: "gpt-2", _O200K: "gpt-4o", _LLAMA3: "llama-bpe"}
GENERATION = re.compile(r"\{%(-?)\s*((?:end)?generation)\s*(-?)%\}")


def read_tokenizer(folder: Path) -> dict[str, Any]:
    """tokenizer.json; raises Invalid when it is missing or no byte-level BPE that llama.cpp knows."""
    try:
        found = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise _unknown("it has no tokenizer.json") from None
    if found["model"].get("type") != "BPE" or found["model"].get("byte_fallback"):
        raise _unknown("its tokenizer is no byte-level BPE")
    split_name(found)
    return dict(found)


def split_name(tokenizer: Mapping[str, Any]) -> str:
    """llama.cpp's name for the tokenizer's split; raises Invalid for another."""
    before = tokenizer.get("pre_tokenizer") or {}
    parts = before.get("pretokenizers") or [before]
    patterns = [part["pattern"].get("Regex") for part in parts if part.get("type") == "Split"]
    levels = [part for part in parts if part.get("type") == "ByteLevel"]
    if len(levels) != 1 or len(patterns) > 1 or len(parts) != 1 + len(patterns):
        raise _unknown("its tokenizer splits text in a way of its own")
    if bool(patterns) == bool(levels[0].get("use_regex", True)) or levels[0].get("add_prefix_space"):
        raise _unknown("its tokenizer splits text in a way of its own")
    pattern = patterns[0] if patterns else None
    if pattern not in SPLITS:
        raise _unknown("its tokenizer splits text by an expression that is not known here")
    return SPLITS[pattern]


def _unknown(why: str) -> Invalid:
    return Invalid(
        f"Tunebook's own GGUF writer cannot take this model: {why}.",
        "Set TUNEBOOK_LLAMA_CPP to llama.cpp's folder, whose converter knows more models.",
    )


def tokenizer_config(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, {} when there is none."""
    try:
        return dict(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def chat_template(folder: Path) -> str:
    """The model's chat template without the marks that only training reads, "" when it has none.

    The marks become comments, which keep the blanks around them as they were.
    """
    file = folder / "chat_template.jinja"
    text = (
        file.read_text(encoding="utf-8") if file.is_file() else tokenizer_config(folder).get("chat_template")
    )
    return GENERATION.sub(r"{#\1 \2 \3#}", text) if isinstance(text, str) else ""


def token_text(folder: Path, name: str) -> str:
    """A special token by its role ("eos_token") as text, "" when there is none."""
    found = tokenizer_config(folder).get(name)
    return str(found.get("content", "")) if isinstance(found, dict) else str(found or "")


def add_tokenizer(writer: "gguf.GGUFWriter", folder: Path, size: int, template: str) -> None:
    """Adds the vocabulary (padded to `size`), merges, special tokens and the chat template."""
    tokenizer = read_tokenizer(folder)
    tokens, types = _vocabulary(tokenizer, size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_name(tokenizer))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    merges = tokenizer["model"].get("merges") or []
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    ids = {token: number for number, token in enumerate(tokens)}
    for name, add in (
        ("bos_token", writer.add_bos_token_id),
        ("eos_token", writer.add_eos_token_id),
        ("pad_token", writer.add_pad_token_id),
        ("unk_token", writer.add_unk_token_id),
    ):
        if token_text(folder, name) in ids:
            add(ids[token_text(folder, name)])
    begins = token_text(folder, "bos_token")
    adds = begins and begins in json.dumps(tokenizer.get("post_processor") or {}, ensure_ascii=False)
    writer.add_add_bos_token(bool(adds))
    writer.add_add_space_prefix(False)
    if template:
        writer.add_chat_template(template)


def _vocabulary(tokenizer: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    import gguf

    tokens = [f"[PAD{number}]" for number in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    for token, number in tokenizer["model"]["vocab"].items():
        tokens[number], types[number] = token, int(gguf.TokenType.NORMAL)
    for added in tokenizer.get("added_tokens") or []:
        kind = gguf.TokenType.CONTROL if added.get("special") else gguf.TokenType.USER_DEFINED
        tokens[added["id"]], types[added["id"]] = added["content"], int(kind)
    return tokens, types
