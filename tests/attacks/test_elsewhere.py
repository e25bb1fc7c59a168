"""Folders that lie elsewhere, are moved, or are wanted by two processes at the same time."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from conftest import ROOT, run_command

from rarecot import checkpoints
from rarecot.errors import ConfigError
from rarecot.evaluation import records
from rarecot.training import run

TINY = ROOT / "recipes" / "parity" / "tiny"
ALIKE = ("--disable_tqdm", "true", "--eval_n", "8")


def saved(folder, whole=True):
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text('{"global_step": 1, "max_steps": 9}')
    if whole:
        checkpoints.stamp(folder, {})
    return folder


def test_of_a_checkpoint_that_lies_elsewhere_only_the_link_goes(tmp_path):
    """Room was needed, so checkpoints were moved to another disk and linked."""
    stage = tmp_path / "run" / "sft"
    saved(stage / "checkpoint-9")
    for step, whole in ((2, True), (4, False)):
        (stage / f"checkpoint-{step}").symlink_to(saved(tmp_path / "disk" / f"checkpoint-{step}", whole))
    (stage / "checkpoint-5").symlink_to(tmp_path / "not-mounted")
    checkpoints.remove_incomplete(stage)
    checkpoints.keep_newest(stage, 1)
    assert [path.name for path in stage.iterdir()] == ["checkpoint-9"]
    assert (tmp_path / "disk/checkpoint-2" / checkpoints.STAMP).is_file()
    assert (tmp_path / "disk/checkpoint-4/trainer_state.json").is_file()


def test_files_are_shared_or_copied(tmp_path, monkeypatch):
    source = tmp_path / "weights"
    source.write_text("w")
    run._share(source, tmp_path / "linked")
    assert (tmp_path / "linked").samefile(source)

    def unknown(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(run.os, "link", unknown)
    run._share(source, tmp_path / "copied")
    assert (tmp_path / "copied").read_text() == "w"
    assert not (tmp_path / "copied").samefile(source)


def test_records_on_a_disk_that_is_not_there(tmp_path):
    """They are not none: a run must not begin its history anew."""
    (tmp_path / "records.jsonl").symlink_to("disk/records.jsonl")
    with pytest.raises(ConfigError, match=r"leads to disk/records\.jsonl, where nothing is"):
        records.read(tmp_path)


def test_two_sweeps_in_one_folder(tmp_path):
    """The second is refused, instead of finding every run of the first held and calling it failed."""
    from rarecot.holding import hold

    sweep = {
        "stages": {"ntp": {"recipe": "sft", "config": str(TINY / "sft.yaml"), "grid": {"seed": [0]}}},
        "figure": [{"plot": "final", "x": "seed"}],
        "shows": "It runs.",
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    hold(tmp_path / "sweep", "runs this sweep", "--sweep_dir")
    words = ("recipes/sweep.py", "--config", tmp_path / "sweep.yaml", "--sweep_dir", tmp_path / "sweep")
    refused = run_command("python", *words)
    assert refused.returncode == 2
    assert f"another process (pid {os.getpid()} on" in refused.stderr
    assert "or use another --sweep_dir" in refused.stderr
    assert not (tmp_path / "sweep" / "logs").exists()
    assert run_command("python", *words, "--dry_run").returncode == 0


@pytest.mark.slow
def test_a_checkpoint_is_stamped_once_every_process_has_written(tmp_path):
    launch = ("torchrun", "--nproc_per_node", "2", "--master_port", "29861", "--", ROOT / "tests/training/slow_rank.py")
    words = ("--config", TINY / "sft.yaml", "--run_dir", tmp_path / "run", "--max_steps", "2", "--save_steps", "1")
    path = os.pathsep.join(filter(None, (str(ROOT / "tests"), os.environ.get("PYTHONPATH"))))
    result = run_command(*launch, *words, *ALIKE, ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1", PYTHONPATH=path)
    assert result.returncode == 0, result.stderr
    assert len(checkpoints.complete(tmp_path / "run/sft")) == 2
    assert "too early" not in result.stderr


@pytest.mark.slow
def test_a_run_that_is_moved_while_it_trains(tmp_path):
    """It stops in a sentence, makes no second run of its end alone, and goes on where it then lies with the numbers of one left alone."""

    def command(folder):
        words = ("--max_steps", "300", "--save_steps", "40", "--eval_every", "50", *ALIKE, "--save_total_limit", "2")
        return [sys.executable, str(ROOT / "recipes/sft.py"), "--run_dir", str(folder), *words]

    assert run_command(*command(tmp_path / "alone")).returncode == 0
    process = subprocess.Popen(command(tmp_path / "here"), stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        while process.poll() is None and not (tmp_path / "here/sft/checkpoint-40" / checkpoints.STAMP).is_file():
            time.sleep(0.01)
        process.send_signal(signal.SIGSTOP)
        shutil.move(tmp_path / "here", tmp_path / "there")
    finally:
        process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1, said
    assert not (tmp_path / "here").exists()
    assert "Traceback" not in said
    assert "was moved or removed while it trained" in said
    assert run_command(*command(tmp_path / "there")).returncode == 0
    lines = [
        [json.loads(line) for line in (tmp_path / name / "records.jsonl").read_text().splitlines()]
        for name in ("alone", "there")
    ]
    assert len(lines[0]) == len(lines[1])
    for mine, theirs in zip(*lines, strict=True):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
