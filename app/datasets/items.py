"""What one item of a dataset is, whatever format it came in. Used by everything that reads a dataset."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

TRAIN, VALIDATION, TEST, UNUSED = 0, 1, 2, 3
PART_NAMES = ("train", "validation", "test", "unused")
PART_OF = {
    "TRAIN": TRAIN,
    "VALIDATION": VALIDATION,
    "VALID": VALIDATION,
    "VAL": VALIDATION,
    "DEV": VALIDATION,
    "TEST": TEST,
}

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class TextPart(Struct, gc=False):
    """One part of a message whose content is a list; only text parts are read."""

    type: Literal["text"]
    text: str


class Function(Struct, gc=False):
    """The function that a tool call names, with its arguments as JSON text or as an object."""

    name: str
    arguments: str | dict[str, Any] = ""


class ToolCall(Struct, omit_defaults=True):
    """One call of a tool in an assistant's message."""

    function: Function
    id: str | None = None
    type: Literal["function"] = "function"


class Message(Struct, gc=False, omit_defaults=True):
    """One turn of a chat. After reading, `content` is always a string."""

    role: Role
    content: str | list[TextPart] | None = None
    name: str | None = None
    weight: Literal[0, 1] | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Function | None = None


def answer_text(reply: Message) -> str:
    """The text of an assistant's message; tool calls are written as one line of JSON after it."""
    text = str(reply.content or "")
    calls = reply.tool_calls or ([ToolCall(reply.function_call)] if reply.function_call else None)
    if not calls:
        return text
    functions = msgspec.json.encode([call.function for call in calls], order="deterministic").decode()
    return f"{text}\n{functions}" if text else functions


def prompt_text(chat: list[Message]) -> str:
    """The prompt (all but the answer) as plain text, messages apart by blank lines: what groups are read from."""
    return "\n\n".join(str(message.content) for message in chat[:-1])


def input_text(prompt: list[Message]) -> str:
    """The prompt as people read it in a table: the user's text, without the system message."""
    return "\n\n".join(str(message.content or "") for message in prompt if message.role == "user")


def as_dicts(chat: list[Message]) -> list[dict[str, Any]]:
    """The chat as plain dictionaries, as it goes into training files and requests (empty keys left out)."""
    return msgspec.to_builtins(chat)
