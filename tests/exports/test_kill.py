"""An export survives kill -9 of the process that makes it."""

import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
from sqlalchemy import update
from sqlmodel import col

from app.compute import local
from app.config import settings
from app.db import session_scope
from app.exports.merge_process import launch_key
from app.storage import export_work, run_folder
from app.tables import Export
from tests.exports.conftest import export_now
from workers.sweep import look

# The trainer's Python: the first start hangs, the next one merges.
SCRIPT = """#!/bin/sh
if mkdir "{flag}" 2>/dev/null; then exec sleep 600; fi
mkdir "$4" && echo '{{"architectures": ["LlamaForCausalLM"]}}' > "$4/config.json"
"""


def test_a_merge_begins_again_after_kill_9(client: Any, finished: Any, home: Any, monkeypatch: Any) -> None:
    run_id = finished("hf/small", "adapter")
    (run_folder(run_id) / "out" / "adapter" / "adapter_model.safetensors").write_bytes(b"")
    script = home / "python"
    script.write_text(SCRIPT.format(flag=home / "hangs"))
    script.chmod(0o755)
    monkeypatch.setenv("TUNEBOOK_TRAINER_PYTHON", str(script))
    settings.cache_clear()
    export_id = client.post(f"/api/v1/runs/{run_id}/exports", json={"kind": "merged"}).json()["id"]
    code = f"from workers.exports import make; make({export_id})"
    worker = subprocess.Popen([sys.executable, "-c", code], env=os.environ)
    deadline = time.monotonic() + 60
    while not (home / "hangs").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    key = launch_key(export_work(export_id))
    left = [process for process in psutil.process_iter() if local._key(process) == key]
    assert left, "the process that merged is still there"
    with session_scope() as session:
        session.execute(update(Export).where(col(Export.id) == export_id).values(due_at=None))
    look()
    made = export_now(export_id)
    assert (made.state, made.error, made.attempt) == ("ready", "", 2)
    assert not any(process.is_running() and process.status() != "zombie" for process in left)
    assert not export_work(export_id).exists()
