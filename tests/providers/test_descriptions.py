"""Every request that a provider sends, against the service's published description; skipped where there is none.

TUNEBOOK_API_DESCRIPTIONS=/folder/of/descriptions pytest tests/providers/test_descriptions.py
"""

import json
import os
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

from app.providers import providers
from app.providers._openai_chat import chat_body
from app.providers._shapes import Decoding
from tests.emulator._world import Seen
from tests.providers.descriptions import Description
from tests.providers.scenario import exercise, on_stage, questions

FOLDER = os.environ.get("TUNEBOOK_API_DESCRIPTIONS", "")
# The provider, the files that describe its service (a request must fit one of them), and addresses that none has.
SERVICES = {
    "openai": (("openai.yaml",), ()),
    "together": (("together.yaml",), ("/v2/*", "/v3/*")),
    "fireworks": (("fireworks.yaml",), ("/inference/*",)),
    "mistral": (("mistral.yaml", "mistral-legacy.yaml"), ()),
    "replicate": (("replicate.json",), ("*/files", "*/weights/*")),
    "openpipe": (("openpipe.json",), ()),
}


@cache
def description(name: str) -> Description:
    return Description(Path(FOLDER) / name)


@pytest.mark.skipif(not FOLDER, reason="TUNEBOOK_API_DESCRIPTIONS names no folder of published descriptions")
@pytest.mark.parametrize("name", [name for name in SERVICES if name in providers()])
def test_every_request_fits_the_published_description(name, tmp_path):
    files, undescribed = SERVICES[name]
    fields = {field.name: field.name for field in providers()[name].fields if field.required}
    if not all((Path(FOLDER) / file).is_file() for file in files):
        pytest.skip(f"no {' and '.join(files)} there")
    with on_stage(name, tmp_path, fields) as stage:
        exercise(stage)
        requests = [seen for seen in stage.world.seen if seen.service == name]
    assert requests
    problems = set()
    for seen in requests:
        if any(fnmatchcase(seen.path, pattern) for pattern in undescribed):
            continue
        found = [list(description(file).problems(seen)) for file in files]
        if all(found):
            problems.add(f"{seen.method} {seen.path}: {min(found, key=len)}")
    assert not problems, "\n".join(sorted(problems))


@pytest.mark.skipif(not FOLDER, reason="TUNEBOOK_API_DESCRIPTIONS names no folder of published descriptions")
def test_an_endpoints_questions_fit_what_lorax_describes():
    if not (Path(FOLDER) / "lorax.json").is_file():
        pytest.skip("no lorax.json there")
    judge = description("lorax.json")
    for decoding, strict in ((Decoding(), True), (Decoding(seed=1, top_logprobs=5, schema={}), False)):
        body = chat_body("owner/adapter", questions(1)[0], decoding)
        assert not list(judge.problems(Seen("lorax", "POST", "/v1/chat/completions", "", body, 0.0), strict))


def test_the_judge_finds_what_is_not_described(tmp_path):
    job = {
        "type": "object",
        "required": ["model"],
        "properties": {
            "model": {"type": "string"},
            "suffix": {"type": "string", "nullable": True},
            "rate": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        },
    }
    form = {"type": "object", "required": ["file"], "properties": {"file": {}, "purpose": {}}}
    posts = {
        "/jobs/{id}/start": {},
        "/jobs": {
            "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}}}}
        },
        "/files": {"requestBody": {"content": {"multipart/form-data": {"schema": form}}}},
    }
    raw = {
        "servers": [{"url": "https://api.example.org/v1"}],
        "paths": {path: {"post": operation} for path, operation in posts.items()},
        "components": {"schemas": {"Job": job}},
    }
    (tmp_path / "one.json").write_text(json.dumps(raw))
    judge = Description(tmp_path / "one.json")

    def judged(path, body, query=""):
        return list(judge.problems(Seen("x", "POST", path, query, body, 0.0)))

    assert judged("/v1/jobs", {"model": "a", "suffix": None, "rate": 0.1}) == []
    assert judged("/v1/jobs/7/start", "") == []
    assert judged("/v1/files", {"file": "a file", "purpose": "x"}) == []
    assert judged("/v1/nothing", "") == ["no such operation"]
    for path, body, query, word in (
        ("/v1/jobs", {"model": "a", "sufix": "b"}, "", "sufix"),
        ("/v1/jobs", {"suffix": "b"}, "", "model"),
        ("/v1/jobs", {"model": "a", "rate": 0}, "", "rate"),
        ("/v1/jobs", {"model": "a"}, "limit=3", "limit"),
        ("/v1/jobs/7/start", {"model": "a"}, "", "body"),
        ("/v1/files", {"purpose": "x"}, "", "file"),
        ("/v1/files", {"file": "a file", "kind": "x"}, "", "kind"),
    ):
        assert word in " ".join(judged(path, body, query))
