"""A real Slurm of three nodes on this machine (start-slurm.sh), and the project's own checkout on it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from conftest import ROOT

LAB = ROOT / "tests/slurm/start-slurm.sh"
TERMINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}


def missing() -> str:
    """Why no Slurm can be started here; empty if it can."""
    if os.geteuid() != 0:
        return "starting Slurm needs root"
    spaces = ("unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true")
    if not shutil.which("unshare") or subprocess.run(spaces, capture_output=True).returncode:
        return "starting Slurm needs network, process and mount namespaces, which this machine does not allow"
    needed = ("slurmctld", "slurmd", "sbatch", "munged", "ip")
    if absent := [name for name in needed if not shutil.which(name)]:
        return f"Slurm is not installed ({', '.join(absent)}): make install-checks"
    return ""


class Cluster:
    """Three nodes of 4 CPUs and 8 GPUs that are only there for Slurm's books.

    Args:
        folder: short, as a socket lies in it.
        checkout: a copy of the project, from which jobs are submitted.
    """

    def __init__(self, folder: Path, checkout: Path):
        self.folder, self.checkout = folder, checkout
        lab = {"LAB_DIR": str(folder), "LAB_NODES": "3", "LAB_CPUS": "4", "LAB_GPUS": "8"}
        inside = {"VENV": sys.prefix, "GLOO_SOCKET_IFNAME": "eth0", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        self.environment = {**os.environ, **lab, **inside}
        self.environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def lab(self, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """start-slurm.sh with a subcommand, in the checkout."""
        environment = {**self.environment, **variables}
        command = [str(LAB), *map(str, words)]
        return subprocess.run(
            command, cwd=self.checkout, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def login(self, *words: str | Path, **variables: str) -> str:
        """What a command says on the login node.

        Raises:
            AssertionError: it failed.
        """
        result = self.lab("exec", *words, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip()

    def submit(self, *words: str | Path, **variables: str) -> str:
        """sbatch; the job's number."""
        return self.login("sbatch", "--parsable", *words, **variables)

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        words = self.login("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def ended(self, number: str, seconds: float = 240) -> dict[str, str]:
        """A job once it has ended and left its nodes; what it printed is in `log`."""
        deadline = time.monotonic() + seconds
        while self.state(number) not in TERMINAL:
            assert time.monotonic() < deadline, self.log(number)
            time.sleep(0.3)
        return self.job(number)

    def state(self, number: str) -> str:
        """COMPLETED, RUNNING, …"""
        return self.login("squeue", "--noheader", "--jobs", number, "--states=all", "--format=%T")

    def log(self, number: str) -> str:
        """What a job printed, all of its starts."""
        return "".join(path.read_text(errors="replace") for path in (self.checkout / "logs").glob(f"*-{number}.out"))

    def until(self, condition, number: str, seconds: float = 120) -> None:
        """Wait for something that a running job does."""
        deadline = time.monotonic() + seconds
        while not condition():
            for _ in range(10):
                time.sleep(0.05)
                if condition():
                    return
            assert self.state(number) not in TERMINAL or condition(), self.log(number)
            assert time.monotonic() < deadline, self.log(number)

    def processes(self) -> list[str]:
        """What of ours runs on the nodes."""
        found = []
        for node in ("n1", "n2", "n3"):
            result = self.lab("on", node, "ps", "-eo", "pid,args")
            assert result.returncode == 0, result.stderr
            listed = result.stdout.splitlines()
            found += [f"{node} {line}" for line in listed if "recipes/" in line or "rarecot" in line or "vllm" in line]
        return found

    def remaining(self, seconds: float = 15) -> list[str]:
        """Jobs that have not left the queue after a while, in which those that have ended do."""
        for _ in range(int(seconds / 0.3)):
            if not (listed := self.login("squeue", "--noheader", "--format=%A").split()):
                break
            time.sleep(0.3)
        return listed

    def cancel(self, numbers: list[str]) -> None:
        """So that what one test leaves does not disturb the next."""
        for number in numbers:
            self.login("scancel", number)
        if numbers:
            self.remaining(60)

    def records(self, run_dir: str) -> int:
        """How many records a run has so far."""
        path = self.checkout / run_dir / "records.jsonl"
        return len(path.read_text().splitlines()) if path.is_file() else 0


def copy_of_the_project(place: Path) -> Path:
    """Scripts and YAMLs as a user checks them out."""
    for name in ("recipes", "slurm", "data_mixes", "eval", "logs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("*.out", "site.env", "__pycache__"))
    return place
