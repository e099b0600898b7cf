"""What a request to /chat asks for, checked. Read by server.py."""

import os
from dataclasses import dataclass
from typing import Any

from .refusals import Refusal, bad

KINDS = ("starter", "hub", "baseline")
ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MOST_MESSAGES, MOST_LABELS, MOST_STOPS, MOST_TOP = 10_000, 2000, 16, 20
LONGEST_LABEL, LONGEST_STOP = 2000, 500


@dataclass(frozen=True)
class ModelName:
    """Which model, also the key by which it is known here: `id` is what it is called by, the rest is where it lies; None where the bundle says."""

    id: str
    kind: str
    bundle: str | None
    adapter: str | None
    base: str | None


@dataclass(frozen=True)
class Asked:
    """One chat. None of `max_tokens`, `labels`, `choose`, `schema`: as the run made its own predictions."""

    model: ModelName
    messages: list[dict[str, Any]]
    tools: list[Any] | None
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    logprobs: bool
    top_logprobs: int
    labels: tuple[str, ...] | None
    choose: bool | None
    schema: dict[str, Any] | None
    stream: bool


def read_asked(body: Any) -> Asked:
    """Raises Refusal (bad_request) naming the field for anything that is not as docs/inference.md says."""
    if not isinstance(body, dict):
        raise bad("The body is not a JSON object.", "Send {model, messages, ...}.")
    return Asked(
        model=_model(body.get("model")),
        messages=_messages(body.get("messages")),
        tools=_tools(body.get("tools")),
        max_tokens=_integer(body, "max_tokens", 1, 1_000_000),
        temperature=_number(body, "temperature", 0.0, 0.0, 100.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
        seed=_integer(body, "seed", -(2**63), 2**63),
        stop=_texts(body, "stop", MOST_STOPS, LONGEST_STOP) or (),
        logprobs=bool(_flag(body, "logprobs")),
        top_logprobs=_integer(body, "top_logprobs", 0, MOST_TOP) or 0,
        labels=_texts(body, "labels", MOST_LABELS, LONGEST_LABEL) or None,
        choose=_flag(body, "choose"),
        schema=_schema(body),
        stream=_flag(body, "stream") is not False,
    )


def _model(given: Any) -> ModelName:
    if not isinstance(given, dict):
        raise bad("model is not an object.", "Send model as {id, kind, bundle, adapter, base}.")
    if given.get("kind") not in KINDS:
        raise bad(f"model.kind is none of {', '.join(KINDS)}.", "Send one of them.")
    name = given.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= 300:
        raise bad("model.id is not a text of 1 to 300 characters.", "Send what the model is called by.")
    bundle, adapter, base = (_path(given, field) for field in ("bundle", "adapter", "base"))
    if bundle is None and (given["kind"] != "hub" or base is None):
        raise bad(
            "model.bundle is missing.", "Send the folder of the run's bundle, or for a base model its base."
        )
    if bundle and not os.path.isfile(os.path.join(bundle, "config.json")):
        raise Refusal(
            "not_found",
            f"There is no bundle for {name}: {bundle} holds no config.json.",
            "The run's files were removed, or lie on another machine.",
        )
    return ModelName(name, given["kind"], bundle, adapter, base)


def _path(given: dict[str, Any], field: str) -> str | None:
    value = given.get(field)
    if value is None:
        return None
    # The base may also be a name on the Hub.
    whole = isinstance(value, str) and value and "\0" not in value and len(value) < 4096
    if not whole or (field != "base" and not os.path.isabs(value)):
        raise bad(f"model.{field} is not an absolute path.", "Send the whole path of the folder.")
    return str(value)


def _messages(given: Any) -> list[dict[str, Any]]:
    if not isinstance(given, list) or not 0 < len(given) <= MOST_MESSAGES:
        raise bad("messages is not a list of messages.", "Send at least one {role, content}.")
    return [_message(number, message) for number, message in enumerate(given)]


def _message(number: int, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or given.get("role") not in ROLES:
        raise bad(f"messages[{number}] has no role of {', '.join(ROLES)}.", "Send {role, content}.")
    calls = given.get("tool_calls")
    whole = calls is None or (
        isinstance(calls, list)
        and all(isinstance(c, dict) and isinstance(c.get("function"), dict) for c in calls)
    )
    if not whole or not isinstance(given.get("function_call"), dict | None):
        raise bad(
            f"messages[{number}].tool_calls is not a list of calls.", "Send [{function: {name, arguments}}]."
        )
    return {**given, "content": _content(number, given.get("content"))}


def _content(number: int, content: Any) -> str | None:
    if isinstance(content, list):
        parts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) == len(content):
            return _valid(number, "".join(texts))
    elif content is None:
        return None
    elif isinstance(content, str):
        return _valid(number, content)
    raise bad(f"messages[{number}].content is not text.", "These models read text only: send a string.")


def _valid(number: int, text: str) -> str:
    """Half of a surrogate pair, which JSON can write and no tokenizer can read, is refused."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad(f"messages[{number}].content is not valid Unicode.", "Send whole characters.") from None
    return text


def _tools(given: Any) -> list[Any] | None:
    if given is None or (isinstance(given, list) and all(isinstance(tool, dict) for tool in given)):
        return given or None
    raise bad("tools is not a list of objects.", "Send tools as in the training rows, or leave it out.")


def _integer(body: dict[str, Any], field: str, least: int, most: int) -> int | None:
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise bad(f"{field} is not a whole number from {least} to {most}.", "Send another one.")
    return value


def _number(body: dict[str, Any], field: str, default: float, least: float, most: float) -> float:
    value = body.get(field)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise bad(f"{field} is not a number from {least:g} to {most:g}.", "Send another one.")
    return float(value)


def _flag(body: dict[str, Any], field: str) -> bool | None:
    value = body.get(field)
    if value is not None and not isinstance(value, bool):
        raise bad(f"{field} is neither true nor false.", "Send one of them.")
    return value


def _texts(body: dict[str, Any], field: str, most: int, longest: int) -> tuple[str, ...] | None:
    value = body.get(field)
    value = [value] if isinstance(value, str) else value
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > most:
        raise bad(f"{field} is not a list of at most {most} texts.", "Send fewer.")
    if not all(isinstance(text, str) and 0 < len(text) <= longest for text in value):
        raise bad(f"{field} holds something else than texts of 1 to {longest} characters.", "Send texts.")
    if any("\ud800" <= character <= "\udfff" for text in value for character in text):
        raise bad(f"{field} is not valid Unicode.", "Send whole characters.")
    return tuple(dict.fromkeys(value))


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    schema = body.get("schema")
    if schema is not None and not isinstance(schema, dict):
        raise bad("schema is not a JSON object.", "Send a JSON schema.")
    return schema if schema is not None else {"type": "object"} if _flag(body, "json_object") else None
