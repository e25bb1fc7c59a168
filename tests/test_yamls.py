"""Every YAML in the repository means something to the code that reads it."""

import pytest
import yaml
from conftest import ROOT

from rarecot.errors import ConfigError
from rarecot.evaluation.suite import read_suite
from rarecot.mixtures.spec import MixtureSpec, read_mapping
from rarecot.theory.linear.spec import LinearSpec
from rarecot.training.request import parse

HIDDEN = {".venv", ".git", "runs"}
FILES = [
    path
    for path in sorted([*ROOT.rglob("*.yaml"), *ROOT.rglob("*.yml")])
    if not HIDDEN & set(path.relative_to(ROOT).parts)
]


def names(folder):
    return [path for path in FILES if path.is_relative_to(ROOT / folder)]


PROTOCOLS = "src/rarecot/evaluation/protocols"  # held against their sources in tests/evaluation/test_protocols.py
ATTACKS = "tests/attacks"  # held against the program beside them
# Sweeps are held against their recipes in tests/sweeps.
RECIPES = [path for path in names("recipes") if path.parent.name not in ("accelerate", "experiments", "linear")]


def test_none_is_forgotten():
    known = {*names("data_mixes"), *names("eval/suites"), *names("recipes"), *names(PROTOCOLS), *names(ATTACKS)}
    assert set(FILES) == known
    assert len(RECIPES) >= 5


@pytest.mark.parametrize("path", names("data_mixes"), ids=lambda p: p.stem)
def test_mixture(path):
    MixtureSpec.from_mapping(read_mapping(path))
    assert path.read_text().startswith("#"), "a mixture says in a sentence what it is for"


@pytest.mark.parametrize("path", names("eval/suites"), ids=lambda p: p.stem)
def test_suite(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    suite, spec = read_suite(path)
    assert spec is None or suite.n <= spec.n_test or spec.n_test == 0


# What this machine lacks, and a recipe may ask for: a trained checkpoint, the hub, vLLM.
LACKING = ("there is no complete checkpoint at", "can be had from the hub", "vLLM is not installed")


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.parent.name}-{p.parent.name}-{p.stem}")
def test_recipe(path, tmp_path, monkeypatch):
    """It parses, every key has an owner, and nothing is wrong but what this machine lacks."""
    monkeypatch.chdir(tmp_path)  # where no run of the user's lies
    assert path.read_text().startswith("#"), "a recipe says in a sentence what it shows"
    words = ["--config", str(path), "--run_dir", "/nowhere"]
    found = problems(path.stem, words)
    assert [p for p in found if not any(word in p for word in LACKING)] == []
    assert found or path.stem == "sft", "RL needs a checkpoint"


def problems(stage, words):
    try:
        parse(stage, "", words)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize("path", names("recipes/linear"), ids=lambda p: p.stem)
def test_linear(path):
    spec, problems = LinearSpec.from_mapping(read_mapping(path))
    assert problems == []
    assert spec.out == f"runs/linear-{path.stem}", "each has a folder of its own"
    assert path.read_text().startswith("#"), "an experiment says in a sentence what it shows"
    assert "Cost: " in path.read_text()


# File name → distributed type, processes, machines: what it says that it is.
LAUNCHED = {
    "cpu": ("NO", 1, 1),
    "gloo": ("MULTI_GPU", 2, 1),  # over gloo where the environment says CPU: tests/training/test_processes.py
    "cuda": ("NO", 1, 1),
    "ddp": ("MULTI_GPU", 8, 1),
    "fsdp2": ("FSDP", 8, 1),
    "zero2": ("DEEPSPEED", 8, 1),
    "zero3": ("DEEPSPEED", 8, 1),
    "multi-node": ("MULTI_GPU", 16, 2),
}


@pytest.mark.parametrize("path", names("recipes/accelerate"), ids=lambda p: p.stem)
def test_accelerate_config(path):
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

    assert path.read_text().startswith("#"), "it says in a line what it is for"
    assert set(yaml.safe_load(path.read_text())) <= set(ClusterConfig.__dataclass_fields__)
    config = load_config_from_file(str(path))
    kind = getattr(config.distributed_type, "value", config.distributed_type)
    assert (kind, config.num_processes, config.num_machines) == LAUNCHED[path.stem]
    assert config.use_cpu == (path.stem in ("cpu", "gloo"))
    assert config.mixed_precision == ("no" if config.use_cpu else "bf16")
    if path.stem == "fsdp2":
        asked = config.fsdp_config
        assert (asked["fsdp_version"], asked["fsdp_auto_wrap_policy"]) == (2, "TRANSFORMER_BASED_WRAP")
        assert asked["fsdp_state_dict_type"] == "FULL_STATE_DICT"
    if kind == "DEEPSPEED":
        assert f"zero{config.deepspeed_config['zero_stage']}" == path.stem
        assert config.deepspeed_config["zero3_save_16bit_model"] == (path.stem == "zero3")
