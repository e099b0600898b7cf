"""Logs in the shapes that the harnesses write (Inspect AI 0.3.285, lm-evaluation-harness 0.4.13, promptfoo 0.121)."""

import io
import json
from collections.abc import Mapping
from typing import Any

from app.harnesses.inspect_ai import zipfile

# ZIP_ZSTANDARD: what Inspect writes.
ZSTANDARD = 93


def inspect_sample(item: str, answer: str, **more: Any) -> dict[str, Any]:
    """One sample of a log."""
    return {
        "id": item,
        "epoch": 1,
        "target": "a",
        "output": {"model": "run-1", "choices": [], "completion": answer},
        "attachments": {},
        **more,
    }


def inspect_json(*samples: Mapping[str, Any]) -> bytes:
    """A log as `inspect log convert --to json` writes it."""
    return json.dumps(
        {"version": 2, "status": "success", "eval": {"task": "tunebook_1"}, "samples": samples}
    ).encode()


def inspect_eval(*samples: Mapping[str, Any], compression: int = ZSTANDARD) -> bytes:
    """A log as `inspect eval` writes it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("_journal/start.json", "{}")
        for number, sample in enumerate(samples):
            archive.writestr(f"samples/{number}_epoch_{sample['epoch']}.json", json.dumps(sample))
        archive.writestr("header.json", json.dumps({"version": 2, "status": "success"}))
    return file.getvalue()


def lm_eval_line(item: str, answer: str) -> dict[str, Any]:
    """One line of samples_*.jsonl."""
    return {
        "doc_id": 0,
        "doc": {"item": item, "system": "", "prompt": "What is it?", "target": "a"},
        "target": "a",
        "arguments": {"gen_args_0": {"arg_0": ["[]"], "arg_1": {"until": []}}},
        "resps": [[answer]],
        "filtered_resps": [answer],
        "filter": "none",
        "exact_match": 1.0,
    }


def promptfoo_result(item: str, answer: str, model: str = "openai:chat:run-1") -> dict[str, Any]:
    """One entry of results.json."""
    return {
        "promptIdx": 0,
        "provider": {"id": model, "label": ""},
        "response": {"output": answer, "finishReason": "stop"},
        "testCase": {
            "vars": {"messages": "[]"},
            "assert": [{"type": "equals", "value": "{% raw %}{{a}}{% endraw %}"}],
            "metadata": {"item": item},
        },
        "testIdx": 0,
    }


def promptfoo_json(*results: Mapping[str, Any]) -> bytes:
    """results.json as `promptfoo eval -o results.json` writes it."""
    return json.dumps({"evalId": "eval-1", "results": {"version": 3, "results": results}}).encode()
