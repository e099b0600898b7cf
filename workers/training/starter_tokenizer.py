"""The starter's own tokenizer: byte-level BPE made from the training split, and rows as its tokens."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .files import read_json, write_json
from .job import plain_chat

PAD, END = "<|pad|>", "<|end|>"
TURNS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>", "tool": "<|user|>"}
SPECIAL = (PAD, END, "<|system|>", "<|user|>", "<|assistant|>")
# The split of the o200k vocabulary: words break where lower case turns to upper, which formulas need.
_WORD = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_END = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
SPLIT = "|".join((
    f"{_WORD}*{_END}+{_SHORT}", f"{_WORD}+{_END}*{_SHORT}", r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
))  # fmt: skip
CHAT_TEMPLATE = (
    "{%- if tools %}<|system|>{{ tools | tojson }}{% endif -%}"
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' %}<|assistant|>"
    "{%- generation %}{{ message.content }}<|end|>{% endgeneration -%}"
    "{%- elif message.role == 'system' %}<|system|>{{ message.content }}"
    "{%- else %}<|user|>{{ message.content }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt %}<|assistant|>{% endif -%}"
)


def make_tokenizer(rows: Iterable[dict[str, Any]], vocabulary: int) -> Any:
    """A `tokenizers.Tokenizer` of at most `vocabulary` tokens, from the rows' texts; the same rows give the same."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(rows), trainer)
    return tokenizer


def _texts(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield from (text for _, text, _ in _turns(row["messages"], row.get("tools")))


def _turns(messages: list[dict[str, Any]], tools: Any) -> Iterator[tuple[str, str, bool]]:
    """(role, text, whether the loss is taken on it)."""
    if tools:
        yield "system", json.dumps(tools, ensure_ascii=False), False
    for turn in plain_chat(messages):
        yield turn["role"], turn["content"], turn["role"] == "assistant" and turn.get("weight") != 0


class RowEncoder:
    """Rows as tokens of the starter. A turn is its role's token and its text; an answer ends with the end token."""

    def __init__(self, tokenizer: Any, longest: int) -> None:
        # Text that looks like a special token stays text.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self._longest = longest
        self.cut = 0
        self.ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}

    def text(self, text: str) -> list[int]:
        """The tokens of plain text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def row(self, row: dict[str, Any]) -> tuple[list[int], list[bool]]:
        """(tokens, which of them the answer loss is taken on); too long rows lose their beginning."""
        ids: list[int] = []
        trained: list[bool] = []
        for role, text, wanted in _turns(row["messages"], row.get("tools")):
            turn = self._turn(role, text)
            ids += turn
            trained += [False] + [wanted] * (len(turn) - 1)
        return self._end(ids, self._longest), trained[-self._longest :]

    def prompt(self, row: dict[str, Any], room: int) -> list[int]:
        """The tokens of a test row up to where the answer begins, with `room` tokens left for it."""
        ids: list[int] = []
        for role, text, _ in _turns(row["prompt"], row.get("tools")):
            ids += self._turn(role, text)
        return self._end([*ids, self.ids[TURNS["assistant"]]], self._longest - room)

    def _end(self, ids: list[int], room: int) -> list[int]:
        """The last `room` tokens; `cut` counts the rows that lost some."""
        self.cut += len(ids) > room
        return ids[-max(1, room) :]

    def label(self, label: str) -> list[int]:
        """The tokens of an answer with its end."""
        return [*self.text(label), self.ids[END]]

    def _turn(self, role: str, text: str) -> list[int]:
        end = [self.ids[END]] if role == "assistant" else []
        return [self.ids[TURNS.get(role, "<|user|>")], *self.text(text), *end]


def save_tokenizer(tokenizer: Any, folder: Path, longest: int) -> None:
    """Saves it so that AutoTokenizer of transformers 4 and 5 reads it, with its chat template."""
    from transformers import PreTrainedTokenizerFast

    tokenizer.encode_special_tokens = False
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        model_max_length=longest,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        extra_special_tokens=["<|system|>", "<|user|>", "<|assistant|>"],
        chat_template=CHAT_TEMPLATE,
    )
    wrapped.save_pretrained(folder, save_jinja_files=False)
    # The names that transformers 4 knows too.
    config = read_json(folder / "tokenizer_config.json") | {"tokenizer_class": "PreTrainedTokenizerFast"}
    config["additional_special_tokens"] = config.pop("extra_special_tokens")
    config.pop("backend", None)
    write_json(folder / "tokenizer_config.json", config)
