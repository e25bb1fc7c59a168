"""The real commands on the tiny recipe, in a directory of their own."""

import json

import pytest
import yaml
from conftest import ROOT, run_command

from rarecot.evaluation import records

LAUNCH = ("accelerate", "launch", "--config_file", ROOT / "recipes/accelerate/cpu.yaml")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A tiny run, SFT then GRPO, by `accelerate launch`, from a directory that is not the checkout."""
    cwd = tmp_path_factory.mktemp("elsewhere")
    for stage in ("sft", "grpo"):
        config = ROOT / "recipes/parity/tiny" / f"{stage}.yaml"
        result = run_command(*LAUNCH, ROOT / "recipes" / f"{stage}.py", "--config", config, cwd=cwd)
        assert result.returncode == 0, result.stderr
        assert "greedy" in result.stdout.splitlines()[-1]
        assert "it/s" in result.stderr  # a bar with rate and remaining time
        assert "Warning" not in result.stderr
    return cwd / "runs" / "parity-tiny"


def test_run_directory_is_self_contained(run_dir):
    for name in ("config.yaml", "manifest.json", "versions.json", "records.jsonl"):
        assert (run_dir / name).is_file()
    for folder in ("sft/checkpoint-20", "grpo/checkpoint-4"):
        files = {path.name for path in (run_dir / folder).iterdir()}
        assert {"model.safetensors", "tokenizer.json", "config.json", "rarecot.json", "trainer_state.json"} <= files
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    assert config["sft"]["max_steps"] == 20
    assert config["grpo"]["loss_type"] == "dr_grpo"
    assert config["sft"]["p_cot"] == 0.5
    assert not [key for stage in config.values() for key in stage if key.endswith("_token")]
    assert set(json.loads((run_dir / "versions.json").read_text())) == {"sft", "grpo"}


def test_records_tell_the_whole_training(run_dir):
    made = records.read(run_dir)
    greedy = [(r["stage"], r["step"]) for r in made if (r["decoding"], r["split"]) == ("greedy", "test")]
    assert greedy == [("sft", s) for s in (0, 1, 2, 5, 10, 20)] + [("grpo", s) for s in (0, 1, 2, 4)]
    assert [r["step"] for r in made if r["split"] == "rollouts"] == [0, 1, 2, 3]
    for record in made:
        assert set(record) <= set(records.FIELDS)
        assert record["accuracy_ci"][0] <= record["accuracy"] <= record["accuracy_ci"][1]
        assert record["seed"] == 0
        assert ("loss_normalisation" in record) == (record["stage"] == "grpo")
    last = next(r for r in reversed(made) if r["stage"] == "sft")
    assert last["sequences_seen"] == 20 * 8
    # prompt of 8 tokens, then 2 (short) or 7 (long): half of the fixed set each, seen five times
    assert last["tokens_seen"] == 5 * 16 * (8 + 2 + 8 + 7)
    rollouts = [r for r in made if r["split"] == "rollouts"]
    assert [r["sequences_seen"] for r in rollouts] == [0, 16, 32, 48]


def test_the_trainers_log_every_step_that_they_are_asked_to(run_dir):
    """What the harness tells trackers at a step does not pass for the trainer's own log of it."""
    config = yaml.safe_load((run_dir / "config.yaml").read_text())
    for stage, step in (("sft", 20), ("grpo", 4)):
        state = json.loads((run_dir / stage / f"checkpoint-{step}" / "trainer_state.json").read_text())
        logged = [entry["step"] for entry in state["log_history"] if "loss" in entry]
        every = config[stage]["logging_steps"]
        assert logged == [s for s in range(1, step + 1) if s % every == 0], stage


def test_generations_are_kept(run_dir):
    import pyarrow.parquet as pq

    for record in records.read(run_dir):
        if record["split"] != "test":
            continue
        rows = pq.read_table(run_dir / "completions" / records.completions_name(record)).to_pylist()
        assert len(rows) == record["n"]
        assert sum(row["verdict"] == "correct" for row in rows) / len(rows) == record["accuracy"]
        assert sum(row["kind"] == "long" for row in rows) / len(rows) == record["long_share"]


