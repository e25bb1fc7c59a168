"""Predictions by hand, and what must hold of them whatever the numbers."""

import json
from dataclasses import replace

import pytest
from conftest import ROOT, run_command

from rarecot.errors import ConfigError
from rarecot.training.rl import scale
from rarecot.training.rl.memory_plan import GIB
from rarecot.training.rl.scale import MODELS, Layout, Machine, Model, Round, recommend, training_bytes

# A layer: 2·4·2·(2 + 1) attention, 3·4·8 MLP, 2·4 norms = 152; 10·4 embeddings; 2·152 + 40 + 4 = 348.
TINY = Model("tiny", 4, 2, 2, 1, 2, 8, 10, True)
MACHINE, WORK = Machine(), Round()


def test_parameters():
    assert (TINY.block, TINY.embeddings, TINY.parameters) == (152, 40, 348)
    assert replace(TINY, tied=False).parameters == 388
    # as the hub counts them
    assert [m.parameters for m in MODELS.values()] == [1_235_814_400, 3_212_749_824, 8_030_261_248]


@pytest.mark.parametrize(
    ("sharding", "gpus", "expected"),
    [
        ("ddp", 1, 16 * 348),
        ("ddp", 8, 16 * 348 + 4 * 348),  # and the buckets
        ("zero2", 1, 16 * 348),
        ("zero2", 8, 2 * 348 + 609),  # 14·348/8
        ("fsdp2", 8, 2 * 348 + 2 * (40 + 3 * 152)),  # 16·348/8, and what is gathered
        ("fsdp2", 16, 348 + 992),
    ],
)
def test_training_state(sharding, gpus, expected):
    assert training_bytes(TINY, sharding, gpus) == expected


def test_a_gpu_holds_by_hand():
    """1B on 8 GPUs: 512 responses each, 768 tokens; keys and values 2·16·8·64·2 bytes a token."""
    n = 1_235_814_400
    plan, server, running = scale.memory(MODELS["llama-3.2-1b"], MACHINE, WORK, Layout("ddp", 8))
    assert (plan.training, plan.engine) == (20 * n, 2 * n)
    assert plan.activations == 8 * 768 * 2048 * (2 * 16 + 34)
    assert plan.cache == 512 * 768 * 32_768
    assert (running, server) == (512, 0)
    assert plan.peak == plan.training + plan.engine + plan.cache  # vLLM sleeps while it trains
    apart, server, running = scale.memory(MODELS["llama-3.2-1b"], MACHINE, WORK, Layout("zero2", 16, servers=8))
    assert (apart.training, apart.engine) == (2 * n + 14 * n // 8, 0)
    assert server == 2 * n + 512 * 768 * 32_768


def test_times_by_hand():
    model, machine = MODELS["llama-3.2-1b"], Machine(decode_share=1, mfu=1, step_seconds=0)
    layout, n = Layout("ddp", 8), 1_235_814_400
    step = (2 * n + 512 * (256 + 256) * 32_768) / 3.35e12
    prefill = 64 * 256 * (2 * n + 2 * 16 * 2048 * 256) / 989e12
    assert scale.generation_seconds(model, machine, WORK, layout, 512) == pytest.approx(512 * step + prefill)
    halves = scale.generation_seconds(model, machine, WORK, layout, 256)  # two waves read the weights twice
    assert halves == pytest.approx(512 * (step + 2 * n / 3.35e12) + prefill)
    flops = 512 * 768 * 5 * (2 * n + 2 * 16 * 2048 * 768)
    assert scale.training_seconds(model, machine, WORK, layout) == pytest.approx(flops / 989e12)
    slow = replace(machine, nvlink=1e9)  # then the all-reduce decides: 2·4 bytes a parameter, 7/8 of it to others
    assert scale.training_seconds(model, slow, WORK, layout) == pytest.approx(8 * n * 7 / 8 / 1e9)
    assert scale.sync_seconds(model, machine, layout) == pytest.approx(4 * n / 50e9)
    assert scale.sync_seconds(model, machine, Layout("fsdp2", 8)) == pytest.approx(4 * n / 50e9 + 4 * n / 450e9)


@pytest.mark.parametrize("name", MODELS)
def test_more_gpus_are_never_slower_nor_fuller(name):
    model, counts = MODELS[name], (1, 2, 4, 8, 16, 32, 64, 128)
    found = [made for gpus in counts if (made := recommend(model, MACHINE, WORK, gpus))]
    assert len(found) >= 6
    seconds = [made.seconds for made in found]
    assert seconds == sorted(seconds, reverse=True)
    for sharding in ("zero2", "fsdp2"):
        held = [training_bytes(model, sharding, gpus) for gpus in counts]
        assert held[1:] == sorted(held[1:], reverse=True)
    for made in found:
        assert made.training_gpu.peak <= MACHINE.gpu_memory_gib * GIB * scale.USABLE
        assert made.server_gpu <= MACHINE.gpu_memory_gib * GIB * scale.USABLE
        assert made.overlapped <= made.seconds <= (made.apart or made.seconds) * scale.ALIKE


def test_the_recommended_fits_smaller_gpus_too_or_there_is_none():
    model = MODELS["llama-3.1-8b"]
    assert recommend(model, MACHINE, WORK, 1) is None  # 16 bytes · 8e9 > 79 GiB
    made = recommend(model, replace(MACHINE, gpu_memory_gib=40), WORK, 16)
    assert made.training_gpu.peak <= 36 * GIB
    assert made.layout.sharding == "fsdp2" or made.layout.tensor_parallel > 1
    huge = replace(model, layers=2000, name="huge")
    text = scale.table([huge], MACHINE, WORK, [64])
    assert "does not fit" in text
    assert "no launcher here divides an engine over nodes" in text


def test_refusals(tmp_path):
    found = " ".join(scale.problems_with(replace(MACHINE, mfu=40), replace(WORK, prompts=0, mean_tokens=900), [0, 12]))
    for words in ("mfu is 40", "prompts is 0", "mean_tokens is 900", "gpus has 0", "gpus has 12"):
        assert words in found
    assert scale.problems_with(MACHINE, WORK, [1, 8, 64]) == []
    with pytest.raises(ConfigError, match="holds no config"):
        scale.read_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 8, "n_layer": 2}))
    with pytest.raises(ConfigError, match="num_hidden_layers"):
        scale.read_model(tmp_path)


def test_the_command(tmp_path):
    shape = {"hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    shape |= {"head_dim": 2, "intermediate_size": 8, "vocab_size": 10, "tie_word_embeddings": True}
    (tmp_path / "config.json").write_text(json.dumps(shape))
    assert scale.read_model(tmp_path) == replace(TINY, name=tmp_path.name)
    done = run_command("python", "slurm/scale.py", "--model", tmp_path, "--gpus", "8", "1")
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith(f"| {tmp_path.name}")]
    assert [row.split("|")[2].strip() for row in rows] == ["1", "8"]
    assert done.stdout.startswith("Predicted, not measured")
    assert len({line.count("|") for line in done.stdout.splitlines() if line.startswith("|")}) == 1
    refused = run_command("python", "slurm/scale.py", "--models", "llama-3.1-8", "--gpus", "12", "--tokens", "0")
    assert refused.returncode == 2
    for words in ("did you mean 'llama-3.1-8b'", "gpus has 12", "tokens is 0"):
        assert words in refused.stderr


def test_the_readme_has_the_table_that_the_command_prints():
    result = run_command("python", ROOT / "slurm/scale.py")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() in (ROOT / "slurm/README.md").read_text()
