"""The job scripts on a real Slurm of three nodes: what users submit, and everything that can happen to it."""

import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest
import yaml
from slurm_cluster import Cluster, copy_of_the_project, missing

from rarecot.evaluation import records

pytestmark = [pytest.mark.slow, pytest.mark.slurm]

TINY = "recipes/parity/tiny"
SFT = (f"{TINY}/sft.yaml", "--disable_tqdm", "true", "--max_steps", "120", "--save_steps", "60")
ENDLESS = (f"{TINY}/sft.yaml", "--disable_tqdm", "true", "--max_steps", "5000", "--save_steps", "60")
GRPO = (f"{TINY}/grpo.yaml", "--disable_tqdm", "true", "--max_steps", "24", "--save_steps", "12", "--eval_every", "8")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if why := missing():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)  # munge wants its socket reachable
    cluster = Cluster(folder / "lab", copy_of_the_project(tmp_path_factory.mktemp("checkout") / "project"))
    started = cluster.lab("start")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield cluster
    finally:
        cluster.lab("stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def nothing_left(slurm):
    """Whatever happened to a job, no process of it lives on, and Slurm had none to clear away."""
    yield
    remaining = slurm.remaining()
    slurm.cancel(remaining)
    assert slurm.processes() == []
    assert remaining == [], "a job was still there"
    leftovers = slurm.folder / "log/leftovers.txt"
    assert not leftovers.exists() or leftovers.read_text() == ""


@pytest.fixture(scope="module")
def pipeline(slurm):
    """SFT, then GRPO, both over two nodes, then the evaluation, submitted at once; undisturbed. The last job's number."""
    words = ("--nodes=2", "runs/whole", *SFT[:1], *GRPO[:1])
    checked = slurm.lab("exec", "slurm/pipeline.sh", "--dry-run", *words)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("is in order") == 2
    assert slurm.login("squeue", "--noheader") == ""
    # Its recipes' further options are those of the YAMLs below.
    for name, (base, *options) in (("sft", SFT), ("grpo", GRPO)):
        values = yaml.safe_load((slurm.checkout / base).read_text())
        values |= {
            key.removeprefix("--"): yaml.safe_load(value)
            for key, value in zip(options[::2], options[1::2], strict=True)
        }
        (slurm.checkout / f"{name}.yaml").write_text(yaml.safe_dump(values))
    said = slurm.login("slurm/pipeline.sh", "--nodes=2", "runs/whole", "sft.yaml", "grpo.yaml", "--n", "16")
    numbers = re.findall(r"^(\d+)$", said, re.MULTILINE)
    assert len(numbers) == 3, said
    for number in numbers:
        assert slurm.ended(number)["JobState"] == "COMPLETED", slurm.log(number)
    return numbers


def made(slurm, run_dir, stage):
    return [{**record, "seconds": 0} for record in records.read(slurm.checkout / run_dir) if record["stage"] == stage]


def test_sft_rl_and_evaluation_run_one_after_another(slurm, pipeline):
    sft, grpo, evaluation = (slurm.log(number) for number in pipeline)
    assert "sft.py: 2 processes, recipes/accelerate/gloo.yaml" in sft
    assert "a step: 16 demonstrations = 8 a process × 1 accumulated × 2 processes" in sft
    assert "grpo.py: 2 processes" in grpo
    assert "greedy" in evaluation  # the checkpoint that the curve had no point for
    greedy = [r["step"] for r in made(slurm, "runs/whole", "sft") if r["decoding"] == "greedy"]
    assert sorted(greedy) == [0, 1, 2, 5, *range(10, 121, 10)]
    assert [r["step"] for r in made(slurm, "runs/whole", "grpo") if r["split"] == "rollouts"] == list(range(24))
    for text in (sft, grpo):
        assert "there is no slurm/site.env" in text


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_preempted_job_comes_back_and_ends_with_the_same_records(slurm, pipeline, stage):
    run_dir = f"runs/preempted-{stage}"
    if stage == "grpo":
        shutil.copytree(slurm.checkout / "runs/whole/sft", slurm.checkout / run_dir / "sft")
    before = len(made(slurm, run_dir, stage))
    number = slurm.submit("--nodes=2", f"slurm/{stage}.sh", f"{stage}.yaml", "--run_dir", run_dir)
    slurm.until(lambda: slurm.records(run_dir) > before + 2, number)
    slurm.login("scancel", "--batch", "--signal=USR1", number)
    slurm.until(lambda: slurm.job(number).get("Restarts") == "1", number)
    job = slurm.ended(number)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1"), slurm.log(number)
    log = slurm.log(number)
    assert re.search(r"stopped: (NTP|GRPO) is saved after step \d+ of", log)
    later = [r for r in made(slurm, "runs/whole", stage) if (r["stage"], r["split"], r["step"]) == ("grpo", "test", 12)]
    assert made(slurm, run_dir, stage) == [r for r in made(slurm, "runs/whole", stage) if r not in later]
    folders = sorted(path.name for path in (slurm.checkout / run_dir / stage).glob("checkpoint-*"))
    whole = sorted(path.name for path in (slurm.checkout / "runs/whole" / stage).glob("checkpoint-*"))
    assert folders == whole  # what was saved only to stop is gone


def test_a_job_of_higher_priority_takes_the_nodes_and_gives_them_back(slurm, pipeline):
    """Slurm's own preemption: TERM, a grace time, and it queues the job again by itself."""
    number = slurm.submit("--nodes=2", "slurm/star.sh", f"{TINY}/star.yaml", "--run_dir", "runs/star", "--rounds", "6",
                          "--model_name_or_path", "runs/whole/sft", "--disable_tqdm", "true")  # fmt: skip
    slurm.until(lambda: slurm.records("runs/star") > 1, number)
    other = slurm.submit("--partition=urgent", "--nodes=3", "--exclusive", "--wrap", "sleep 1", "--output=/dev/null")
    assert slurm.ended(other)["JobState"] == "COMPLETED"
    job = slurm.ended(number)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1"), slurm.log(number)
    rounds = [r["round"] for r in made(slurm, "runs/star", "star") if r["split"] == "rollouts"]
    assert rounds == list(range(6))


def test_restarts_are_counted(slurm, pipeline):
    number = slurm.submit("slurm/sft.sh", "sft.yaml", "--run_dir", "runs/capped", MAX_REQUEUES="0")
    slurm.until(lambda: slurm.records("runs/capped") > 1, number)
    slurm.login("scancel", "--batch", "--signal=USR1", number)
    assert slurm.ended(number)["JobState"] == "FAILED"
    assert "restarted 0 times, MAX_REQUEUES. The same sbatch command goes on." in slurm.log(number)


def test_a_job_whose_starts_come_no_further_fails(slurm, pipeline):
    """As where its time limit is shorter than what the signal runs ahead of it: Slurm then sends it at once."""
    number = slurm.submit("slurm/sft.sh", "sft.yaml", "--run_dir", "runs/hasty")
    for restarts in ("0", "1"):
        begun = f"restart {restarts}"
        slurm.until(lambda begun=begun: begun in slurm.log(number), number)
        slurm.login("scancel", "--batch", "--signal=USR1", number)  # before the run listens: it is not lost
    job = slurm.ended(number)
    assert (job["JobState"], job["Restarts"]) == ("FAILED", "1"), slurm.log(number)
    assert slurm.log(number).count("stopped: Nothing was trained since step 0.") == 2
    assert "this start and the one before it came no further" in slurm.log(number)


@pytest.mark.vllm
def test_a_server_that_dies_fails_the_job_with_its_reason(slurm, pipeline):
    """Two nodes train, the third serves."""
    run_dir = "runs/served"
    shutil.copytree(slurm.checkout / "runs/whole/sft", slurm.checkout / run_dir / "sft")
    options = ("--max_steps", "2000", "--run_dir", run_dir)
    number = slurm.submit("--nodes=3", "slurm/grpo.sh", "grpo.yaml", *options, VLLM="node")
    slurm.until(lambda: slurm.records(run_dir) > 3, number, seconds=240)
    assert "grpo.py: 2 processes" in slurm.log(number)
    killed = slurm.lab("on", "n3", "pkill", "-KILL", "-f", "vllm.entrypoints")
    assert killed.returncode == 0, killed.stderr
    started = time.monotonic()
    job = slurm.ended(number)
    assert time.monotonic() - started < 60
    assert job["JobState"] == "FAILED"
    log = slurm.log(number)
    assert "failed: the vLLM server ended" in log
    assert "The run stopped: the vLLM server stopped answering" in log


@pytest.mark.vllm
def test_a_node_that_serves_and_trains_comes_back_after_term(slurm, pipeline):
    """TERM to the steps alone, as sites preempt that do not tell the script: the server waits for the trainer, which saves."""
    run_dir = "runs/split"
    shutil.copytree(slurm.checkout / "runs/whole/sft", slurm.checkout / run_dir / "sft")
    words = ("--cpus-per-task=4", "slurm/grpo.sh", "grpo.yaml", "--max_steps", "40", "--run_dir", run_dir)
    number = slurm.submit(*words, VLLM="split")
    slurm.until(lambda: slurm.records(run_dir) > 6, number, seconds=240)
    slurm.login("scancel", "--signal=TERM", number)
    slurm.until(lambda: slurm.job(number).get("Restarts") == "1", number)
    assert re.search(r"stopped: GRPO is saved after step \d+ of 40", slurm.log(number))
    job = slurm.ended(number)
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1"), slurm.log(number)
    assert [r["step"] for r in made(slurm, run_dir, "grpo") if r["split"] == "rollouts"] == list(range(40))


def test_a_trainer_that_dies_fails_the_job(slurm, pipeline):
    number = slurm.submit("--nodes=2", "slurm/sft.sh", *ENDLESS, "--run_dir", "runs/killed")
    slurm.until(lambda: slurm.records("runs/killed") > 3, number)
    workers = [line.split() for line in slurm.processes() if line.startswith("n2") and "recipes/sft.py" in line]
    worker = next(
        pid for _, pid, *words in workers if "accelerate.commands.launch" not in words and "slurm/node.sh" not in words
    )
    assert slurm.lab("on", "n2", "kill", "-KILL", worker).returncode == 0
    job = slurm.ended(number, seconds=90)
    assert job["JobState"] == "FAILED"
    assert "ended with exit code 1" in slurm.log(number)


def test_a_cancelled_job_leaves_nothing_and_is_not_queued_again(slurm, pipeline):
    number = slurm.submit("--nodes=2", "slurm/sft.sh", *ENDLESS, "--run_dir", "runs/cancelled")
    slurm.until(lambda: slurm.records("runs/cancelled") > 3, number)
    slurm.login("scancel", number)
    job = slurm.ended(number, seconds=60)
    assert (job["JobState"], job["Restarts"]) == ("CANCELLED", "0")
    slurm.until(lambda: slurm.login("squeue", "--noheader") == "", number, seconds=30)


def test_a_sweep_is_an_array_and_its_report_names_what_failed(slurm, pipeline):
    sweep = {
        "shows": "Six seeds.",
        "figure": [{"plot": "final", "x": "seed"}],
        "stages": {"ntp": {"recipe": "sft", "config": "sft.yaml", "grid": {"seed": [0, 1, 2, 3, 4, 5]}}},
    }
    (slurm.checkout / "six.yaml").write_text(yaml.safe_dump(sweep))
    (slurm.checkout / "runs/six/ntp/seed=3/records.jsonl").mkdir(parents=True)  # nothing can be written there
    said = slurm.login(
        "python",
        "recipes/sweep.py",
        "--config",
        "six.yaml",
        "--sweep_dir",
        "runs/six",
        "--slurm",
        "slurm/sweep.sh",
        "--jobs",
        "3",
    )
    number = re.search(r"Submitted batch job (\d+)", said)[1]
    slurm.until(lambda: slurm.login("squeue", "--noheader", "--jobs", number) == "", number, seconds=240)
    states = {task: slurm.job(f"{number}_{task}")["JobState"] for task in range(6)}
    assert states == {task: "FAILED" if task == 3 else "COMPLETED" for task in range(6)}
    report = slurm.lab("exec", "python", "eval/report.py", "runs/six")
    assert report.returncode == 0, report.stderr
    named = [line for line in (report.stdout + report.stderr).splitlines() if "failed" in line or "missing" in line]
    assert "seed=3" in "".join(named)
    assert not any(f"seed={seed}" in "".join(named) for seed in (0, 1, 2, 4, 5))


@pytest.mark.parametrize("gpus", [1, 4, 8])
def test_every_script_is_accepted_with_gpus(slurm, pipeline, gpus):
    options = ("--test-only", "--nodes=2", f"--gpus-per-node={gpus}")
    for script in ("sft", "grpo", "star", "eval", "sweep"):
        array = ("--array=0-5",) if script == "sweep" else ()
        result = slurm.lab("exec", "sbatch", *options, *array, f"slurm/{script}.sh", f"{TINY}/sft.yaml")
        assert result.returncode == 0, result.stderr
        assert re.search(r"Job \d+ to start at .* on nodes n\[\d-\d\]", result.stderr), result.stderr
    too_many = slurm.lab("exec", "sbatch", "--test-only", "--gpus-per-node=9", "slurm/sft.sh")
    assert too_many.returncode != 0
