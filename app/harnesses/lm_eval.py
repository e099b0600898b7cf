"""lm-evaluation-harness: a task in YAML for its model local-chat-completions; logs by --log_samples.

The keys of a task: https://github.com/EleutherAI/lm-evaluation-harness/blob/main/docs/task_guide.md
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.errors import Invalid
from app.harnesses._base import Harness, Logged, TaskSet, json_lines, said

TASK = """task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: items.jsonl
test_split: test
output_type: generate_until
{system}doc_to_text: prompt
doc_to_target: target
generation_kwargs:
  until: []
  max_gen_toks: {max_tokens}
  do_sample: false
  temperature: 0
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
"""
ROLES = (["user"], ["system", "user"])


def problem(tasks: TaskSet) -> str:
    """The harness makes one system and one user message of each item."""
    plain = all(
        [message.get("role") for message in row.messages] in ROLES
        and all(isinstance(message.get("content"), str) for message in row.messages)
        for row in tasks.questions
    )
    return "" if plain else "its chat tasks hold one system and one user message, and these items hold more"


def files(tasks: TaskSet) -> Mapping[str, str]:
    """The task and its items; the system message is each item's own."""
    rows = [_row(row.item, row.messages, row.expected) for row in tasks.questions]
    system = 'description: "{{ system }}"\n' if any(row["system"] for row in rows) else ""
    text = TASK.format(name=tasks.name, max_tokens=tasks.max_tokens, system=system)
    return {f"{tasks.name}.yaml": text, "items.jsonl": json_lines(rows)}


def _row(item: str, messages: Sequence[Mapping[str, Any]], expected: str) -> dict[str, Any]:
    by_role = {str(message["role"]): message.get("content") or "" for message in messages}
    return {
        "item": item,
        "system": by_role.get("system", ""),
        "prompt": by_role.get("user", ""),
        "target": expected,
    }


def commands(tasks: TaskSet) -> list[str]:
    """Its chat model sends to the address as it stands, with OPENAI_API_KEY."""
    return [
        'pip install "lm_eval[api]"',
        'export OPENAI_API_KEY="an API token of Tunebook"',
        f"lm_eval --model local-chat-completions --model_args model={tasks.model},base_url={tasks.address}/chat/completions "
        f"--include_path . --tasks {tasks.name} --apply_chat_template --log_samples --output_path out",
    ]


def read(data: bytes) -> list[Logged] | None:
    """The items of samples_*.jsonl; None for what is no such file."""
    first = data.lstrip()[:1_000_000].split(b"\n", 1)[0]
    if b'"doc_id"' not in first or b'"resps"' not in first:
        return None
    return [_logged(line, number) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]


def _logged(line: bytes, number: int) -> Logged:
    try:
        row = msgspec.json.decode(line)
        document, replies = row["doc"], row.get("filtered_resps") or row["resps"]
        item = document.get("item")
        answer = replies[0]
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Invalid(
            f"Line {number} of the lm-evaluation-harness log cannot be read.",
            "Give the samples_*.jsonl as it was written with --log_samples.",
        ) from error
    while isinstance(answer, list):
        answer = answer[0] if answer else None
    return Logged(f"line {number}", said(item), said(answer), said(row.get("target")))


HARNESS = Harness(
    name="lm-eval",
    label="lm-evaluation-harness",
    note="a task in YAML; its log of samples comes back",
    docs_url="https://github.com/EleutherAI/lm-evaluation-harness",
    files=files,
    commands=commands,
    read=read,
    log="out/*/samples_*.jsonl",
    problem=problem,
)
