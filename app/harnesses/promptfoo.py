"""promptfoo: a configuration with one test per item; results come back as the JSON that `-o` writes.

Its configuration: https://www.promptfoo.dev/docs/configuration/reference/
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from app.errors import Invalid
from app.harnesses._base import Harness, Logged, TaskSet, json_lines, quoted, said

CONFIG = """description: {title}
prompts:
  - "{{{{ messages | safe }}}}"
providers:
{providers}tests: file://tests.jsonl
"""
RAW, END_RAW = "{% raw %}", "{% endraw %}"
PROVIDER = """  - id: {model}
    config:
      apiBaseUrl: {address}
      apiKeyEnvar: TUNEBOOK_API_KEY
      temperature: 0
      max_tokens: {max_tokens}
"""


def files(tasks: TaskSet) -> Mapping[str, str]:
    """The configuration and its tests, which carry the item in their metadata."""
    providers = "".join(
        PROVIDER.format(
            model=quoted(f"openai:chat:{model}"), address=quoted(tasks.address), max_tokens=tasks.max_tokens
        )
        for model in tasks.models
    )
    tests = [
        {
            "vars": {"messages": _plain_json(list(row.messages))},
            "assert": [{"type": "equals", "value": _plain_text(row.expected)}],
            "metadata": {"item": row.item},
        }
        for row in tasks.questions
    ]
    return {
        "promptfooconfig.yaml": CONFIG.format(title=quoted(tasks.title), providers=providers),
        "tests.jsonl": json_lines(tests),
    }


def _plain_json(messages: list[Mapping[str, Any]]) -> str:
    """JSON in which no text looks like a template to promptfoo: {{, {% and {# never stand there."""
    text = json.dumps(messages, ensure_ascii=False)
    for second in "{%#":
        text = text.replace("{" + second, "\\u007b" + second)
    return text


def _plain_text(text: str) -> str:
    return f"{RAW}{text}{END_RAW}" if any(mark in text for mark in ("{{", "{%", "{#")) else text


def commands(tasks: TaskSet) -> list[str]:
    """One evaluation over every model in the configuration."""
    return [
        'export TUNEBOOK_API_KEY="an API token of Tunebook"',
        "npx promptfoo eval --no-cache -o results.json",
    ]


def read(data: bytes) -> list[Logged] | None:
    """The items of one model's results; None for what is no such file. Raises Invalid where it holds several models."""
    if b'"evalId"' not in data[:2000] and b'"promptIdx"' not in data[:100_000]:
        return None
    try:
        found = msgspec.json.decode(data)
        rows = found["results"]["results"]
        models = {row["provider"]["id"] for row in rows}
        logged = [_logged(row, number) for number, row in enumerate(rows, 1)]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(
            "The promptfoo results cannot be read.",
            "Give the JSON file that `promptfoo eval -o results.json` writes.",
        ) from error
    if len(models) > 1:
        raise Invalid(
            f"The promptfoo results hold {len(models)} models: {', '.join(sorted(models)[:5])}.",
            "Keep one provider in promptfooconfig.yaml for each file that is imported.",
        )
    return logged


def _logged(row: Mapping[str, Any], number: int) -> Logged:
    test = row.get("testCase") or {}
    item = (test.get("metadata") or {}).get("item")
    expected = next(
        (one.get("value") for one in test.get("assert") or [] if one.get("type") == "equals"), None
    )
    answer = (row.get("response") or {}).get("output")
    wanted = (said(expected) or "").removeprefix(RAW).removesuffix(END_RAW)
    return Logged(f"result {number}", said(item), said(answer), wanted or None)


HARNESS = Harness(
    name="promptfoo",
    label="promptfoo",
    note="a configuration for all models at once; results come back as JSON",
    docs_url="https://www.promptfoo.dev/",
    files=files,
    commands=commands,
    read=read,
    log="results.json",
)
