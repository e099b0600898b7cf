"""The OpenAI shape, for every emulated service that speaks it: files, batches, models, chat with log-probabilities.

add_files(service), add_batches(service), add_chat(service, body) hang the routes in below the service's base path.
Tuned models lie among the account's things of kind "model", with their Pupil as "_pupil".
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.emulator._answers import Drawn, answer, token_count, words_of
from tests.emulator._service import Answer, Call, Part, Problem, Service, page_after, public
from tests.emulator._world import Timeline

# (call, name) -> the thing of that model, with "_pupil" where it was tuned; raises Problem 404.
FindModel = Callable[[Call, str], dict[str, Any]]
PURPOSES = {"assistants", "batch", "fine-tune", "vision", "user_data", "evals"}
STRANGE_TOP = "top_logprobs can only be set when logprobs is true"


def owned_model(call: Call, name: str) -> dict[str, Any]:
    """A tuned model of the account; any name without "ft:" is a base model."""
    if name.startswith("ft:") or name in call.things("model"):
        if name not in call.things("model"):
            raise Problem(404, f"The model `{name}` does not exist", "model_not_found")
        return call.thing("model", name)
    return {"id": name}


def add_files(
    service: Service,
    purposes: Iterable[str] = PURPOSES,
    prefix: str = "file-",
    checked_in: float = 0.0,
) -> None:
    """POST, GET, list, content and DELETE of files. `checked_in`: seconds of a job's life that a check takes."""
    base = service.base_path

    @service.route("POST", f"{base}/files", form={"file": True, "purpose": True, "expires_after*": False})
    def create(call: Call) -> Any:
        purpose = call.part("purpose").text
        if purpose not in purposes:
            raise Problem(400, f"'{purpose}' is not one of {sorted(purposes)} - 'purpose'")
        file = put_file(call, call.part("file"), purpose, prefix)
        file["_timeline"] = Timeline([("pending", checked_in)], "processed", call.world.now())
        return shown(call, file)

    @service.route("GET", f"{base}/files", query=("after", "limit", "order", "purpose"))
    def listed(call: Call) -> Any:
        wanted = call.query.get("purpose")
        found = [each for each in call.listed("file") if wanted in (None, each["purpose"])]
        page, more = page_after(found, call.query, 10_000)
        return {"object": "list", "data": [shown(call, each) for each in page], "has_more": more}

    @service.route("GET", f"{base}/files/{{id}}")
    def one(call: Call) -> Any:
        return shown(call, call.thing("file", call.params["id"]))

    @service.route("GET", f"{base}/files/{{id}}/content")
    def content(call: Call) -> Any:
        kind = {"content-type": "application/octet-stream"}
        return Answer(call.thing("file", call.params["id"])["_content"], headers=kind)

    @service.route("DELETE", f"{base}/files/{{id}}")
    def delete(call: Call) -> Any:
        call.thing("file", call.params["id"])
        del call.things("file")[call.params["id"]]
        return {"id": call.params["id"], "object": "file", "deleted": True}


def shown(call: Call, file: dict[str, Any]) -> dict[str, Any]:
    """A file as it stands."""
    line = file.get("_timeline")
    return {**public(file), "status": line.state(call.world) if line else file["status"]}


def put_file(call: Call, part: Part, purpose: str, prefix: str = "file-") -> dict[str, Any]:
    """Keeps a file that came, or one that the service made."""
    id = call.world.new_id(prefix)
    return call.put(
        "file",
        id,
        {
            "id": id,
            "object": "file",
            "bytes": len(part.content),
            "created_at": int(call.world.now()),
            "filename": part.filename,
            "purpose": purpose,
            "status": "processed",
            "_content": part.content,
        },
    )


def add_chat(
    service: Service,
    body: Any,
    find: FindModel = owned_model,
    path: str = "",
    top: int = 20,
    dollars: Callable[[int, int], float] = lambda given, made: (0.4 * given + 1.6 * made) / 1e6,
) -> None:
    """POST .../chat/completions. `top`: the most top_logprobs; `dollars` prices (tokens in, tokens out)."""

    @service.route("POST", path or f"{service.base_path}/chat/completions", body=body, paced=True)
    def chat(call: Call) -> Any:
        made = completion(call, call.json, find, top)
        usage = made["usage"]
        cost = dollars(usage["prompt_tokens"], usage["completion_tokens"])
        call.charge(dearer(call.json["model"]) * cost)
        return made


def dearer(model: str) -> int:
    """A tuned model costs twice what its base does."""
    return 2 if model.startswith("ft:") else 1


