"""Hosts over SSH that lack something: no rsync, no Python, no room on the disk."""

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from app.compute import _host
from app.compute._base import Phase, Site
from app.compute._host import PARTS
from app.compute.ssh import COMPUTE
from app.errors import Refused
from tests.compute.ssh_server import Sshd, make_order, wait_for

MEGABYTE = 1 << 20


def tools(folder: Path, *names: str) -> str:
    """A PATH that holds these programs and no others."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(str(shutil.which(name, path="/usr/bin:/bin")))
    return str(folder)


def over(site: Site, handle):
    return wait_for(
        lambda: (now := COMPUTE.status(site, handle)).phase in (Phase.ENDED, Phase.GONE) and now, 40
    )


def test_the_host_has_no_rsync(own: Sshd, tmp_path: Path):
    own.stop()
    own.environment["PATH"] = tools(
        tmp_path / "tools", "sh", "bash", "tar", "sleep", "mkdir", "chmod", "echo", "mv"
    )
    own.start()
    site = own.site(tmp_path)
    assert "no rsync" in COMPUTE.check(site).note
    base = tmp_path / "base"
    base.mkdir()
    (base / "weights").symlink_to(own.folder / "key.pub")
    does = (
        "mkdir -p 'out/a dir' out/checkpoints; read line < 'code/a file.py'; echo \"$line\" > 'out/a dir/b'"
    )
    does += '; echo x > out/checkpoints/c; read line < base/weights; echo "$line" > out/weights'
    asked = make_order(tmp_path / "bundle", does, base=base)
    handle = COMPUTE.submit(site, asked)
    assert handle["rsync"] is False
    assert over(site, handle).phase == Phase.ENDED
    (Path(handle["folder"]) / "bundle" / "out" / "link").symlink_to("/etc/passwd")
    for _ in range(2):
        COMPUTE.fetch(site, handle, asked.folder)
    out = asked.folder / "out"
    assert (out / "a dir" / "b").read_text() == "# code\n"
    assert (out / "weights").read_text() == (own.folder / "key.pub").read_text()
    assert (out / "exit_code").read_text() == "0\n"
    assert not (out / "checkpoints").exists()
    assert not (out / "link").exists()
    # What was there before the run is not sent.
    assert not (Path(handle["folder"]) / "bundle" / "out" / "old").exists()


def test_the_host_has_no_python(own: Sshd, tmp_path: Path):
    own.stop()
    own.environment["PATH"] = tools(tmp_path / "tools", "sh", "bash")
    own.start()
    with pytest.raises(Refused, match="no python3") as caught:
        COMPUTE.check(own.site(tmp_path, python=""))
    assert "Install Python" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("rsync", [True, False])
def test_the_disk_is_full(own: Sshd, tmp_path: Path, rsync: bool):
    there = tmp_path / "there"
    there.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(there)], capture_output=True
    ).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    try:
        if not rsync:
            own.stop()
            own.environment["PATH"] = tools(tmp_path / "tools", "sh", "bash", "tar")
            own.start()
        site = own.site(tmp_path)
        asked = make_order(tmp_path / "bundle", "true")
        for number in range(300):
            (asked.folder / f"small{number}").write_text("each takes a page of 4 kB")
        with pytest.raises(Refused, match="is full"):
            COMPUTE.submit(site, asked)
        (asked.folder / "large").write_bytes(bytes(4 * MEGABYTE))
        with pytest.raises(Refused, match="GB free"):
            COMPUTE.submit(site, asked)
        assert list((there / "runs").iterdir()) == []
        assert COMPUTE.find(site, asked.launch_key) == []
    finally:
        subprocess.run(["umount", "-l", str(there)], check=True)


@pytest.mark.parametrize("part", PARTS)
def test_what_is_sent_there_is_read_by_an_old_python(part: str):
    ast.parse((Path(_host.__file__).parent / part).read_text(), part, feature_version=(3, 6))
