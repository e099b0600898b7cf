"""A stand-in for the Hugging Face Hub's HTTP API, in a thread: repositories with commits, regular and large files.

Only what `huggingface_hub` asks for when it makes a repository, commits, looks and downloads. Faults are set by
`fail(path_part, fault)`: a status, or "cut" (does it, then drops the connection before answering).
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_right"
LARGE = (".safetensors", ".bin", ".parquet")


@dataclass
class Repo:
    """One repository; `files` maps path to content, the newest commit's alone."""

    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])
    gated: bool = False


@dataclass
class Hub:
    """The whole state; tests look at it and set faults."""

    base: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def fail(self, part: str, *faults: Any) -> None:
        """The next requests whose path holds `part` meet these faults, one each."""
        self.faults.setdefault(part, []).extend(faults)

    def count(self, part: str) -> int:
        """How often a request's "METHOD path" held `part`."""
        return sum(part in call for call in self.calls)


def blob_id(content: bytes) -> str:
    """Git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file as the Hub lists it."""
    found: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if path.endswith(LARGE):
        digest = hashlib.sha256(content).hexdigest()
        found["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
    return found


class Handler(BaseHTTPRequestHandler):
    """One request; `hub` is set by serve()."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._handle("GET")

    def do_HEAD(self) -> None:
        self._handle("HEAD")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_PUT(self) -> None:
        self._handle("PUT")

    def _handle(self, method: str) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.calls.append(f"{method} {path}")
        fault = next(
            (
                self.hub.faults[part].pop(0)
                for part in self.hub.faults
                if part in path and self.hub.faults[part]
            ),
            None,
        )
        if isinstance(fault, int):
            return self._json(fault, {"error": "as the test asked"})
        known = self.headers.get("authorization") in (None, f"Bearer {TOKEN}")
        if not known:
            return self._json(401, {"error": "Invalid username or password."})
        answer = self._route(method, path)
        if fault == "cut":
            self.close_connection = True
            self.connection.close()
            return None
        return self._send(*answer)

    def _route(self, method: str, path: str) -> tuple[int, bytes, dict[str, str]]:
        for wanted, pattern, act in (
            ("POST", r"/api/repos/create", self._create),
            ("POST", r"/api/validate-yaml", lambda: self._pack(200, {"errors": [], "warnings": []})),
            ("GET", r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/revision/([^/]+))?", self._info),
            ("POST", r"/api/(model|dataset)s/([^/]+/[^/]+)/preupload/[^/]+", self._preupload),
            ("POST", r"/api/(model|dataset)s/([^/]+/[^/]+)/paths-info/[^/]+", self._paths),
            ("POST", r"/api/(model|dataset)s/([^/]+/[^/]+)/commit/[^/]+", self._commit),
            ("POST", r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", self._batch),
            ("PUT", r"/upload/(\w+)", self._upload),
            ("GET", r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self._resolve),
        ):
            found = re.fullmatch(pattern, path)
            if found and wanted == method.replace("HEAD", "GET"):
                return act(*found.groups())
        return self._pack(404, {"error": f"no such address {path}"})

    def _create(self) -> tuple[int, bytes, dict[str, str]]:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        key = (asked.get("type", "model"), name)
        url = f"{self.hub.base}/{'datasets/' if key[0] == 'dataset' else ''}{name}"
        if key in self.hub.repos:
            return self._pack(409, {"error": "You already created this repo", "url": url})
        self.hub.repos[key] = Repo(asked.get("visibility") == "private")
        return self._pack(200, {"url": url})

    def _repo(self, kind: str, name: str) -> Repo | None:
        return self.hub.repos.get((kind, name))

    def _missing(self) -> tuple[int, bytes, dict[str, str]]:
        status, body, headers = self._pack(404, {"error": "Repository not found"})
        return status, body, {**headers, "x-error-code": "RepoNotFound"}

    def _info(self, kind: str, name: str, revision: str | None) -> tuple[int, bytes, dict[str, str]]:
        repo = self._repo(kind, name)
        if repo is None:
            return self._missing()
        if repo.gated:
            status, body, headers = self._pack(403, {"error": "gated"})
            return status, body, {**headers, "x-error-code": "GatedRepo"}
        if revision not in (None, "main", *repo.commits):
            status, body, headers = self._pack(404, {"error": "Invalid rev id"})
            return status, body, {**headers, "x-error-code": "RevisionNotFound"}
        siblings = [{"rfilename": path, "size": len(data)} for path, data in repo.files.items()]
        return self._pack(200, {"id": name, "sha": repo.commits[-1], "siblings": siblings})

    def _preupload(self, kind: str, name: str) -> tuple[int, bytes, dict[str, str]]:
        rows = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        return self._pack(200, {"files": rows}) if self._repo(kind, name) else self._missing()

    def _paths(self, kind: str, name: str) -> tuple[int, bytes, dict[str, str]]:
        repo = self._repo(kind, name)
        wanted = parse_qs(self.body.decode()).get("paths", [])
        return self._pack(
            200, [entry(path, repo.files[path]) for path in wanted if repo and path in repo.files]
        )

    def _batch(self, _kind: str | None, name: str) -> tuple[int, bytes, dict[str, str]]:
        rows: list[dict[str, Any]] = []
        for one in json.loads(self.body)["objects"]:
            row = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.objects:
                row["actions"] = {"upload": {"href": f"{self.hub.base}/upload/{one['oid']}"}}
            rows.append(row)
        return self._pack(200, {"transfer": "basic", "objects": rows})

    def _upload(self, oid: str) -> tuple[int, bytes, dict[str, str]]:
        if hashlib.sha256(self.body).hexdigest() != oid:
            return self._pack(400, {"error": "not the bytes that were announced"})
        self.hub.objects[oid] = self.body
        return self._pack(200, {})

    def _commit(self, kind: str, name: str) -> tuple[int, bytes, dict[str, str]]:
        repo = self._repo(kind, name)
        if repo is None:
            return self._missing()
        for line in self.body.splitlines():
            said = json.loads(line)
            value = said["value"]
            if said["key"] == "file":
                repo.files[value["path"]] = base64.b64decode(value["content"])
            elif said["key"] == "lfsFile":
                repo.files[value["path"]] = self.hub.objects[value["oid"]]
        repo.commits.append(hashlib.sha1(b"%d" % len(repo.commits), usedforsecurity=False).hexdigest())
        url = f"{self.hub.base}/{name}/commit/{repo.commits[-1]}"
        return self._pack(200, {"commitUrl": url, "commitOid": repo.commits[-1], "pullRequestUrl": None})

    def _resolve(
        self, prefix: str | None, name: str, revision: str, file: str
    ) -> tuple[int, bytes, dict[str, str]]:
        repo = self._repo("dataset" if prefix else "model", name)
        if repo is None or file not in repo.files:
            return self._missing()
        headers = {"etag": f'"{blob_id(repo.files[file])}"', "x-repo-commit": repo.commits[-1]}
        return 200, repo.files[file], headers

    def _pack(self, status: int, value: Any) -> tuple[int, bytes, dict[str, str]]:
        return status, json.dumps(value).encode(), {"content-type": "application/json"}

    def _json(self, status: int, value: Any) -> None:
        self._send(*self._pack(status, value))

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@contextmanager
def serve() -> Iterator[Hub]:
    """A Hub on a free port of this machine, until the block ends."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
