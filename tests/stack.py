"""A real Tunebook for tests: `tunebook up` as a process of its own on a data folder and port of the test's."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parents[1]
PARTS = {"web": "app.serve", "worker": "worker", "clock": "beat", "inference": "workers.inference"}
RULE = {"HCl": "acid", "NaOH": "base", "NaCl": "salt"}


def rule_rows(count: int) -> str:
    """Chat rows of three classes with a rule to learn; a fifth are test rows, a tenth validation."""
    lines = []
    for number in range(count):
        key = list(RULE)[number % 3]
        messages = [
            {"role": "user", "content": f"Flask {number} holds a spoon of {key} in water. What is it?"},
            {"role": "assistant", "content": RULE[key]},
        ]
        part = {4: "TEST", 9: "TEST", 7: "VALIDATION"}.get(number % 10, "TRAIN")
        lines.append(json.dumps({"messages": messages, "split": part}))
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def part_of(process: psutil.Process) -> str:
    """Which part of the product a process is: "web", "worker", "clock" or "inference"; "" for any other, and for one
    that has ended. Forks of the supervisor keep its command line and have a name."""
    try:
        name, command = process.name(), process.cmdline()
    except psutil.Error:
        return ""
    if name.startswith("tunebook "):
        return next((part for part in PARTS if part.startswith(name.split()[1])), "")
    return next((part for part, mark in PARTS.items() if mark in command), "")


class Stack:
    """Starts, asks, kills and stops one Tunebook; its data outlives its processes."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "TUNEBOOK_DATA": str(data),
            "TUNEBOOK_PORT": str(self.port),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
        self.process: subprocess.Popen[str] | None = None
        self.link = ""
        self.token = ""

    def start(self) -> "Stack":
        """Starts `tunebook up` and waits for its sign-in link."""
        with (self.data / "up.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", "up"],
                cwd=ROOT,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout
        for line in self.process.stdout:
            if found := re.search(r"http://\S+/sign-in\?token=\S+", line):
                self.link = found[0]
                return self
        raise AssertionError(f"Tunebook did not start:\n{(self.data / 'up.log').read_text()[-3000:]}")

    def stop(self) -> None:
        """Ctrl-C, then waits; also ends what a killed Tunebook may have left."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)
        for process in self.trainers():
            os.killpg(process.pid, signal.SIGKILL)

    def children(self) -> list[psutil.Process]:
        """Web, worker and clock, with the worker's own children."""
        if self.process is None or self.process.poll() is not None:
            return []
        return psutil.Process(self.process.pid).children(recursive=True)

    def trainers(self) -> list[psutil.Process]:
        """The training processes of this data folder, whoever started them."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = process.info["cmdline"] or []
            if "training" in command and any(part.startswith(str(self.data)) for part in command):
                found.append(process)
        return found

    def call(self, method: str, path: str, **more: Any) -> Any:
        """One call of the JSON API; gives the answer's JSON, raises for refusals."""
        if not self.token:
            made = subprocess.run(
                [sys.executable, "-m", "app", "token", "tests"],
                cwd=ROOT,
                env=self.environment,
                capture_output=True,
                text=True,
                check=True,
            )
            self.token = made.stdout.strip()
        headers = {"authorization": f"Bearer {self.token}"}
        answer = httpx.request(method, f"{self.base}/api/v1{path}", headers=headers, timeout=30, **more)
        answer.raise_for_status()
        return answer.json() if answer.headers["content-type"].startswith("application/json") else answer.text

    def sign_in_link(self) -> str:
        """A new one-time sign-in link."""
        made = subprocess.run(
            [sys.executable, "-m", "app", "sign-in"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found = re.search(r"http://\S+/sign-in\?token=\S+", made.stdout)
        assert found, made.stdout
        return found[0]

    def upload(self, rows: str) -> int:
        """Uploads rows and waits until they are ready; gives the dataset's id."""
        made = self.call("POST", "/datasets", files={"file": ("rule.jsonl", rows.encode())})
        wait_for(lambda: self.call("GET", f"/datasets/{made['id']}")["state"] == "ready", 30)
        return int(made["id"])


def wait_for(done: Callable[[], Any], seconds: float) -> Any:
    """The first true answer of `done`; a server that is away for the moment counts as not yet."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        try:
            if found := done():
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not done within {seconds:g} s")


def running_stack(data: Path) -> Iterator[Stack]:
    """For fixtures: a Tunebook that is stopped at the end."""
    stack = Stack(data)
    try:
        yield stack.start()
    finally:
        stack.stop()