def completion(call: Call, asked: dict[str, Any], find: FindModel, top: int = 20) -> dict[str, Any]:
    """One chat.completion, not streamed."""
    if asked.get("stream"):
        raise Problem(400, "The emulator does not stream chat")
    wanted = int(asked.get("top_logprobs") or 0)
    if wanted and not asked.get("logprobs"):
        raise Problem(400, STRANGE_TOP, "invalid_value")
    if wanted > top:
        raise Problem(400, f"top_logprobs must be at most {top}", "invalid_value")
    model = find(call, asked["model"])
    drawn = answer(call.world, asked["model"], asked["messages"], model.get("_pupil"))
    most = asked.get("max_completion_tokens") or asked.get("max_tokens") or 10_000
    tokens = drawn.tokens(wanted)
    cut = len(tokens) > most
    text = "".join(each["token"] for each in tokens[:most]) if cut else drawn.text
    given = token_count(words_of(asked["messages"]))
    return {
        "id": call.world.new_id("chatcmpl-"),
        "object": "chat.completion",
        "created": int(call.world.now()),
        "model": asked["model"],
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "finish_reason": "length" if cut else "stop",
                "logprobs": logprobs(drawn, wanted, most) if asked.get("logprobs") else None,
            }
        ],
        "usage": {
            "prompt_tokens": given,
            "completion_tokens": len(tokens[:most]),
            "total_tokens": given + len(tokens[:most]),
        },
    }


def logprobs(drawn: Drawn, top: int, most: int) -> dict[str, Any]:
    """The `logprobs` of a choice."""

    def one(token: str, value: float) -> dict[str, Any]:
        return {"token": token, "logprob": value, "bytes": list(token.encode())}

    return {
        "content": [
            {
                **one(each["token"], each["logprob"]),
                "top_logprobs": [one(token, value) for token, value in each["top"]],
            }
            for each in drawn.tokens(top)[:most]
        ],
        "refusal": None,
    }


def add_batches(
    service: Service, body: Any, find: FindModel = owned_model, url: str = "/v1/chat/completions"
) -> None:
    """POST, GET, list and cancel of batches over chat completions, at half the price."""
    base = service.base_path

    @service.route("POST", f"{base}/batches", body=body)
    def create(call: Call) -> Any:
        call.thing("file", call.json["input_file_id"])
        id, now, given = call.world.new_id("batch_"), int(call.world.now()), call.json
        call.made("batch", id, str(given.get("metadata") or ""))
        stages = [("validating", 20.0), ("in_progress", 100.0), ("finalizing", 20.0)]
        batch = {
            "id": id,
            "object": "batch",
            "endpoint": given["endpoint"],
            "input_file_id": given["input_file_id"],
            "completion_window": given["completion_window"],
            "created_at": now,
            "metadata": given.get("metadata"),
            "_timeline": Timeline(stages, "completed", call.world.now()),
        }
        return batch_now(call, call.put("batch", id, batch), find, url)

    @service.route("GET", f"{base}/batches", query=("after", "limit"))
    def listed(call: Call) -> Any:
        page, more = page_after(call.listed("batch"), call.query)
        return {
            "object": "list",
            "data": [batch_now(call, each, find, url) for each in page],
            "has_more": more,
        }

    @service.route("GET", f"{base}/batches/{{id}}")
    def one(call: Call) -> Any:
        return batch_now(call, call.thing("batch", call.params["id"]), find, url)

    @service.route("POST", f"{base}/batches/{{id}}/cancel")
    def cancel(call: Call) -> Any:
        batch = call.thing("batch", call.params["id"])
        if not batch["_timeline"].stop(call.world, "cancelled"):
            raise Problem(409, "Cannot cancel a batch that has ended")
        return batch_now(call, batch, find, url)


def batch_now(call: Call, batch: dict[str, Any], find: FindModel, url: str) -> dict[str, Any]:
    """The batch as it stands; its output is made when it is first seen complete."""
    state = batch["_timeline"].state(call.world)
    lines = call.thing("file", batch["input_file_id"])["_content"].splitlines()
    if state == "completed" and "output_file_id" not in batch:
        good, bad = run_batch(call, lines, find, url)
        for name, found in (("output_file_id", good), ("error_file_id", bad)):
            content = b"".join(json.dumps(line).encode() + b"\n" for line in found)
            part = Part(content, f"{batch['id']}_{name[:-8]}.jsonl")
            batch[name] = put_file(call, part, "batch_output")["id"] if found else None
        batch["_counts"] = len(good), len(bad)
    share = batch["_timeline"].progress(call.world, "in_progress")
    good_count, bad_count = batch.get("_counts", (int(share * len(lines)), 0))
    counts = {"total": len(lines), "completed": good_count, "failed": bad_count}
    return {**public(batch), "status": state, "request_counts": counts}


def run_batch(call: Call, lines: list[bytes], find: FindModel, url: str) -> tuple[list, list]:
    """(lines of the output file, lines of the error file)."""
    good, bad = [], []
    for line in lines:
        asked = json.loads(line)
        row = {"id": call.world.new_id("batch_req_"), "custom_id": asked["custom_id"]}
        try:
            if (asked["method"], asked["url"]) != ("POST", url):
                raise Problem(400, f"The URL must be {url}")
            body = completion(call, asked["body"], find)
            usage = body["usage"]
            cost = 0.2 * usage["prompt_tokens"] + 0.8 * usage["completion_tokens"]
            call.charge(dearer(asked["body"]["model"]) * cost / 1e6)
            good.append(
                {
                    **row,
                    "response": {"status_code": 200, "request_id": row["id"], "body": body},
                    "error": None,
                }
            )
        except Problem as problem:
            said = call.service.error(problem.status, problem.message, problem.code)
            response = {"status_code": problem.status, "request_id": row["id"], "body": said}
            bad.append({**row, "response": response, "error": None})
    return good, bad
