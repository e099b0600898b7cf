"""Rows that hold a wanted and an unwanted answer: OpenAI's preference format (Together and Fireworks read it too), and
chosen beside rejected as TRL, Axolotl and LLaMA-Factory write it. Used by rows.py."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType, field

from app.datasets.flaws import Flaw
from app.datasets.items import Function, Message, TextPart, ToolCall

SPEAKERS = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "model": "assistant",
    "chatgpt": "assistant", "bot": "assistant", "system": "system", "developer": "developer", "tool": "tool",
    "observation": "tool", "function_response": "tool", "function": "function", "function_call": "assistant",
}  # fmt: skip
Tools = list[dict[str, Any]] | None
Split = str | UnsetType | None


class Asked(Struct, gc=False):
    """What an OpenAI preference row asks."""

    messages: list[Message]
    tools: Tools = None
    parallel_tool_calls: bool | UnsetType | None = UNSET


class PreferenceRow(Struct, gc=False):
    """OpenAI's preference format: each side is one assistant message in a list."""

    input: Asked
    preferred_output: list[Message]
    non_preferred_output: list[Message]
    split: Split = UNSET

    @property
    def tools(self) -> Tools:
        """The tools that may be called."""
        return self.input.tools


class Speech(Struct, gc=False):
    """One message, as a chat (role, content) or as ShareGPT (from, value) writes it."""

    role: str | None = None
    content: str | list[TextPart] | None = None
    speaker: str | None = field(default=None, name="from")
    value: str | None = None
    name: str | None = None
    weight: int | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Function | None = None


Side = str | list[Speech] | Speech


class ChosenRow(Struct, gc=False):
    """Two answers to one prompt, which stands under `prompt`, `messages`, `conversations` or `instruction` (with
    `input` and `system`), or begins both answers where these are whole chats."""

    chosen: Side
    rejected: Side
    prompt: str | list[Speech] | UnsetType | None = UNSET
    messages: list[Speech] | UnsetType | None = UNSET
    conversations: list[Speech] | UnsetType | None = UNSET
    instruction: str | UnsetType | None = UNSET
    input: str | UnsetType | None = UNSET
    system: str | UnsetType | None = UNSET
    split: Split = UNSET
    tools: Tools = None


def chat_of_preference(row: PreferenceRow) -> list[Message]:
    """The chat that ends with the wanted answer. Raises Flaw where that is not one assistant message."""
    return [*row.input.messages, _only(row.preferred_output, "preferred_output")]


def rejected_of_preference(row: PreferenceRow) -> Message:
    """The unwanted answer. Raises Flaw where it is not one assistant message."""
    return _only(row.non_preferred_output, "non_preferred_output")


def _only(side: list[Message], where: str) -> Message:
    if len(side) == 1:
        return _answer(side[0], f"{where}[0]")
    found = f"holds {len(side)} messages" if side else "is empty"
    hint = "Write one assistant message there; what comes before it belongs under input.messages."
    raise Flaw("bad-pair", where, f"The list {where} {found}, but one is compared.", hint)


def _answer(message: Message, where: str) -> Message:
    if message.role != "assistant":
        hint = "Write an assistant message there."
        raise Flaw("bad-pair", f"{where}.role", f"This answer is from the {message.role}.", hint)
    if message.content is None and not message.tool_calls and not message.function_call:
        raise Flaw("empty-content", f"{where}.content", "The answer has no text.", "Write its text there.")
    return message


def chat_of_chosen(row: ChosenRow) -> list[Message]:
    """The chat that ends with the chosen answer. Raises Flaw where the prompt is missing or not the same for both."""
    before, answer = _side(row.chosen, "chosen")
    other, _ = _side(row.rejected, "rejected")
    if len(before) != len(other) or any(not _same(*pair) for pair in zip(before, other, strict=True)):
        raise Flaw(
            "bad-pair",
            "rejected",
            "The two answers do not follow the same messages.",
            "Give both sides the same messages before their last one; only that one may differ.",
        )
    prompt = _prompt(row)
    if not prompt and not before:
        raise Flaw(
            "no-prompt",
            "prompt",
            "There are two answers but no prompt.",
            'Write it under "prompt", or give chosen and rejected as whole chats that begin with it.',
        )
    # Some files repeat the prompt at the head of both sides.
    repeated = before and prompt and len(prompt) <= len(before) and _ends_alike(before, prompt)
    return [*(before if repeated else prompt + before), answer]


