"""Disks without room: what was acknowledged stays, pages load, and nothing needs to be restarted."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.faults.web_alone import Web
from tests.stack import rule_rows


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_is_said_and_mends_itself(tmp_path: Path) -> None:
    """Database and uploads on a disk of 40 MiB: an upload that does not fit, then a disk without a byte left."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], capture_output=True
    ).returncode:
        pytest.skip("no disk can be mounted here")
    web = Web(disk)
    try:
        web.begin()
        whole = rule_rows(30)
        large = whole * 10_000
        with pytest.raises(httpx.HTTPStatusError) as refused:
            web.call("POST", "/datasets", files={"file": ("large.jsonl", large.encode())})
        assert refused.value.response.status_code == 507, refused.value.response.text
        assert "The disk is full" in refused.value.response.json()["detail"]
        assert web.incoming() == []
        kept = web.call("POST", "/datasets", files={"file": ("small.jsonl", whole.encode())})["id"]
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 512)
        statuses = set()
        for number in range(30):
            answer = httpx.post(
                f"{web.base}/api/v1/tokens",
                headers={"authorization": f"Bearer {web.token}"},
                json={"name": f"token {number}" * 10},
            )
            statuses.add(answer.status_code)
            if answer.status_code == 507:
                assert "The disk is full" in answer.json()["detail"]
        assert statuses <= {201, 507}, statuses
        assert web.call("GET", f"/datasets/{kept}")["id"] == kept
        filler.unlink()
        again = web.call("POST", "/datasets", files={"file": ("again.jsonl", rule_rows(60).encode())})["id"]
        assert {each["id"] for each in web.call("GET", "/datasets")["datasets"]} == {kept, again}
        check = "import sqlite3; print(sqlite3.connect('tunebook.db').execute('PRAGMA integrity_check').fetchone()[0])"
        done = subprocess.run([sys.executable, "-c", check], cwd=disk, capture_output=True, text=True)
        assert done.stdout == "ok\n", done
        print(f"statuses on a full disk: {sorted(statuses)}")
    finally:
        if web.web:
            web.web.kill()
            web.web.wait()
        subprocess.run(["umount", str(disk)], check=False)
