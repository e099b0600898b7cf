"""The JSONL formats: what a row of each looks like and how it becomes a chat. Used by parse.py and formats.py."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import UNSET, Struct, UnsetType, field

from app.datasets.flaws import Flaw
from app.datasets.items import PART_OF, UNUSED, Message
from app.datasets.pairs import (
    SPEAKERS,
    ChosenRow,
    PreferenceRow,
    Split,
    Tools,
    chat_of_chosen,
    chat_of_preference,
    chosen_keys,
    preference_keys,
    rejected_of_chosen,
    rejected_of_preference,
)


class ChatRow(Struct, gc=False):
    """OpenAI chat, and OpenPipe with its `split` and `rejected_message` keys."""

    messages: list[Message]
    split: Split = UNSET
    tools: Tools = None
    rejected_message: Message | None = None


class PromptRow(Struct, gc=False):
    """A prompt and its completion, each a text or a list of messages."""

    prompt: str | list[Message]
    completion: str | list[Message]
    split: Split = UNSET
    tools: Tools = None


class AlpacaRow(Struct, gc=False):
    """Alpaca: an instruction, perhaps an input, an output."""

    instruction: str
    output: str
    input: str | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    history: list[tuple[str, str]] | None = None
    split: Split = UNSET
    tools: Tools = None


class Turn(Struct, gc=False):
    """One ShareGPT turn; some files write role and content instead of from and value."""

    speaker: str | None = field(default=None, name="from")
    value: str | None = None
    role: str | None = None
    content: str | None = None
    weight: int | None = None


class ShareRow(Struct, gc=False):
    """ShareGPT: a list of turns."""

    conversations: list[Turn]
    system: str | UnsetType | None = UNSET
    split: Split = UNSET
    tools: Tools = None


class Names(NamedTuple):
    """How a format names the list of messages, their parts and the rejected answer, for the place in an error."""

    chat: str = "messages"
    role: str = "role"
    text: str = "content"
    rejected: str = "rejected_message"


@dataclass(frozen=True)
class RowFormat:
    """One JSONL format. `marks` are the keys that tell it from the others; `read` are all keys it uses; `rejected`
    gives each row's unwanted answer, None where there is none."""

    name: str
    title: str
    row: type[Any]
    marks: frozenset[str]
    read: frozenset[str]
    chats: Callable[[list[Any]], list[list[Message]]]
    keys: Callable[[list[Any]], int]
    names: Names
    example: str
    rejected: Callable[[list[Any]], list[Message | None]] = lambda rows: [None] * len(rows)


def _chat_of_prompt(row: PromptRow) -> list[Message]:
    prompt, answer = row.prompt, row.completion
    before = [Message("user", prompt)] if isinstance(prompt, str) else prompt
    after = [Message("assistant", answer)] if isinstance(answer, str) else answer
    return before + after


def _chat_of_alpaca(row: AlpacaRow) -> list[Message]:
    chat = [Message("system", row.system)] if row.system else []
    for asked, answered in row.history or []:
        chat += [Message("user", asked), Message("assistant", answered)]
    text = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
    return [*chat, Message("user", text), Message("assistant", row.output)]


def _chat_of_turns(row: ShareRow) -> list[Message]:
    chat = [Message("system", row.system)] if row.system else []
    for number, turn in enumerate(row.conversations):
        speaker = turn.speaker if turn.speaker is not None else turn.role
        key = "from" if turn.speaker is not None or turn.role is None else "role"
        text = turn.value if turn.value is not None else turn.content
        role = SPEAKERS.get(speaker or "")
        if role is None:
            found = f"The speaker is {speaker!r}" if speaker else "The turn does not say who speaks"
            raise Flaw(
                "unknown-role",
                f"conversations[{number}].{key}",
                f"{found}, which ShareGPT does not know.",
                "Use human, gpt, system or tool.",
            )
        chat.append(Message(role, text, weight=turn.weight))  # type: ignore[arg-type]
    return chat


def _present(*values: object) -> int:
    return sum(value is not UNSET for value in values)


def _splits(rows: list[Any]) -> int:
    return len(rows) - [row.split for row in rows].count(UNSET)


def _rejected_messages(rows: list[Any]) -> list[Message | None]:
    return [row.rejected_message for row in rows]


