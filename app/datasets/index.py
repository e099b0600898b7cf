"""Makes the compact index of a dataset: where each item lies, keys to find duplicates by, sizes.

Called while a dataset is checked. Only this goes into the database; the text stays in the file.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from app.datasets.items import Message, answer_text
from app.datasets.parse import Batch
from app.datasets.rows import Tools
from app.datasets.tokens import PER_MESSAGE, estimate_tokens

LABEL_SIZE = 64
_MEASURED = 3  # items per batch whose tokens are estimated word by word; the rest follow their ratio
_BLANKS = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"
_LOWER = bytes(range(256)).lower()


class Columns(NamedTuple):
    """The index of a batch, column by column, in the order of the table."""

    number: Sequence[int]
    line: list[int]
    offset: list[int]
    length: list[int]
    content_key: list[int]
    label: list[str | None]
    answer_characters: list[int]
    tokens: list[int]
    file_part: list[int]
    rejected: list[bool]


class Indexed(NamedTuple):
    """A batch's index with what is used while a file is read but not stored.

    `normalised` and `answer_keys` are hashes that can only be compared within one process; `characters` and
    `tokens` are arrays.
    """

    columns: Columns
    answers: list[str]
    normalised: list[int]
    answer_keys: list[int]
    characters: Any
    tokens: Any


def index_batch(batch: Batch, first: int) -> Indexed:
    """The index of a batch; `first` is the number of its first item."""
    chats, count = batch.chats, len(batch.lines)
    prompts = [
        f"{chat[0].role}\x01{chat[0].content}\x01{chat[1].role}\x01{chat[1].content}"
        if len(chat) == 3 and not tools and not chat[1].tool_calls
        else canonical_prompt(chat, tools)
        for chat, tools in zip(chats, batch.tools, strict=True)
    ]
    replies = [chat[-1] for chat in chats]
    answers: list[str] = [
        answer_text(reply) if reply.tool_calls or reply.function_call else reply.content  # type: ignore[misc]
        for reply in replies
    ]
    content, normalised = _prompt_keys(prompts)
    sizes = list(map(len, answers))
    characters = np.array(list(map(len, prompts))) + np.array(sizes)
    tokens = _tokens(batch, characters)
    columns = Columns(
        range(first, first + count),
        batch.lines,
        batch.offsets,
        batch.lengths,
        content,
        [answer if size <= LABEL_SIZE else None for answer, size in zip(answers, sizes, strict=True)],
        sizes,
        tokens.tolist(),
        batch.parts,
        [message is not None for message in batch.rejected],
    )
    return Indexed(columns, answers, normalised, list(map(hash, answers)), characters, tokens)


def canonical_prompt(chat: list[Message], tools: Tools) -> str:
    """Roles and texts of all messages but the answer, and the tools: equal for equal prompts of any format."""
    pieces: list[str] = []
    for message in chat[:-1]:
        pieces += (message.role, answer_text(message))
    if tools:
        pieces += ("tools", msgspec.json.encode(tools, order="deterministic").decode())
    return "\x01".join(pieces)


def content_key(chat: list[Message], tools: Tools = None) -> int:
    """The exact key of one prompt, as in the index: a signed 64-bit hash."""
    return _keys([canonical_prompt(chat, tools).encode()])[0]


def normalise(text: str) -> str:
    """The text without white space and without upper case, as the normalised key sees it."""
    return "".join(text.casefold().split())


def _prompt_keys(prompts: list[str]) -> tuple[list[int], list[int]]:
    exact = [prompt.encode() for prompt in prompts]
    plain = [
        data.translate(_LOWER, _BLANKS) if prompt.isascii() else normalise(prompt).encode()
        for prompt, data in zip(prompts, exact, strict=True)
    ]
    # Python's own hash is keyed anew in each process; one process reads a dataset from end to end.
    return _keys(exact), list(map(hash, plain))


def _keys(texts: list[bytes], hashed: Callable[[bytes], Any] = hashlib.sha256) -> list[int]:
    """The first 64 bits of each text's SHA-256 (quicker than BLAKE2 where the processor helps), signed."""
    digests = b"".join([hashed(text).digest() for text in texts])
    return np.frombuffer(digests, "<i8")[::4].tolist()


def _tokens(batch: Batch, sizes: Any) -> Any:
    """Token estimates: measured on a few items of the batch, in proportion to characters for all. Tools are read too."""
    chats = batch.chats
    step = max(1, len(chats) // _MEASURED)
    measured = sum(estimate_tokens(answer_text(message)) for chat in chats[::step] for message in chat)
    offered = [tools for tools in batch.tools[::step] if tools]
    measured += sum(estimate_tokens(msgspec.json.encode(tools).decode()) for tools in offered)
    ratio = measured / max(1, int(sizes[::step].sum()))
    marks = PER_MESSAGE * np.fromiter(map(len, chats), np.int64, len(chats))
    return np.rint(sizes * ratio).astype(np.int64) + marks
