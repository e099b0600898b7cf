"""As much of a Weights & Biases server as `wandb sync` needs to send a run: keeps what it was sent."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BUCKET = {
    "id": "b", "displayName": "run", "description": "", "config": "{}", "sweepName": None, "historyLineCount": 0,
    "project": {"id": "p", "name": "project", "entity": {"id": "e", "name": "lab"}},
}  # fmt: skip
VIEWER = {
    "id": "u",
    "entity": "lab",
    "username": "lab",
    "flags": "{}",
    "teams": {"edges": []},
    "email": "lab@example.org",
}


class Account:
    """`runs` are the variables of each upsert, `files` the lines of each streamed file."""

    def __init__(self) -> None:
        self.runs: list[dict[str, Any]] = []
        self.files: dict[str, list[Any]] = {}
        self.url = ""

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        if path != "/graphql":
            for name, file in (body.get("files") or {}).items():
                self.files.setdefault(name, []).extend(json.loads(line) for line in file["content"])
            return {}
        query, variables = body["query"], body.get("variables") or {}
        if "upsertBucket" in query:
            self.runs.append(variables)
            return {
                "data": {"upsertBucket": {"bucket": {**BUCKET, "name": variables["name"]}, "inserted": True}}
            }
        if "createRunFiles" in query:
            files = [
                {"name": name, "uploadUrl": f"{self.url}/up/{name}"} for name in variables.get("files", [])
            ]
            return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}}
        return {"data": {"viewer": VIEWER, "serverInfo": {"features": []}, "model": None, "project": None}}


@contextmanager
def wandb_account() -> Iterator[Account]:
    """The server, listening."""
    account = Account()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("content-encoding") == "gzip":
                raw = gzip.decompress(raw)
            told = self.command == "POST"
            data = json.dumps(account.answer(self.path, json.loads(raw or b"{}")) if told else {}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_PUT = do_POST

        def log_message(self, *words: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    account.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield account
    finally:
        server.shutdown()
        server.server_close()
