"""A real Slurm of one node from Debian's packages: munged, slurmctld and slurmd as children, with ports and folders of
their own. Fixture in tests/compute/conftest.py."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil

from tests.compute.ssh_server import free_port

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
PROGRAMS = {
    name: shutil.which(name, path=PATH)
    for name in ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo")
}
# Its daemons change users and own the folders of jobs.
LACKS = (
    "no Slurm on this machine: install slurmctld, slurmd, slurm-client and munge"
    if not all(PROGRAMS.values())
    else "Slurm's daemons are tested as root alone"
    if os.getuid() != 0
    else ""
)
CONFIG = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller_port}
GresTypes=gpu
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=3
MessageTimeout=3
KillWait=1
PartitionName=short Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=long Nodes=ALL MaxTime=INFINITE State=UP
"""
# A GPU that is none: Slurm gives it to one job at a time, and nothing can be run on it.
NODE = """
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=8000 Gres=gpu:1 State=UNKNOWN
"""


class Cluster:
    """The daemons, one slurmd for each node. Commands find them by SLURM_CONF."""

    def __init__(self, nodes: int = 1) -> None:
        # Short: paths of sockets are limited; and readable above it, as munged asks.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self.config = self.folder / "slurm.conf"
        for name in ("munge", "state"):
            (self.folder / name).mkdir(mode=0o755)
        host = socket.gethostname().split(".")[0]
        self.names = [f"node{number}" for number in range(nodes)]
        text = CONFIG.format(host=host, folder=self.folder, controller_port=free_port())
        for name in self.names:
            (self.folder / f"spool-{name}").mkdir(mode=0o755)
            text += NODE.format(name=name, host=host, port=free_port())
        self.config.write_text(text)
        (self.folder / "gres.conf").write_text("Name=gpu File=/dev/null\n")
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._munge()
        self.start("slurmctld")
        for name in self.names:
            self.start(name)
        self.wait_until_up()

    def _munge(self) -> None:
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o400)
        named = {
            "key-file": "key",
            "socket": "socket",
            "pid-file": "pid",
            "log-file": "log",
            "seed-file": "seed",
        }
        options = [f"--{option}={munge / name}" for option, name in named.items()]
        self._child("munged", ["--foreground", "--force", *options])
        while not (munge / "socket").exists():
            assert self.children["munged"].poll() is None, (self.folder / "munged.console").read_text()
            time.sleep(0.02)

    def start(self, name: str) -> None:
        """Starts slurmctld, or slurmd as the node of that name."""
        own = [] if name == "slurmctld" else ["-N", name]
        self._child(name, ["-D", "-f", str(self.config), *own])

    def _child(self, name: str, arguments: list[str]) -> None:
        with (self.folder / f"{name}.console").open("ab") as console:
            self.children[name] = subprocess.Popen(
                [str(PROGRAMS.get(name) or PROGRAMS["slurmd"]), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self, name: str, number: signal.Signals) -> None:
        """Ends one daemon; jobs go on. On TERM slurmctld writes what it knows, as at a restart."""
        self.children[name].send_signal(number)
        self.children[name].wait()

    def run(self, *argv: str) -> str:
        """A command of Slurm; what it prints."""
        environment = {**os.environ, "SLURM_CONF": str(self.config)}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60).stdout

    def wait_until_up(self, seconds: float = 30) -> None:
        """Until the node takes jobs."""
        end = time.monotonic() + seconds
        up = {"idle", "mixed", "allocated"}
        while (
            not set(states := self.run("sinfo", "-hN", "-p", "short", "-o", "%T").split()) <= up or not states
        ):
            assert time.monotonic() < end, "Slurm does not come up"
            time.sleep(0.1)

    def stop(self) -> None:
        """Ends all jobs and daemons and removes the folder."""
        self.run("scancel", "--me")
        end = time.monotonic() + 10
        while self.run("squeue", "-h").strip() and time.monotonic() < end:
            time.sleep(0.1)
        for child in reversed(self.children.values()):
            with suppress(psutil.NoSuchProcess):
                for each in psutil.Process(child.pid).children(recursive=True):
                    each.kill()
            child.kill()
            child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