def test_checkpoint_loads_as_any_other_model(run_dir):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = run_dir / "grpo" / "checkpoint-4"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3
    out = model.generate(**tokenizer(["010101="], return_tensors="pt"), max_new_tokens=3, do_sample=False)
    assert out.shape[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["reinforce", "star"])
def test_other_algorithms_share_records_and_report(run_dir, tmp_path, recipe):
    """From the same NTP checkpoint, in a directory of their own; evaluated and reported like GRPO."""
    config = ROOT / "recipes/parity/tiny" / f"{recipe}.yaml"
    words = ("--run_dir", tmp_path / "run", "--model_name_or_path", run_dir / "sft")
    result = run_command("python", ROOT / "recipes" / f"{recipe}.py", "--config", config, *words)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    made = records.read(tmp_path / "run")
    assert {r["stage"] for r in made} == {recipe}
    rollouts = [r for r in made if r["split"] == "rollouts"]
    assert [r["round"] for r in rollouts] == list(range(4 if recipe == "reinforce" else 3))
    assert all(r["loss_normalisation"] for r in made)
    again = run_command("python", ROOT / "recipes" / f"{recipe}.py", "--config", config, *words)
    assert "is this stage's last; nothing to do" in again.stdout
    (tmp_path / "suite.yaml").write_text("n: 16\ntemperatures: [0.5]\n")
    evaluated = run_command(
        "python", ROOT / "eval/run.py", "--run", tmp_path / "run", "--suite", tmp_path / "suite.yaml"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert len(evaluated.stdout.splitlines()) == len(list((tmp_path / "run" / recipe).glob("checkpoint-*")))
    report = run_command("python", ROOT / "eval/report.py", tmp_path / "run")
    assert report.returncode == 0, report.stderr
    assert {"reinforce": "REINFORCE", "star": "STaR"}[recipe] in report.stdout


@pytest.mark.slow
def test_star_on_two_processes_samples_every_prompt_once(run_dir, tmp_path):
    import pyarrow.parquet as pq

    words = (
        "--run_dir",
        tmp_path / "run",
        "--model_name_or_path",
        run_dir / "sft",
        "--per_device_train_batch_size",
        "4",
    )
    launch = ("torchrun", "--nproc_per_node", "2", "--master_port", "29731", ROOT / "recipes/star.py")
    result = run_command(*launch, *words, ACCELERATE_USE_CPU="true", OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr
    made = records.read(tmp_path / "run")
    assert len((tmp_path / "run/records.jsonl").read_text().splitlines()) == len(made) == 3 + 2 * 4
    for number, record in enumerate((r for r in made if r["split"] == "rollouts"), 1):
        rows = pq.read_table(tmp_path / f"run/star/round-{number:03d}/samples.parquet").to_pylist()
        assert len({row["problem_id"] for row in rows}) == len(rows) == record["n"] == 16


def test_a_finished_run_is_not_trained_again(run_dir):
    before = (run_dir / "records.jsonl").read_bytes()
    config = ROOT / "recipes/parity/tiny/sft.yaml"
    result = run_command("python", ROOT / "recipes/sft.py", "--config", config, cwd=run_dir.parents[1])
    assert result.returncode == 0, result.stderr
    assert "checkpoint-20 is this stage's last; nothing to do" in result.stdout
    assert (run_dir / "records.jsonl").read_bytes() == before


@pytest.mark.slow
def test_another_run_in_the_same_place_is_refused_or_moved_aside(run_dir, tmp_path):
    import shutil

    shutil.copytree(run_dir, tmp_path / "runs" / "parity-tiny")
    command = ("python", ROOT / "recipes/sft.py", "--config", ROOT / "recipes/parity/tiny/sft.yaml", "--seed", "1")
    refused = run_command(*command, cwd=tmp_path)
    assert refused.returncode == 2
    assert "seed 0 → 1" in refused.stderr
    moved = run_command(*command, "--move_aside", "true", cwd=tmp_path)
    assert moved.returncode == 0, moved.stderr
    assert (tmp_path / "runs" / "parity-tiny.old-1" / "grpo").is_dir()
    assert {r["seed"] for r in records.read(tmp_path / "runs" / "parity-tiny")} == {1}


@pytest.mark.slow
def test_another_rl_stage_is_moved_aside_and_shares_the_ntp_stage(run_dir, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run_dir, copy)
    command = (
        "python",
        ROOT / "recipes/grpo.py",
        "--config",
        ROOT / "recipes/parity/tiny/grpo.yaml",
        "--run_dir",
        copy,
    )
    result = run_command(*command, "--max_steps", "1", "--eval_every", "9", "--move_aside", "true")
    assert result.returncode == 0, result.stderr
    old = tmp_path / "run.old-1"

    def of(folder, stage):
        return [r for r in records.read(folder) if r["stage"] == stage]

    assert len(of(old, "grpo")) == len(of(run_dir, "grpo"))  # nothing is lost
    assert of(copy, "sft") == of(run_dir, "sft")
    assert {r["step"] for r in of(copy, "grpo")} == {0, 1}
    assert sorted(p.name for p in (copy / "grpo").glob("checkpoint-*")) == ["checkpoint-1"]
    assert set(yaml.safe_load((copy / "config.yaml").read_text())) == {"sft", "grpo"}
    files = {p.name for p in (copy / "completions").iterdir()}
    assert {records.completions_name(r) for r in records.read(copy) if r["split"] == "test"} == files


def test_evaluation_after_training_skips_what_is_known(run_dir, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    (copy / "sft" / "checkpoint-20" / "rarecot.json").unlink()  # as if the save had been interrupted
    suite = tmp_path / "suite.yaml"
    suite.write_text("n: 16\ntemperatures: [0, 0.5]\nsamples: 2\n")
    first = run_command("python", ROOT / "eval/run.py", "--run", copy, "--suite", suite)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    assert [line.split()[0].removeprefix(f"{copy}/") for line in lines] == [
        "sft/checkpoint-10",
        "grpo/checkpoint-2",
        "grpo/checkpoint-4",
    ]
    assert all("sampled" in line and "greedy" not in line for line in lines)  # greedy was measured in training
    made = [r for r in records.read(copy) if r["temperature"] == 0.5]
    assert [(r["stage"], r["step"], r["n"]) for r in made] == [("sft", 10, 32), ("grpo", 2, 32), ("grpo", 4, 32)]
    assert made[-1]["loss_normalisation"].startswith("dr_grpo")
    assert made[0]["sequences_seen"] == 80
    second = run_command("python", ROOT / "eval/run.py", "--run", copy, "--suite", suite)
    assert (second.returncode, second.stdout) == (0, "")


@pytest.mark.slow
def test_evaluation_after_training_agrees_with_the_one_during(run_dir, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    during = {records.identity(r): r for r in records.read(copy) if r["split"] == "test"}
    (copy / "records.jsonl").unlink()
    suite = tmp_path / "suite.yaml"
    suite.write_text("n: 16\n")
    result = run_command("python", ROOT / "eval/run.py", "--run", copy, "--suite", suite)
    assert result.returncode == 0, result.stderr
    after = records.read(copy)
    assert len(after) == 8  # 4 checkpoints, greedy and sampled
    for record in after:
        before = during[records.identity(record)]
        assert {**record, "seconds": 0} == {**before, "seconds": 0}


def test_evaluate_one_model(run_dir):
    suite = ROOT / "eval/suites/parity-tiny.yaml"
    result = run_command("python", "eval/run.py", "--model", run_dir / "grpo", "--suite", suite)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""  # no bars, no warnings
    made = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(r["temperature"], r["n"]) for r in made] == [(0.0, 16), (0.7, 64), (1.0, 64)]


def test_report(run_dir):
    result = run_command("python", ROOT / "eval/report.py", run_dir)
    assert result.returncode == 0, result.stderr
    assert "Warning" not in result.stderr
    for name in ("overview", "trajectory", "calibration", "rounds", "selection", "ledger", "lengths"):
        assert (run_dir / "figures" / f"{name}.png").stat().st_size > 10_000
    page = (run_dir / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 7
    assert 'src="http' not in page
    assert "<bos>" not in page  # what a model writes is escaped


@pytest.mark.slow
def test_resumed_run_equals_the_uninterrupted_one(run_dir, tmp_path):
    """Stopped after its first checkpoint, then started again: the same records, to the byte, but for the clock."""
    import shutil

    copy = tmp_path / "runs" / "parity-tiny"
    shutil.copytree(run_dir, copy)
    for stage, last in (("sft", "checkpoint-20"), ("grpo", "checkpoint-4")):
        shutil.rmtree(copy / stage / last)
    first = {("sft", s) for s in (0, 1, 2, 5, 10)} | {("grpo", s) for s in (0, 1, 2)}
    lines = (copy / "records.jsonl").read_text().splitlines(keepends=True)
    keep = {"sft": lambda r: r["step"] <= 10, "grpo": lambda r: (r["stage"], r["step"]) in first and r["step"] <= 2}
    kept = [line for line in lines if keep[json.loads(line)["stage"]](json.loads(line))]
    # a rollout at step 2 belongs to the part that is done again
    kept = [line for line in kept if not (json.loads(line)["split"] == "rollouts" and json.loads(line)["step"] >= 2)]
    (copy / "records.jsonl").write_text("".join(kept))
    for stage in ("sft", "grpo"):
        command = ("python", ROOT / "recipes" / f"{stage}.py", "--config", ROOT / f"recipes/parity/tiny/{stage}.yaml")
        result = run_command(*command, cwd=tmp_path)
        assert result.returncode == 0, result.stderr

    def comparable(folder):
        return sorted(json.dumps({**r, "seconds": 0}, sort_keys=True) for r in records.read(folder))

    assert comparable(copy) == comparable(run_dir)


def test_build_command(tmp_path):
    spec = ROOT / "data_mixes/parity-tiny.yaml"
    command = ("python", "data_mixes/build.py", spec, "--out", tmp_path / "mix", "--p_cot", "0.25", "--show", "1")
    result = run_command(*command)
    assert result.returncode == 0, result.stderr
    assert "⟦<eos>⟧" in result.stdout
    assert result.stderr == ""
    assert json.loads((tmp_path / "mix" / "manifest.json").read_text())["n_long"] == 8
    again = run_command(*command)
    assert again.returncode == 2
    assert "not empty" in again.stderr
    config = ROOT / "recipes/parity/tiny/sft.yaml"
    trained = run_command(
        *("python", ROOT / "recipes/sft.py", "--config", config, "--mixture", tmp_path / "mix", "--max_steps", "1"),
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    assert json.loads((tmp_path / "runs/parity-tiny/manifest.json").read_text())["n_long"] == 8


def test_refusals_by_the_real_commands(tmp_path):
    bad = run_command("python", "recipes/sft.py", "--p_cot", "3", "--eval_n", "0")
    assert bad.returncode == 2
    assert "2 problems" in bad.stderr
    assert run_command("python", "eval/report.py", tmp_path).returncode == 2
    assert run_command("python", "eval/run.py", "--run", tmp_path).returncode == 2


@pytest.mark.slow
def test_an_interrupted_online_stream_goes_on_where_it_was(tmp_path):
    """One run to the end, one stopped at half: the stream's position is part of what is resumed."""
    import shutil

    config = ROOT / "recipes/parity/tiny/sft.yaml"
    more = ("--online", "true", "--d", "12", "--eval_every", "100")
    command = ("python", ROOT / "recipes/sft.py", "--config", config, *more)
    whole = run_command(*command, "--run_dir", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    shutil.copytree(tmp_path / "whole", tmp_path / "half")
    shutil.rmtree(tmp_path / "half/sft/checkpoint-20")
    lines = (tmp_path / "half/records.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["step"] < 20]
    (tmp_path / "half/records.jsonl").write_text("".join(kept))
    again = run_command(*command, "--run_dir", tmp_path / "half")
    assert again.returncode == 0, again.stderr
    weights = [(tmp_path / name / "sft/checkpoint-20/model.safetensors").read_bytes() for name in ("whole", "half")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_run_by_epochs_is_not_finished_before_its_end(tmp_path):
    import shutil

    words = ("--max_steps", "-1", "--num_train_epochs", "3", "--n", "20", "--run_dir", tmp_path / "run")
    command = ("python", ROOT / "recipes/sft.py", "--config", ROOT / "recipes/parity/tiny/sft.yaml", *words)
    command = (*command, "--save_steps", "5")
    assert run_command(*command).returncode == 0  # 3 epochs of 8 + 8 + 4 rows: 9 steps
    assert records.read(tmp_path / "run")[-1]["sequences_seen"] == 60
    shutil.rmtree(tmp_path / "run/sft/checkpoint-9")
    again = run_command(*command)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" not in again.stdout
    assert (tmp_path / "run/sft/checkpoint-9/rarecot.json").is_file()


@pytest.fixture(scope="module")
def quick_ntp(tmp_path_factory):
    """The NTP stage of `make quick`: d = 20, by the real recipe."""
    cwd = tmp_path_factory.mktemp("quick")
    config = ("--config", ROOT / "recipes/parity/quick/sft.yaml")
    result = run_command(*LAUNCH, ROOT / "recipes/sft.py", *config, cwd=cwd, timeout=900)
    assert result.returncode == 0, result.stderr
    return cwd / "runs/parity-quick"


@pytest.mark.slow
@pytest.mark.parametrize("rollouts", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_quick_shows_the_paper(quick_ntp, tmp_path, rollouts):
    """d = 20 by the real recipes: a coin flip at length 1 after NTP, everything right at length 20 after GRPO."""
    import shutil

    run = tmp_path / "runs/parity-quick"
    shutil.copytree(quick_ntp, run)
    config = ("--config", ROOT / "recipes/parity/quick/grpo.yaml", "--use_vllm", str(rollouts == "vllm"))
    result = run_command(*LAUNCH, ROOT / "recipes/grpo.py", *config, cwd=tmp_path, timeout=900)
    assert result.returncode == 0, result.stderr
    assert "expected share of long rollouts (one rate, fitted on rounds 0 to 3)" in result.stdout
    assert "truncation" not in result.stdout
    made = [r for r in records.read(run) if r["split"] == "test"]

    def last(stage, decoding):
        return next(r for r in reversed(made) if (r["stage"], r["decoding"]) == (stage, decoding))

    greedy, sampled = last("sft", "greedy"), last("sft", "sampled")
    assert abs(greedy["accuracy"] - 0.5) <= 0.06
    assert greedy["length_median"] == 1
    assert abs(sampled["long_share"] - 0.25) <= 0.05
    assert sampled["accuracy_long"] >= 0.95
    greedy = last("grpo", "greedy")
    assert greedy["accuracy"] >= 0.99
    assert greedy["length_median"] == 20


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_the_plan_of_quick_contains_what_star_does(quick_ntp, tmp_path, backend):
    """Made before RL, from the checkpoint alone."""
    words = ("--model", quick_ntp / "sft", "--out", tmp_path, "--backend", backend, "--prompts_per_round", "2048")
    result = run_command("python", ROOT / "eval/plan.py", *words)
    assert result.returncode == 0, result.stderr
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["sampler"].startswith(backend)
    assert plan["threshold"]["low"] <= 0.4
    assert plan["threshold"]["high"] >= 0.27
    assert (tmp_path / "plan.png").is_file()
    if backend == "vllm":
        return
    config = ("--config", ROOT / "recipes/parity/quick/star.yaml", "--model_name_or_path", quick_ntp / "sft")
    result = run_command("python", ROOT / "recipes/star.py", *config, "--run_dir", tmp_path / "star", timeout=900)
    assert result.returncode == 0, result.stderr
    assert "truncation" not in result.stdout
    made = [r for r in records.read(tmp_path / "star") if r["decoding"] == "greedy"]
    flip = next(r["round"] for r in made if r["long_share"] >= 0.5)
    assert plan["flip_round"]["low"] <= flip <= plan["flip_round"]["high"]


@pytest.mark.slow
def test_a_cap_that_is_too_short_raises_the_alarm(quick_ntp, tmp_path):
    config = ("--config", ROOT / "recipes/parity/quick/grpo.yaml", "--model_name_or_path", quick_ntp / "sft")
    short = ("--max_completion_length", "12", "--allow_truncation", "true", "--max_steps", "6", "--save_steps", "3")
    command = ("python", ROOT / "recipes/grpo.py", *config, *short, "--run_dir", tmp_path / "cut")
    result = run_command(*command, timeout=600)
    assert result.returncode == 0, result.stderr
    (alarm,) = (line for line in result.stdout.splitlines() if line.startswith("ALARM"))
    assert "Likely cause: truncation: " in alarm
    assert "max_completion_length 12" in alarm
    rollouts = [r for r in records.read(tmp_path / "cut") if r["split"] == "rollouts"]
    pushes = {part: sum(r[f"selection_{part}"] for r in rollouts) for part in ("reward", "truncation")}
    assert pushes["truncation"] < -pushes["reward"] < 0  # over all rounds: the last have few long responses left
    result = run_command("python", ROOT / "eval/report.py", tmp_path / "cut")
    assert alarm.removeprefix("ALARM ") in result.stdout
    assert "Likely cause: truncation" in (tmp_path / "cut/report.html").read_text()
    assert (tmp_path / "cut/figures/selection.png").is_file()


def test_a_plan_that_cannot_be_meant_is_refused(tmp_path):
    """Everything at once, and before a model is looked for."""
    words = (
        "--model",
        tmp_path,
        "--n",
        "0",
        "--temperature",
        "0",
        "--reward_funcs",
        "anser",
        "--reward_weights",
        "1",
        "2",
    )
    result = run_command("python", ROOT / "eval/plan.py", *words)
    assert result.returncode == 2
    for said in ("n is 0", "temperature is 0", "did you mean 'answer'", "reward_weights has 2 entries for 1"):
        assert said in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["gpt2", "mistral", "qwen3"])
def test_other_architectures_train_and_do_rl(tmp_path, model_type):
    for stage, more in (("sft", ["--model_type", model_type]), ("grpo", ["--reward_funcs", "chain", "answer"])):
        result = run_command("python", ROOT / "recipes" / f"{stage}.py", *more, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        assert "tiny parity default" in result.stdout
    run = tmp_path / "runs" / "parity-tiny"
    assert json.loads((run / "grpo/checkpoint-4/config.json").read_text())["model_type"] == model_type
    assert max(r["reward_mean"] for r in records.read(run) if r["split"] == "rollouts") <= 2


@pytest.mark.slow
def test_rl_without_anything_trains_the_tiny_default_first(tmp_path):
    result = run_command("python", ROOT / "recipes/grpo.py", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert {r["stage"] for r in records.read(tmp_path / "runs/parity-tiny")} == {"sft", "grpo"}


@pytest.mark.slow
def test_ntp_from_a_checkpoint(run_dir, tmp_path):
    words = ["--model_name_or_path", run_dir / "sft", "--run_dir", tmp_path / "more", "--max_steps", "1"]
    config = ROOT / "recipes/parity/tiny/sft.yaml"
    result = run_command("python", "recipes/sft.py", "--config", config, *words, "--learning_rate", "0")
    assert result.returncode == 0, result.stderr

    def greedy(folder, step):
        made = [r for r in records.read(folder) if (r["stage"], r["step"], r["decoding"]) == ("sft", step, "greedy")]
        return made[0]["accuracy"], made[0]["length_mean"]

    assert greedy(tmp_path / "more", 0) == greedy(run_dir, 20)
