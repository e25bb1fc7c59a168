"""A disk that fills up in the middle of a run, at any point: a sentence, what was saved before is whole, and with space the same
command ends with the bytes of a run that never met it."""

import os
import random
import shutil
import subprocess

import pytest
from attacked_runs import contents, look_at
from conftest import ROOT, run_command

from rarecot import checkpoints

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root"),
]
SIZES = int(os.environ.get("RARECOT_DISKS", "3"))  # of each
STAGES = {"sft": (), "grpo": ("--max_steps", "8"), "star": ()}
KIB = 1024


@pytest.fixture(scope="module")
def ntp(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ntp") / "run"
    result = run_command("python", "recipes/sft.py", "--run_dir", folder, "--disable_tqdm", "true")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def disk(tmp_path):
    """A folder that is a file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], capture_output=True, text=True)
    assert mount.returncode == 0, mount.stderr
    yield folder
    subprocess.run(["umount", folder], check=True)


def resize(disk, size):
    subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)


def used(folder):
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage(stage, ntp, disk, tmp_path):
    words = ("recipes/" + stage + ".py", "--config", f"recipes/parity/tiny/{stage}.yaml", "--disable_tqdm", "true")
    words = ("python", *words, *STAGES[stage], *(() if stage == "sft" else ("--model_name_or_path", ntp / "sft")))
    assert run_command(*words, "--run_dir", disk / "run").returncode == 0
    needed, wanted = used(disk), contents(disk / "run")
    dice, last = random.Random(stage), f"{stage}/checkpoint-"
    assert any(last in name for name in wanted)
    for _ in range(SIZES):
        shutil.rmtree(disk / "run")
        resize(disk, dice.randrange(8 * KIB, needed))
        full = run_command(*words, "--run_dir", disk / "run")
        assert full.returncode == 1, full.stdout + full.stderr
        assert "no space is left on the device" in full.stderr
        assert "Traceback" not in full.stderr
        newest = checkpoints.resumable(disk / "run" / stage)
        assert (f"{newest} is whole" if newest else "Nothing was saved before") in full.stderr
        look_at(disk / "run")
        resize(disk, "64m")
        assert run_command(*words, "--run_dir", disk / "run").returncode == 0
        found = contents(disk / "run")
        assert sorted(found) == sorted(wanted)
        assert [name for name in wanted if found[name] != wanted[name]] == []


def test_what_measures_and_builds(ntp, disk):
    shutil.copytree(ntp, disk / "run")
    resize(disk, used(disk) + 8 * KIB)
    suite = disk.parent / "suite.yaml"
    suite.write_text("n: 16\ntemperatures: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]\nsamples: 8\n")
    for words in (
        ("eval/run.py", "--run", disk / "run", "--suite", suite),
        ("eval/report.py", disk / "run"),
        ("data_mixes/build.py", ROOT / "data_mixes/parity-quick.yaml", "--out", disk / "mix"),
    ):
        full = run_command("python", *words)
        assert full.returncode == 1, full.stdout + full.stderr
        assert "No space left on device" in full.stderr
        assert "Traceback" not in full.stderr
    assert not (disk / "mix").exists(), "a mixture is there whole or not at all"
    look_at(disk / "run")
