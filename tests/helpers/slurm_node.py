"""A Slurm of one node for tests: controller, node and keys in a folder of their own.

Needs root and Debian's packages slurmctld, slurmd, slurm-client and munge. The node takes jobs as a
real one does; it has no accounting database, no control groups (a job is not held to the memory it
asked for) and two GPUs that are the null device, so that requests of GPUs can be counted.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
CONFIGURATION = Path("/etc/slurm/slurm.conf")
CPUS, MEMORY, GPUS = 8, 64_000, 2
"""What the node says it has; it is not held to it."""
_PATIENCE = 60.0


def lacking() -> str | None:
    """Why no Slurm can be started here, None if it can."""
    if os.name != "posix" or os.geteuid() != 0:
        return "a Slurm of one node needs root"
    if CONFIGURATION.exists() and not CONFIGURATION.is_symlink():
        return f"{CONFIGURATION} is that of a Slurm which is installed here"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found: apt-get install {' '.join(PACKAGES)}"
    return None


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A Slurm that is up; its daemons, and nothing else, are ended afterwards.

    Args:
        folder: an empty one, in which the daemons write.
    """
    folder.chmod(0o755)
    for parent in folder.parents:  # munge runs as a user of its own
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir()
    _write_configuration(folder)
    # A job knows no SLURM_CONF, which Snakemake strips from its environment.
    CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.unlink(missing_ok=True)
    CONFIGURATION.symlink_to(folder / "slurm.conf")
    try:
        _start_munge(folder / "munge")
        _daemon("slurmctld", "-f", folder / "slurm.conf")
        _wait(lambda: _succeeds("scontrol", "ping"))
        _daemon("slurmd", "-f", folder / "slurm.conf", "-N", _host())
        _wait(lambda: "idle" in _output("sinfo", "--noheader", "--format=%T"))
        yield
    finally:
        _succeeds("scancel", "--me")
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            _end(folder / name)
        CONFIGURATION.unlink(missing_ok=True)


def jobs() -> list[dict[str, str]]:
    """What Slurm says of each job since it was started."""
    blocks = _output("scontrol", "--oneliner", "show", "job").splitlines()
    return [dict(re.findall(r"(\w+)=(\S*)", block)) for block in blocks if "JobId=" in block]


def _write_configuration(folder: Path) -> None:
    lines = [
        "ClusterName=test",
        f"SlurmctldHost={_host()}(127.0.0.1)",
        "SlurmctldPort=26817",
        "SlurmdPort=26818",
        "SlurmUser=root",
        "AuthType=auth/munge",
        f"AuthInfo=socket={folder}/munge/socket",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd.log",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "MpiDefault=none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        "SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1",
        "SlurmdParameters=config_overrides",
        "ReturnToService=2",
        "KillWait=10",
        "MinJobAge=3600",
        "AccountingStorageType=accounting_storage/none",
        "JobCompType=jobcomp/none",
        "GresTypes=gpu",
        f"NodeName={_host()} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY} Gres=gpu:{GPUS}",
        f"PartitionName=all Nodes={_host()} Default=YES MaxTime=INFINITE State=UP",
    ]
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
    # A GPU without a device file is one that the node lacks.
    for number in range(GPUS):
        os.mknod(folder / f"gpu{number}", 0o666 | 0o020000, os.makedev(1, 3))
    devices = f"{folder}/gpu[0-{GPUS - 1}]"
    (folder / "gres.conf").write_text(f"NodeName={_host()} Name=gpu File={devices}\n")
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


def _start_munge(folder: Path) -> None:
    key = folder / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    for path in (folder, key):
        shutil.chown(path, "munge", "munge")
    options = {
        "key-file": key,
        "socket": folder / "socket",
        "pid-file": folder / "munged.pid",
        "log-file": folder / "munged.log",
        "seed-file": folder / "seed",
    }
    said = [f"--{name}={value}" for name, value in options.items()]
    _daemon("runuser", "-u", "munge", "--", shutil.which("munged") or "munged", *said)
    _wait(lambda: _succeeds("munge", "--socket", folder / "socket", "--no-input"))


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _daemon(*command: str | Path) -> None:
    """Run a program that puts itself into the background."""
    subprocess.run(
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _output(*command: str) -> str:
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("Slurm did not come up")
        time.sleep(0.2)


def _end(pid_file: Path) -> None:
    with suppress(OSError, ValueError):
        process = int(pid_file.read_text())
        os.kill(process, signal.SIGTERM)
        for _ in range(50):
            os.kill(process, 0)  # raises once it has ended
            time.sleep(0.2)
        os.kill(process, signal.SIGKILL)
