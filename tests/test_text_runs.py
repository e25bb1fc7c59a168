"""The real commands on problems in words, with a tiny Llama: LoRA SFT → GRPO → evaluation → report."""

import functools
import json
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import DATA, ROOT
from conftest import run_command as run_any_command

from rarecot import checkpoints, model_files
from rarecot.evaluation import records

run_command = functools.partial(
    run_any_command, OMP_NUM_THREADS="1"
)  # a model so small gains nothing from a second thread
LORA = {"use_peft": True, "lora_r": 4, "lora_target_modules": ["q_proj", "v_proj"]}
COMMON = {
    "task": "gsm8k",
    "source": str(DATA / "gsm8k"),
    "p_cot": 0.5,
    "n": 32,
    "n_rl": 12,
    "n_test": 8,
    "near_duplicates": 1,
    "decontaminate": 0,
}
SFT = {
    "template": "chat",
    "max_steps": 4,
    "save_steps": 2,
    "per_device_train_batch_size": 4,
    "max_length": None,
    "learning_rate": 1e-2,
}
GRPO = {
    "max_steps": 2,
    "save_steps": 1,
    "per_device_train_batch_size": 8,
    "num_generations": 4,
    "loss_type": "dr_grpo",
    "reward_funcs": ["answer", "length_penalty"],
    "reward_weights": [1.0, 0.001],
    "max_completion_length": 200,
    "max_prompt_tokens": 200,
}
EVALUATION = {"eval_every": 2, "eval_n": 8, "eval_max_new_tokens": 24}


def recipe(folder, stage, model, **options):
    """The YAML of a stage, as a user would write it."""
    mixture = folder / "mixture.yaml"
    mixture.write_text(yaml.safe_dump(COMMON))
    start = {"model_name_or_path": str(model)} if stage == "sft" else {}
    values = {
        "run_dir": "runs/words",
        "mixture": str(mixture),
        **(SFT if stage == "sft" else GRPO),
        **EVALUATION,
        **start,
        **options,
    }
    path = folder / f"{stage}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def train(folder, stage, model, *words, **options):
    result = run_command(
        "python", ROOT / f"recipes/{stage}.py", "--config", recipe(folder, stage, model, **options), *words, cwd=folder
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, text_model):
    folder = tmp_path_factory.mktemp("words")
    train(folder, "sft", text_model, **LORA)
    train(folder, "grpo", text_model, **LORA)
    return folder / "runs" / "words"


@pytest.mark.slow
def test_an_adapter_goes_on_from_sft_to_rl(run_dir, text_model):
    for stage, step in (("sft", 4), ("grpo", 2)):
        folder = run_dir / stage / f"checkpoint-{step}"
        assert checkpoints.is_adapter(folder)
        assert checkpoints.base_of(folder)[0] == str(text_model)
        assert not (folder / "model.safetensors").exists()
        assert checkpoints.parameters(folder) == checkpoints.parameters(text_model)
        stamp = checkpoints.read_stamp(folder)
        assert stamp["rendering"] == {"name": "chat", "system": ""}
        assert stamp["task"] == {"style": "hashes"}
    of = [model_files.parameter_shapes(run_dir / stage / f"checkpoint-{n}") for stage, n in (("sft", 4), ("grpo", 2))]
    assert of[0] == of[1]


@pytest.mark.slow
def test_records_tell_long_from_short_in_two_ways(run_dir):
    made = records.read(run_dir)
    assert {(r["stage"], r["split"]) for r in made} == {("sft", "test"), ("grpo", "test"), ("grpo", "rollouts")}
    for record in made:
        assert {"long_share", "long_share_by_length", "timed_out_share"} <= set(record)
        assert record["long_from_tokens"] == made[0]["long_from_tokens"] > 5
    rollouts = [r for r in made if r["split"] == "rollouts"]
    assert all(r["reward_mean"] < 0 for r in rollouts), (
        "an untrained model is right about nothing, and pays for its tokens"
    )


@pytest.mark.slow
def test_the_run_needs_its_source_no_more(run_dir, tmp_path):
    copy = tmp_path / "words"
    shutil.copytree(run_dir, copy)
    for name in ("manifest.json", "mixture/manifest.json"):
        path = copy / name
        path.write_text(path.read_text().replace(str(DATA / "gsm8k"), "/gone"))
    suite = tmp_path / "suite.yaml"
    suite.write_text("n: 8\ntemperatures: [0]\nmax_new_tokens: 16\n")
    result = run_command("python", "eval/run.py", "--run", copy, "--suite", suite)
    assert result.returncode == 0, result.stderr[-2000:]
    assert len(result.stdout.splitlines()) == 4
    again = run_command("python", "eval/run.py", "--run", copy, "--suite", suite)
    assert again.stdout == "", "everything is known"
    report = run_command("python", "eval/report.py", copy)
    assert report.returncode == 0, report.stderr[-2000:]
    assert (copy / "figures" / "overview.png").is_file()


