"""How a host over SSH is reached and known: keys, agents, jump hosts, one shared connection."""

import subprocess
from pathlib import Path

import pytest

from app.compute.ssh import COMPUTE
from app.errors import Busy, KeyRefused, Refused
from tests.compute.ssh_server import Sshd, replaced, wait_for


def test_the_first_look_learns_the_key_of_the_host(sshd: Sshd, tmp_path: Path):
    fresh = sshd.site(tmp_path, host_key="")
    seen = COMPUTE.check(fresh)
    assert "Python 3" in seen.note
    assert "SHA256:" in seen.note
    assert seen.facts["free_bytes"] > 0
    learned = replaced(fresh, **seen.learned)
    assert sshd.host_key.split()[1] in learned.fields["host_key"]
    assert COMPUTE.jobs(learned) == []
    assert COMPUTE.check(learned).learned == {}
    with pytest.raises(Refused, match="not known yet"):
        COMPUTE.jobs(fresh)


def test_keys_that_are_refused(sshd: Sshd, tmp_path: Path):
    for wrong in (sshd.wrong_key, "no key at all"):
        with pytest.raises(KeyRefused, match="refuses the key"):
            COMPUTE.check(sshd.site(tmp_path, wrong))
        with pytest.raises(KeyRefused, match="refuses the key"):
            COMPUTE.jobs(sshd.site(tmp_path, wrong))
    # As browsers send it.
    assert COMPUTE.jobs(sshd.site(tmp_path, sshd.key.strip().replace("\n", "\r\n"))) == []
    assert list((tmp_path / "ours").glob("call-*")) == []


@pytest.mark.parametrize(
    "fields",
    [{"host": "-oProxyCommand=touch x"}, {"host": "a b"}, {"user": "-x"}, {"jump": "$(x)"}, {"port": "22 x"}],
)
def test_what_cannot_be_a_host(sshd: Sshd, tmp_path: Path, fields: dict[str, str]):
    with pytest.raises(Refused, match="cannot be the"):
        COMPUTE.jobs(sshd.site(tmp_path, **fields))


def test_calls_share_one_connection(sshd: Sshd, tmp_path: Path):
    before = sshd.logged("Accepted publickey")
    # Longer than the path of a socket may be, with what a shell would split.
    site = sshd.site(tmp_path / ("long name " * 15))
    for _ in range(3):
        assert COMPUTE.jobs(site) == []
    assert sshd.logged("Accepted publickey") == before + 1


def test_an_agent_instead_of_a_key(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "agent").exists)
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        monkeypatch.setenv("HOME", str(tmp_path))
        with pytest.raises(KeyRefused):
            COMPUTE.jobs(sshd.site(tmp_path, ""))
        subprocess.run(["ssh-add", "-q", str(sshd.folder / "key")], check=True)
        assert COMPUTE.jobs(sshd.site(tmp_path, "")) == []
    finally:
        agent.kill()
        agent.wait()


def test_a_host_behind_another(sshd: Sshd, tmp_path: Path):
    before = sshd.logged("Accepted publickey")
    site = sshd.site(tmp_path, jump=f"localhost:{sshd.port}")
    assert COMPUTE.jobs(site) == []
    assert sshd.logged("Accepted publickey") == before + 2


def test_a_name_of_the_own_configuration(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    own = tmp_path / ".ssh" / "config"
    own.write_text(f"Host lab\n  HostName 127.0.0.1\n  Port {sshd.port}\n  IdentityFile {sshd.folder}/key\n")
    own.chmod(0o600)
    fresh = sshd.site(tmp_path, "", host="lab", port="", host_key="")
    assert COMPUTE.jobs(replaced(fresh, **COMPUTE.check(fresh).learned)) == []
    # With a key of its own a place heeds nobody's configuration.
    with pytest.raises(Busy, match="cannot be reached"):
        COMPUTE.check(sshd.site(tmp_path, host="lab", port="", host_key=""))


def test_the_keys_of_a_host_and_of_its_jump_host_are_learned(sshd: Sshd, tmp_path: Path):
    fresh = sshd.site(tmp_path, jump=f"localhost:{sshd.port}", host_key="")
    learned = COMPUTE.check(fresh).learned["host_key"]
    assert [line.split()[0] for line in learned.splitlines()] == [
        f"[localhost]:{sshd.port}",
        f"[127.0.0.1]:{sshd.port}",
    ]
    assert COMPUTE.jobs(replaced(fresh, host_key=learned)) == []
