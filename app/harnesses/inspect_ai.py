"""Inspect AI: a task file with its items; logs in both of its formats, .eval (a zip of samples) and .json.

The format of logs: https://inspect.aisi.org.uk/eval-logs.html
"""

import io
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.errors import Invalid
from app.harnesses._base import Harness, Logged, TaskSet, json_lines, quoted, said

if sys.version_info >= (3, 14):  # pragma: no cover
    import zipfile

    from compression.zstd import ZstdError
else:
    # Inspect compresses with Zstandard, which zipfile itself reads from Python 3.14 on.
    from backports.zstd import ZstdError, zipfile

# A sample larger than this is no answer to a test item.
MOST_BYTES = 64 * 1024**2
ATTACHED = "attachment://"
BROKEN = (zipfile.BadZipFile, zlib.error, ZstdError, EOFError, NotImplementedError, msgspec.DecodeError)

TASK = '''"""{title}: the test items of an experiment, asked of a model at Tunebook's door."""

from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import exact
from inspect_ai.solver import generate


@task
def {name}():
    return Task(
        dataset=json_dataset("items.jsonl"),
        solver=generate(),
        scorer=exact(),
        config=GenerateConfig(temperature=0, max_tokens={max_tokens}),
    )
'''


def files(tasks: TaskSet) -> Mapping[str, str]:
    """The task and its samples, whose ids are the items'."""
    title = " ".join(tasks.title.replace("\\", " ").replace('"', "'").split())
    return {
        "task.py": TASK.format(title=title, name=tasks.name, max_tokens=tasks.max_tokens),
        "items.jsonl": json_lines(
            [{"id": row.item, "input": list(row.messages), "target": row.expected} for row in tasks.questions]
        ),
    }


def commands(tasks: TaskSet) -> list[str]:
    """Inspect takes any address of OpenAI's shape as openai-api/NAME, with NAME_BASE_URL and NAME_API_KEY."""
    return [
        "pip install inspect_ai openai",
        f"export TUNEBOOK_BASE_URL={quoted(tasks.address)}",
        'export TUNEBOOK_API_KEY="an API token of Tunebook"',
        f"inspect eval task.py --model openai-api/tunebook/{tasks.model}",
    ]


def read(data: bytes) -> list[Logged] | None:
    """The first epoch's samples; None for what is no log of Inspect."""
    if data.startswith(b"PK"):
        return _archive(data)
    if data.lstrip()[:1] != b"{" or b'"eval"' not in data[:2000]:
        return None
    try:
        log = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return None
    if not isinstance(log, dict) or not isinstance(log.get("samples"), list) or "eval" not in log:
        return None
    return list(_logged(log["samples"]))


def _archive(data: bytes) -> list[Logged] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.startswith("samples/")]
            if not names or "header.json" not in archive.namelist():
                return None
            return list(_logged(_sample(archive, name) for name in names))
    except BROKEN as error:
        raise Invalid(
            f"The Inspect log is damaged: {error}.",
            "Copy it again, or convert it: inspect log convert --to json.",
        ) from error


def _sample(archive: zipfile.ZipFile, name: str) -> Any:
    with archive.open(name) as file:
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise Invalid(f"The sample {name[:80]} in the log is larger than 64 MiB.", "Take it out of the log.")
    return msgspec.json.decode(found)


def _logged(samples: Any) -> Iterator[Logged]:
    for sample in samples:
        if not isinstance(sample, dict) or "id" not in sample:
            raise Invalid("A sample of the Inspect log has no id.", "Write the log again with inspect eval.")
        if sample.get("epoch", 1) == 1:
            answer = None if sample.get("error") else _answer(sample)
            yield Logged(f"sample {sample['id']}", str(sample["id"]), answer, said(sample.get("target")))


def _answer(sample: Mapping[str, Any]) -> str | None:
    output = sample.get("output")
    text = said(output.get("completion")) if isinstance(output, dict) else None
    if text and text.startswith(ATTACHED):
        return said((sample.get("attachments") or {}).get(text.removeprefix(ATTACHED)))
    return text


HARNESS = Harness(
    name="inspect",
    label="Inspect AI",
    note="a task in Python; its log comes back as .eval or .json",
    docs_url="https://inspect.aisi.org.uk/",
    files=files,
    commands=commands,
    read=read,
    log="logs/*.eval",
)