@pytest.mark.slow
def test_one_model_is_read_as_it_was_trained(run_dir, tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"mixture: {run_dir.parents[1] / 'mixture.yaml'}\nn: 8\ntemperatures: [0]\n")
    result = run_command(
        "python", "eval/run.py", "--model", run_dir / "grpo", "--suite", suite, "--out", tmp_path / "made"
    )
    assert result.returncode == 0, result.stderr[-2000:]
    record = json.loads(result.stdout)
    last = [r for r in records.read(run_dir) if (r["decoding"], r["stage"]) == ("greedy", "grpo")][-1]
    for field in ("accuracy", "length_mean", "long_share", "max_new_tokens", "long_from_tokens"):
        assert record[field] == last[field], field
    assert len(list((tmp_path / "made" / "completions").glob("model-*.parquet"))) == 1
    suite.write_text(suite.read_text() + "template: plain\n")
    refused = run_command("python", "eval/run.py", "--model", run_dir / "grpo", "--suite", suite)
    assert refused.returncode == 2
    assert "Leave template out" in refused.stderr


@pytest.mark.slow
def test_a_resumed_adapter_run_equals_the_uninterrupted_one(run_dir, text_model, tmp_path):
    copy = tmp_path / "runs" / "words"
    shutil.copytree(run_dir, copy)
    shutil.rmtree(copy / "sft" / "checkpoint-4")
    shutil.rmtree(copy / "grpo")
    lines = [json.loads(line) for line in (copy / "records.jsonl").read_text().splitlines()]
    kept = [r for r in lines if r["stage"] == "sft" and r["step"] <= 2]
    (copy / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in kept))
    for stage in ("sft", "grpo"):
        train(tmp_path, stage, text_model, **LORA)
        step = 4 if stage == "sft" else 2
        weights = [d / stage / f"checkpoint-{step}" / "adapter_model.safetensors" for d in (copy, run_dir)]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    comparable = [sorted(json.dumps({**r, "seconds": 0}) for r in records.read(d)) for d in (copy, run_dir)]
    assert comparable[0] == comparable[1]


@pytest.mark.slow
def test_prompts_that_would_be_rendered_otherwise_are_not_evaluated(run_dir, tmp_path):
    copy = tmp_path / "words"
    shutil.copytree(run_dir, copy)
    for path in copy.glob("*/checkpoint-*/chat_template.jinja"):
        path.write_text(path.read_text().replace("<turn>", "<turn> "))
    suite = tmp_path / "suite.yaml"
    suite.write_text("n: 4\ntemperatures: [0]\nmax_new_tokens: 4\n")
    result = run_command("python", "eval/run.py", "--run", copy, "--suite", suite)
    assert result.returncode == 2
    assert "rendered otherwise" in result.stderr


@pytest.mark.slow
def test_a_new_adapter_on_trained_weights_belongs_to_the_checkpoint(text_model, tmp_path):
    """SFT of all weights, then RL with LoRA from the stage's folder; the run is then moved."""
    train(tmp_path, "sft", text_model)
    train(tmp_path, "grpo", text_model, "--model_name_or_path", "runs/words/sft", **LORA)
    moved = tmp_path / "elsewhere"
    (tmp_path / "runs" / "words").rename(moved)
    base, _ = checkpoints.base_of(moved / "grpo" / "checkpoint-2")
    assert Path(base).resolve() == (moved / "sft" / "checkpoint-4").resolve()


@pytest.mark.slow
def test_all_weights_go_on_from_an_adapter(run_dir, text_model, tmp_path):
    """RL without LoRA merges the adapter into its base first."""
    train(tmp_path, "grpo", text_model, "--model_name_or_path", run_dir / "sft")
    folder = tmp_path / "runs" / "words" / "grpo" / "checkpoint-2"
    assert not checkpoints.is_adapter(folder)
    assert checkpoints.parameters(folder) == checkpoints.parameters(text_model)


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.parametrize("lora", [LORA, {}], ids=["adapter", "all weights"])
def test_vllm_samples_the_rollouts(run_dir, text_model, tmp_path, lora):
    train(
        tmp_path,
        "grpo",
        text_model,
        "--model_name_or_path",
        run_dir / "sft",
        "--use_vllm",
        "true",
        "--sync_check_every",
        "1",
        **lora,
    )
    rollouts = [r for r in records.read(tmp_path / "runs" / "words") if r["split"] == "rollouts"]
    assert max(r[f"log_ratio_max_{kind}"] or 0 for r in rollouts for kind in ("long", "short")) < 1e-3
    suite = tmp_path / "suite.yaml"
    suite.write_text(f"mixture: {tmp_path / 'mixture.yaml'}\nn: 8\ntemperatures: [0]\n")
    shown = {}
    for backend in ("transformers", "vllm"):
        command = (
            "python",
            "eval/run.py",
            "--model",
            tmp_path / "runs/words/grpo",
            "--suite",
            suite,
            "--backend",
            backend,
        )
        result = run_command(*command)
        assert result.returncode == 0, result.stderr[-2000:]
        record = json.loads(result.stdout.splitlines()[-1])
        shown[backend] = {k: v for k, v in record.items() if k not in ("seconds", "sampler")}
    assert shown["vllm"] == shown["transformers"]
