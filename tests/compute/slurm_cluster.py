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
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
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
MinJobAge={min_job_age}
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=8000 State=UNKNOWN
PartitionName=short Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=long Nodes={host} MaxTime=INFINITE State=UP
"""


class Cluster:
    """The three daemons. Commands find them by SLURM_CONF."""

    def __init__(self, min_job_age: int = 300) -> None:
        # Short: paths of sockets are limited; and readable above it, as munged asks.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        self.config = self.folder / "slurm.conf"
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        self.config.write_text(
            CONFIG.format(
                host=socket.gethostname().split(".")[0],
                folder=self.folder,
                controller_port=free_port(),
                node_port=free_port(),
                min_job_age=min_job_age,
            )
        )
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self._munge()
        self.start("slurmctld")
        self.start("slurmd")
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
        """Starts slurmctld or slurmd."""
        self._child(name, ["-D", "-f", str(self.config)])

    def _child(self, name: str, arguments: list[str]) -> None:
        with (self.folder / f"{name}.console").open("ab") as console:
            self.children[name] = subprocess.Popen(
                [str(PROGRAMS[name]), *arguments],
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
        while self.run("sinfo", "-h", "-o", "%T").split()[:1] not in (["idle"], ["mixed"], ["allocated"]):
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
