"""What slurm/submit.sh says on the login node, before anything is submitted. Needs no Slurm: sbatch is a script that shows its words."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from slurm_cluster import copy_of_the_project

TINY = "recipes/parity/tiny/sft.yaml"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    place = copy_of_the_project(tmp_path_factory.mktemp("checkout"))
    sbatch = place / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text('#!/bin/sh\nprintf "%s\\n" sbatch "$@"\n')
    sbatch.chmod(0o755)
    return place


@pytest.fixture
def submit(checkout):
    def run(*words, **variables):
        path = f"{checkout / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["slurm/submit.sh", *words],
            cwd=checkout,
            env={**os.environ, "PATH": path, "VENV": sys.prefix, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ((), {}, "name a script: slurm/sft.sh, grpo.sh, star.sh or eval.sh"),
        (("slurm/stf.sh",), {}, "there is no slurm/stf.sh"),
        (("slurm/sft.sh", "recipes/none.yaml"), {}, "there is no recipes/none.yaml"),
        (("slurm/sft.sh", TINY, "--lerning_rate", "1"), {}, "did you mean 'learning_rate'?"),
        (("slurm/sft.sh", TINY), {"VENV": "/nowhere"}, "there is no Python at /nowhere/bin/python"),
        (("slurm/sft.sh", TINY), {"MODULES": "cuda"}, "there is no 'module' command here"),
        (("slurm/sft.sh", TINY), {"CONTAINER": "a.sif"}, "there is no apptainer here"),
        (("slurm/sft.sh", TINY), {"ACCELERATE_CONFIG": "fsdp"}, "there is no recipes/accelerate/fsdp.yaml"),
        (("slurm/grpo.sh",), {"VLLM": "node"}, "this job has one. Use --nodes=2 or more, or VLLM=split."),
        (("--nodes", "2", "slurm/grpo.sh"), {"VLLM": "split"}, "VLLM=split divides one node, and this job has 2."),
        (("--gpus-per-node=1", "slurm/grpo.sh"), {"VLLM": "split"}, "leaves the server 0 of 1 GPUs"),
        (("--gpus-per-node=h100:1", "slurm/grpo.sh"), {"VLLM": "split"}, "leaves the server 0 of 1 GPUs"),
        (("--gres=gpu:h100:1", "slurm/grpo.sh"), {"VLLM": "split"}, "leaves the server 0 of 1 GPUs"),
        (("--gpus=1", "slurm/grpo.sh"), {"VLLM": "split"}, "leaves the server 0 of 1 GPUs"),
        (("-N2", "slurm/grpo.sh"), {"VLLM": "split"}, "VLLM=split divides one node, and this job has 2."),
        (("--nodes=2-3", "slurm/grpo.sh"), {"VLLM": "split"}, "VLLM=split divides one node, and this job has 2."),
        (("--nodes=some", "slurm/grpo.sh"), {}, "cannot read the number of nodes or GPUs"),
        (("slurm/grpo.sh", TINY, "--vllm_mode=server"), {"VLLM": "colocate"}, "VLLM=colocate sets --vllm_mode"),
        (("slurm/grpo.sh",), {"VLLM": "server"}, "VLLM is 'server': it must be colocate, node or split"),
        (
            ("-N", "3", "slurm/sft.sh", TINY, "--global_batch_size", "20"),
            {},
            "global_batch_size is 20, which 3 processes cannot share equally",
        ),
    ],
    ids=lambda value: None,
)
def test_what_cannot_run_is_not_submitted(submit, words, variables, said):
    result = submit(*words, **variables)
    assert result.returncode != 0
    assert said in result.stdout + result.stderr
    assert "sbatch\n" not in result.stdout


def test_what_is_in_order_is_submitted_as_it_was_asked(submit, checkout):
    shutil.rmtree(checkout / "logs")
    options = ("--nodes=2", "--time", "10", "--job-name", "my try.sh", "--constraint", "a&b")
    result = submit(*options, "slurm/sft.sh", TINY, "--seed", "3", PROCESSES="2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{TINY} is in order: NTP in runs/parity-tiny" in result.stdout
    assert "there is no slurm/site.env (copy slurm/site.env.example)" in result.stdout
    words = result.stdout.partition("sbatch\n")[2].split("\n")
    assert words == [*options, "slurm/sft.sh", TINY, "--seed", "3", ""]
    assert (checkout / "logs").is_dir()
    dry = submit("--dry-run", "slurm/star.sh")
    assert dry.stdout.endswith("sbatch\n--test-only\nslurm/star.sh\n")


def test_site_env_names_the_container_that_everything_runs_in(submit, checkout):
    """A stand-in for Apptainer that shows what it is given and starts it outside of any container."""
    stand_in = checkout / "bin/apptainer"
    stand_in.write_text('#!/bin/bash\necho "in ${@:1:5}"\nexec "${@:6}"\n')
    stand_in.chmod(0o755)
    site = checkout / "slurm/site.env"
    site.write_text(f"CONTAINER=my.sif\nCONTAINER_OPTIONS=--nv\nCONTAINER_PYTHON={sys.executable}\nSBATCH_QOS=high\n")
    try:
        result = submit("slurm/sft.sh", TINY)
    finally:
        site.unlink()
        stand_in.unlink()
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"in exec --bind {checkout} --nv my.sif\n{TINY} is in order" in result.stdout


def test_a_sites_own_files_need_not_heed_unset_variables(submit, checkout):
    site = checkout / "slurm/site.env"
    site.write_text("false\nMY_PATH=/x:$NOBODY_SET_THIS\nSBATCH_PARTITION=${SBATCH_PARTITION:-gpu}\n")
    try:
        result = submit("slurm/sft.sh", TINY)
    finally:
        site.unlink()
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_scripts_are_clean():
    scripts = [*sorted((ROOT / "slurm").glob("*.sh")), ROOT / "tests/slurm/start-slurm.sh"]
    result = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