def rejected_of_chosen(row: ChosenRow) -> Message:
    """The rejected answer."""
    return _side(row.rejected, "rejected")[1]


def _same(one: Message, other: Message) -> bool:
    return (one.role, one.content, one.tool_calls) == (other.role, other.content, other.tool_calls)


def _ends_alike(before: list[Message], prompt: list[Message]) -> bool:
    return all(_same(*pair) for pair in zip(before[-len(prompt) :], prompt, strict=True))


def _side(side: Side, where: str) -> tuple[list[Message], Message]:
    """(the messages before the answer, the answer) of one side."""
    if isinstance(side, str):
        return [], Message("assistant", side)
    if isinstance(side, Speech):
        return [], _answer(_message(side, where), where)
    if not side:
        raise Flaw("bad-pair", where, f"The list {where} is empty.", "Write the answer there.")
    chat = _messages(side, where)
    return chat[:-1], _answer(chat[-1], f"{where}[{len(chat) - 1}]")


def _prompt(row: ChosenRow) -> list[Message]:
    system = [Message("system", row.system)] if row.system else []
    for name in ("prompt", "messages", "conversations"):
        found = getattr(row, name)
        if found:
            chat = [Message("user", found)] if isinstance(found, str) else _messages(found, name)
            # Some files repeat the chosen chat under another name.
            return system + (chat[:-1] if len(chat) > 1 and chat[-1].role == "assistant" else chat)
    if row.instruction:
        text = f"{row.instruction}\n\n{row.input}" if row.input else row.instruction
        return [*system, Message("user", text)]
    return []


def _messages(speeches: Sequence[Speech], where: str) -> list[Message]:
    return [_message(each, f"{where}[{number}]") for number, each in enumerate(speeches)]


def _message(speech: Speech, where: str) -> Message:
    said = speech.speaker if speech.speaker is not None else speech.role
    role = SPEAKERS.get(said or "")
    if role is None:
        key = "from" if speech.speaker is not None else "role"
        found = f"The speaker is {said[:40]!r}" if said else "The message does not say who speaks"
        hint = "Use system, user, assistant or tool (or ShareGPT's human and gpt)."
        raise Flaw("unknown-role", f"{where}.{key}", f"{found}, which is not known.", hint)
    content = speech.content if speech.content is not None else speech.value
    return Message(
        role,  # type: ignore[arg-type]
        content,
        speech.name,
        speech.weight,  # type: ignore[arg-type]
        speech.tool_calls,
        speech.tool_call_id,
        speech.function_call,
    )


def preference_keys(rows: list[Any]) -> int:
    """How many keys the rows have in all, if no message has more than role and content."""
    messages = sum(
        len(row.input.messages) + len(row.preferred_output) + len(row.non_preferred_output) for row in rows
    )
    return 4 * len(rows) + 2 * messages + sum(row.split is not UNSET for row in rows)


def chosen_keys(rows: list[Any]) -> int:
    """As preference_keys."""
    return sum(map(_keys_of_chosen, rows))


def _keys_of_chosen(row: ChosenRow) -> int:
    names = ("prompt", "messages", "conversations", "instruction", "input", "system", "split")
    values = [getattr(row, name) for name in names]
    speeches = [value for value in (row.chosen, row.rejected, *values) if isinstance(value, list)]
    single = isinstance(row.chosen, Speech) + isinstance(row.rejected, Speech)
    return 2 + sum(value is not UNSET for value in values) + 2 * (sum(map(len, speeches)) + single)
