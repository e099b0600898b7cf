"""What POST /v1/chat/completions may hold: read, checked, and told apart by whether it changes the answer.

Called by chat_api.py, by batches and by the Try page.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from app.door.chat_messages import plain_messages
from app.errors import Invalid

# OpenAI's parameters that change nothing of an answer.
WITHOUT_EFFECT = {
    "metadata",
    "parallel_tool_calls",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
}
# Those that a service may know and no local model does, with the values that ask for nothing.
PASSED_ON: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "reasoning_effort": (),
    "verbosity": (),
}
# Those of OpenAI's that nothing here can do, likewise.
NEVER: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "web_search_options": (),
}
MOST_CHOICES = 16
MOST_STOPS = 16
LONGEST_METADATA = 16
PATH = re.compile(r" - at `\$\.?(.*)`$")


class StreamOptions(msgspec.Struct):
    """`include_usage`: a last chunk says how many tokens it took."""

    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(msgspec.Struct, kw_only=True):
    """One question. `messages` have text as their content; `passed_on` holds what only a service may know."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int = 1
    seed: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    metadata: dict[str, str] | None = None
    passed_on: dict[str, Any] = {}

    @property
    def most_tokens(self) -> int | None:
        """The bound on the answer, by either of its names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The texts that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema that the answer must fit."""
        found = (self.response_format or {}).get("json_schema")
        return found.get("schema") if isinstance(found, Mapping) else None

    @property
    def wants_json(self) -> bool:
        """Whether the answer is to be JSON of any shape."""
        return (self.response_format or {}).get("type") == "json_object"

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with what it took."""
        return self.stream_options is not None and self.stream_options.include_usage


FIELDS = {each for each in ChatBody.__struct_fields__ if each != "passed_on"}


def read_body(raw: bytes) -> ChatBody:
    """The body as sent. Raises Invalid, which names the parameter."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("The body is not JSON.", f"It says: {error}.") from error
    return make_body(found)


def make_body(found: Any) -> ChatBody:
    """The same of a decoded object."""
    if not isinstance(found, dict):
        raise Invalid("The body is not a JSON object.", 'Send {"model": ..., "messages": [...]}.')
    given = {name: value for name, value in found.items() if value is not None}
    passed_on = {name: value for name, value in given.items() if _means_something(name, value)}
    try:
        body = msgspec.convert({name: given[name] for name in FIELDS & given.keys()}, ChatBody)
    except msgspec.ValidationError as error:
        raise _unreadable(str(error)) from error
    body.passed_on = passed_on
    _check(body)
    body.messages = plain_messages(body.messages)
    return body


def _means_something(name: str, value: Any) -> bool:
    """Whether the parameter is one to pass on; raises Invalid for one that cannot be heeded."""
    if name in FIELDS or name in WITHOUT_EFFECT:
        return False
    if name in PASSED_ON:
        return value not in PASSED_ON[name]
    if name in NEVER and value in NEVER[name]:
        return False
    said = "is not supported here" if name in NEVER else "is none that this API knows"
    raise refuse(name[:100], f"The parameter {name[:100]!r} {said}, and it would change the answer.")


def _unreadable(said: str) -> Invalid:
    where = PATH.search(said)
    if where:
        return refuse(where[1], f"{where[1]}: {said[: where.start()]}.")
    missing = re.search(r"missing required field `(\w+)`", said)
    if missing:
        return refuse(missing[1], f"The request has no {missing[1]!r}.")
    return Invalid(f"The request cannot be read: {said}.")


def refuse(param: str, message: str, hint: str = "") -> Invalid:
    """Invalid, as the door tells it: `param` names what is wrong."""
    return Invalid(message, hint, {param: message})


def _check(body: ChatBody) -> None:
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("n", 1, MOST_CHOICES),
        ("top_logprobs", 0, 20),
        ("max_tokens", 1, 1_000_000),
        ("max_completion_tokens", 1, 1_000_000),
        ("seed", -(2**63), 2**63 - 1),
    ):
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            raise refuse(name, f"{name} is {value}; it must lie between {low} and {high}.")
    if body.top_logprobs and not body.logprobs:
        raise refuse("top_logprobs", "top_logprobs needs logprobs to be true.")
    if len(body.stops) > MOST_STOPS or not all(body.stops):
        raise refuse("stop", f"stop takes at most {MOST_STOPS} texts, none of them empty.")
    if len(body.metadata or {}) > LONGEST_METADATA:
        raise refuse("metadata", f"metadata takes at most {LONGEST_METADATA} pairs.")
    for name, value in (body.metadata or {}).items():
        if len(name) > 64 or len(value) > 512:
            raise refuse(
                "metadata", "metadata takes keys of at most 64 and values of at most 512 characters."
            )
    if body.stream_options is not None and not body.stream:
        raise refuse("stream_options", "stream_options needs stream to be true.")
    _check_format(body)


def _check_format(body: ChatBody) -> None:
    kind = (body.response_format or {"type": "text"}).get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise refuse(
            "response_format", f"response_format.type is {kind!r}; write text, json_object or json_schema."
        )
    if kind == "json_schema" and not isinstance(body.schema, dict):
        raise refuse("response_format", "response_format.json_schema.schema is missing or no object.")
    for each in body.tools or []:
        function = each.get("function")
        if each.get("type") != "function" or not isinstance(function, dict) or not function.get("name"):
            raise refuse("tools", 'Each tool is {"type": "function", "function": {"name": ...}}.')