# In the order of looking: a row of pairs may hold the keys of another format too.
FORMATS = {
    kind.name: kind
    for kind in (
        RowFormat(
            "preference", "OpenAI preferences", PreferenceRow,
            frozenset({"input", "preferred_output", "non_preferred_output"}),
            frozenset({"input", "preferred_output", "non_preferred_output", "split"}),
            lambda rows: [chat_of_preference(row) for row in rows], preference_keys,
            Names("input.messages", rejected="non_preferred_output[0]"),
            '{"input": {"messages": [{"role": "user", "content": "..."}]}, '
            '"preferred_output": [{"role": "assistant", "content": "..."}], '
            '"non_preferred_output": [{"role": "assistant", "content": "..."}]}',
            lambda rows: [rejected_of_preference(row) for row in rows],
        ),
        RowFormat(
            "chosen-rejected", "Chosen and rejected", ChosenRow, frozenset({"chosen", "rejected"}),
            frozenset({"prompt", "messages", "conversations", "instruction", "input", "system", "chosen", "rejected", "split", "tools"}),
            lambda rows: [chat_of_chosen(row) for row in rows], chosen_keys, Names("prompt", rejected="rejected"),
            '{"prompt": "...", "chosen": "...", "rejected": "..."}',
            lambda rows: [rejected_of_chosen(row) for row in rows],
        ),
        RowFormat(
            "openai-chat", "OpenAI chat", ChatRow, frozenset({"messages"}),
            frozenset({"messages", "split", "tools", "tool_choice", "parallel_tool_calls", "response_format", "rejected_message"}),
            lambda rows: [row.messages for row in rows],
            lambda rows: len(rows) + 2 * sum([len(row.messages) for row in rows]) + _splits(rows)
            + 3 * (len(rows) - _rejected_messages(rows).count(None)),
            Names(),
            '{"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}',
            _rejected_messages,
        ),
        RowFormat(
            "prompt-completion", "Prompt and completion", PromptRow, frozenset({"prompt", "completion"}),
            frozenset({"prompt", "completion", "split", "tools"}),
            lambda rows: [_chat_of_prompt(row) for row in rows],
            lambda rows: 2 * len(rows) + _splits(rows), Names("prompt"),
            '{"prompt": "...", "completion": "..."}',
        ),
        RowFormat(
            "alpaca", "Alpaca", AlpacaRow, frozenset({"instruction", "output"}),
            frozenset({"instruction", "input", "output", "system", "history", "split", "tools"}),
            lambda rows: [_chat_of_alpaca(row) for row in rows],
            lambda rows: 2 * len(rows) + _splits(rows) + sum([_present(row.input, row.system) for row in rows]), Names("instruction"),
            '{"instruction": "...", "input": "...", "output": "..."}',
        ),
        RowFormat(
            "sharegpt", "ShareGPT", ShareRow, frozenset({"conversations"}),
            frozenset({"conversations", "system", "split", "tools"}),
            lambda rows: [_chat_of_turns(row) for row in rows],
            lambda rows: len(rows) + _splits(rows) + sum([2 * len(row.conversations) + _present(row.system) for row in rows]),
            Names("conversations", "from", "value"),
            '{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}',
        ),
    )
}  # fmt: skip
FORMATS["openpipe"] = RowFormat(
    "openpipe",
    "OpenPipe",
    *list(vars(FORMATS["openai-chat"]).values())[2:],
)


def settle(chat: list[Message], names: Names) -> None:
    """Makes every content a string and checks what types cannot say.

    Raises Flaw for an empty prompt, a message without text, or a chat that does not end with an answer.
    """
    if not chat:
        raise Flaw("empty-content", names.chat, "The list of messages is empty.", _END)
    last = len(chat) - 1
    if chat[last].role != "assistant":
        raise Flaw(
            "no-answer",
            f"{names.chat}[{last}].{names.role}",
            f"The last message is from the {chat[last].role}, so there is no answer to learn.",
            _END,
        )
    if last == 0:
        raise Flaw("no-prompt", names.chat, "There is an answer but nothing before it.", _END)
    for number, message in enumerate(chat):
        _settle_message(message, f"{names.chat}[{number}].{names.text}")


def settle_rejected(message: Message, names: Names) -> None:
    """Makes the rejected answer's content a string. Raises Flaw where it is no assistant's message or has no text."""
    if message.role != "assistant":
        raise Flaw(
            "bad-pair",
            f"{names.rejected}.role",
            f"The rejected answer is from the {message.role}.",
            "Write an assistant message there: the answer that is not wanted.",
        )
    _settle_message(message, f"{names.rejected}.{names.text}")


_END = "Give each row at least a user message, and an assistant message as the last one."


def _settle_message(message: Message, where: str) -> None:
    content = message.content
    if isinstance(content, list):
        content = message.content = "".join(part.text for part in content)
    if content is None and (message.tool_calls or message.function_call):
        content = message.content = ""
    if content is None or (message.role == "user" and (not content or content.isspace())):
        raise Flaw(
            "empty-content",
            where,
            f"The {message.role} message has no text.",
            "Write its text there, or remove the message.",
        )
    if "\x00" in content:
        raise Flaw("nul", where, "The text holds a NUL character (\\u0000).", "Remove the NUL characters.")


def part_code(split: object) -> int:
    """The part that a split value names (any case), UNUSED when there is none; raises Flaw for other values."""
    if split is None or split is UNSET or split == "":
        return UNUSED
    code = PART_OF.get(str(split).strip().upper())
    if code is None:
        raise Flaw(
            "bad-split",
            "split",
            f"The split is {str(split)[:40]!r}.",
            "Use TRAIN, VALIDATION or TEST (any case), or leave the key out.",
        )
    return code
