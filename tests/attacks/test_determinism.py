"""The same seed on the same machine makes the same bytes: mixtures, records, generations, weights."""

import pytest
from attacked_runs import contents
from conftest import DATA, ROOT, run_command

# What has no business in a number: the order of Python's sets, time zone, language, and the folder one is in.
ELSEWHERE = {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8", "COLUMNS": "40"}


def everything(folder, **variables):
    """All stages, and an evaluation of every checkpoint, in a folder of their own."""
    folder.mkdir()
    suite = folder / "suite.yaml"
    suite.write_text("n: 16\ntemperatures: [0, 0.7]\nsamples: 4\n")
    tiny = ROOT / "recipes" / "parity" / "tiny"
    for stage in ("sft", "grpo", "star"):
        words = (ROOT / "recipes" / f"{stage}.py", "--config", tiny / f"{stage}.yaml", "--run_dir", "run")
        result = run_command("python", *words, "--disable_tqdm", "true", cwd=folder, **variables)
        assert result.returncode == 0, result.stderr
    result = run_command("python", ROOT / "eval/run.py", "--run", "run", "--suite", suite, cwd=folder, **variables)
    assert result.returncode == 0, result.stderr
    return contents(folder / "run")


@pytest.mark.slow
def test_all_stages_twice(tmp_path):
    first, second = everything(tmp_path / "one"), everything(tmp_path / "another", **ELSEWHERE)
    assert sorted(first) == sorted(second)
    assert {name.rpartition("/")[2] for name in first} >= {"records.jsonl", "model.safetensors", "manifest.json"}
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "mixture", ["parity-quick", "parity-noisy", "multiplication-2x2", "gsm8k-noisy", "gsm8k-shuffled"]
)
def test_a_mixture_twice(mixture, tmp_path):
    hashes = set()
    for number, variables in enumerate(({}, ELSEWHERE)):
        source = ("--source", DATA / "gsm8k", "--n", "8", "--n_rl", "2", "--n_test", "2") if "gsm8k" in mixture else ()
        out = tmp_path / f"mix-{number}"
        words = ("data_mixes/build.py", f"data_mixes/{mixture}.yaml", "--out", out, *source)
        result = run_command("python", *words, **variables)
        assert result.returncode == 0, result.stderr
        hashes.add((out / "manifest.json").read_bytes())
        hashes.add(b"".join(path.read_bytes() for path in sorted(out.rglob("*.arrow"))))
    assert len(hashes) == 2
