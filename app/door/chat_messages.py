"""Messages of a question: text in every form that OpenAI takes it, made plain; anything but text is refused in words.
Called by chat_body.py.
"""

from typing import Any

from app.errors import Invalid

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
KEPT = ("name", "tool_calls", "tool_call_id", "function_call")
MOST_MESSAGES = 10_000


def plain_messages(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with their content as one text (None only beside tool calls). Raises Invalid, which names the place."""
    if not 1 <= len(messages) <= MOST_MESSAGES:
        raise _invalid("messages", f"messages holds {len(messages):,}; send 1 to {MOST_MESSAGES:,}.")
    return [_plain(f"messages[{at}]", each) for at, each in enumerate(messages)]


def _plain(where: str, message: dict[str, Any]) -> dict[str, Any]:
    role = message.get("role")
    if role not in ROLES:
        raise _invalid(
            f"{where}.role", f"{where}.role is {str(role)[:40]!r}; write one of {', '.join(ROLES)}."
        )
    plain: dict[str, Any] = {"role": role}
    content = message.get("content")
    calls = message.get("tool_calls") or message.get("function_call")
    if content is None:
        if role != "assistant" or not (calls or message.get("refusal")):
            raise _invalid(f"{where}.content", f"{where}.content is missing.")
        plain["content"] = message.get("refusal")
    else:
        plain["content"] = _text(f"{where}.content", content)
    for name in KEPT:
        if message.get(name) is not None:
            plain[name] = message[name]
    if calls is not None and not _well_formed(message.get("tool_calls")):
        raise _invalid(f"{where}.tool_calls", f"{where}.tool_calls is not a list of function calls.")
    return plain


def _text(where: str, content: Any) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _invalid(where, f"{where} is neither text nor a list of parts.")
    texts = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        said = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
        if kind not in ("text", "refusal") or not isinstance(said, str):
            raise _invalid(
                where,
                f"{where} holds a part of the kind {str(kind)[:40]!r}: models here read text alone, no images or sound.",
            )
        texts.append(said)
    return "".join(texts)


def _well_formed(calls: Any) -> bool:
    if calls is None:
        return True
    return isinstance(calls, list) and all(
        isinstance(each, dict) and isinstance(each.get("function"), dict) and "name" in each["function"]
        for each in calls
    )


def _invalid(where: str, message: str) -> Invalid:
    return Invalid(message, "", {where: message})
