"""Run directories made by hand, for model cards: with what nobody is to read in them."""

import json

import yaml

from rarecot import checkpoints
from rarecot.evaluation import records

HOME = "/home/somebody/secret-project"
CACHE = f"{HOME}/.cache/huggingface/hub/models--some-org--small-model/snapshots/0123456789abcdef"
NORMALISATION = "dr_grpo: 1/max_completion_length (a constant); rewards scaled by group"
CONFIG = {
    "sft": {
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 8,
        "max_steps": 20,
        "p_cot": 0.25,
        "weight_decay": 0.0,
    },
    "grpo": {
        "learning_rate": 1e-4,
        "max_steps": -1,
        "num_train_epochs": 3.0,
        "reward_funcs": ["answer", "length_penalty"],
        "reward_weights": [1.0, 0.01],
        "temperature": 0.8,
        "beta": 0.0,
        "p_cot": 0.25,
        "starts_from": "sft/checkpoint-20",
    },
}
# What a config holds besides and nobody is to read.
HIDDEN = {
    "hub_token": "hf_abcdef",
    "output_dir": f"{HOME}/runs/x",
    "vllm_server_base_url": "http://10.1.2.3:8000",
    "vllm_server_host": "node17.cluster",
    "mixture": f"{HOME}/mixture.yaml",
    "run_name": "hunter2",
}
MANIFEST = {
    "task": "parity",
    "d": 6,
    "leap": 1,
    "chain_noise": 0.0,
    "p_cot": 0.25,
    "n": 30,
    "online": False,
    "n_rl": 16,
    "rl_split": "held_out",
    "n_test": 16,
    "stratify": "",
    "seed": 3,
    "n_long": 8,
    "n_short": 22,
    "p_cot_realised": 8 / 30,
    "sha256": "c0ffee",
}
CORPUS = {"task": "gsm8k", "style": "hashes", "chain": "worked", "p_cot": 0.25, "n": 4, "n_long": 1, "n_short": 3}
VERSIONS = {"python": "3.11.7", "torch": "2.13.0", "trl": "1.16.0", "commit": "abc1234", "machine": "x86_64"}
MEASURED = {
    "accuracy": 0.125,
    "accuracy_ci": [0.035, 0.36],
    "length_median": 7.0,
    "long_share": 0.5,
    "long_share_ci": [0.25, 0.75],
    "truncated_share": 0.0625,
}


def record(stage="grpo", step=4, temperature=0.0, **changes):
    decoding = "sampled" if temperature else "greedy"
    return {
        "stage": stage,
        "step": step,
        "split": "test",
        "seed": 3,
        "decoding": decoding,
        "temperature": temperature,
        "n": 16,
        "samples": 1,
        "max_new_tokens": 7,
        "sampling_seed": 3 + step,
        "protocol": "native",
        **MEASURED,
        **changes,
    }


def checkpoint(run_dir, stage, step, **stamp):
    """A complete checkpoint with the files of a real one, empty."""
    folder = run_dir / stage / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    shape = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(shape))
    for name in ("tokenizer.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin", "scaler.pt"):
        (folder / name).write_text("{}")
    (folder / "trainer_state.json").write_text('{"max_steps": 4, "global_step": 4}')
    progress = {"step": step, "sequences_seen": 16 * step, "tokens_seen": 100 * step}
    known = {
        "stage": stage,
        "progress": progress,
        "constants": {},
        "seed": 3,
        "p_cot": 0.25,
        "mixture_sha256": "c0ffee",
    }
    checkpoints.stamp(folder, {**known, "rendering": {"name": "bare", "system": ""}, **stamp})
    return folder


def make_run(run_dir, config=None, manifest=None, measured=None):
    """A run of NTP and GRPO; returns GRPO's checkpoint."""
    run_dir.mkdir(parents=True)
    stages = {stage: {**HIDDEN, **options} for stage, options in (config or CONFIG).items()}
    (run_dir / "config.yaml").write_text(yaml.safe_dump(stages))
    (run_dir / "manifest.json").write_text(json.dumps(manifest or MANIFEST))
    (run_dir / "versions.json").write_text(json.dumps(dict.fromkeys(stages, VERSIONS)))
    for each in [record(), record(temperature=1.0)] if measured is None else measured:
        records.append(run_dir, each)
    checkpoint(run_dir, "sft", 20)
    return checkpoint(run_dir, "grpo", 4, constants={"loss_normalisation": NORMALISATION})


def adapter_to(folder, base):
    content = {"base_model_name_or_path": base, "r": 16}
    (folder / checkpoints.ADAPTER).write_text(json.dumps(content))


def row(text, label):
    """The cells of the first table row that starts with a label."""
    return next(
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {label} |")
    )


def no_secrets(text):
    for secret in (*map(str, HIDDEN.values()), HOME, "somebody", "hf_"):
        assert secret not in text
