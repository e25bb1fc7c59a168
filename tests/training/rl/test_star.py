"""STaR in process, on a tiny random model: what a round samples, keeps, trains on and leaves behind; and every way of stopping."""

import filecmp

import pyarrow.parquet as pq
import pytest
import yaml

from rarecot import checkpoints
from rarecot.errors import ConfigError, RunError
from rarecot.evaluation import records
from rarecot.training.request import parse

MIXTURE = {"task": "parity", "d": 7, "p_cot": 0.5, "n": 16, "n_rl": 80, "n_test": 16}
RECIPE = {"rounds": 2, "prompts_per_round": 40, "max_completion_length": 8, "num_train_epochs": 2, "eval_n": 16}
RECIPE |= {"per_device_train_batch_size": 4, "learning_rate": 1e-3, "save_steps": 1, "disable_tqdm": True}


@pytest.fixture
def asked(tmp_path, learned):
    """A recipe's options → the checked request."""
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(MIXTURE))

    def ask(name="run", **options):
        values = {**RECIPE, "mixture": str(tmp_path / "mixture.yaml"), "run_dir": str(tmp_path / name)}
        values |= {"model_name_or_path": str(learned), **options}
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values))
        return parse("star", "", ["--config", str(path)])

    return ask


def train(request):
    """What recipes/star.py does, in this process."""
    from rarecot.training.rl import star
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config

    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    star.train(run, config, options, text_of(run, config))
    return run


def samples(run, number):
    return pq.read_table(run.stage_dir / f"round-{number:03d}" / "samples.parquet").to_pylist()


def test_rounds_keep_what_is_rewarded_and_train_on_it(asked):
    run = train(asked())
    made = records.read(run.dir)
    rollouts = [r for r in made if r["split"] == "rollouts"]
    assert [r["round"] for r in rollouts] == [0, 1]
    assert [r["sequences_seen"] for r in rollouts] == [0, 40]
    steps, problems = 0, set()
    for number, record in enumerate(rollouts, 1):
        rows = samples(run, number)
        assert len(rows) == 40
        assert {row["problem_id"] for row in rows}.isdisjoint(problems), "prompts are fresh"
        problems |= {row["problem_id"] for row in rows}
        kept = [row for row in rows if row["kept"]]
        assert 0 < len(kept) < 40
        assert all(row["kept"] == (row["reward"] == 1) == (row["verdict"] == "correct") for row in rows)
        assert record["step"] == steps
        assert record["kept_share"] == len(kept) / 40
        assert record["kept_long_share"] == sum(row["kind"] == "long" for row in kept) / len(kept)
        assert record["long_share"] == sum(row["kind"] == "long" for row in rows) / 40
        steps += 2 * -(-len(kept) // 4)  # two epochs, the last batch a short one
    assert len(problems) == 80, "two rounds of 40 use each of the 80 problems once"
    assert problems <= set(run.mixture.rl["problem_id"])
    folders = checkpoints.complete(run.stage_dir)
    assert [checkpoints.step_of(f) for f in folders][-1] == steps
    stamps = [checkpoints.read_stamp(f) for f in folders]
    assert [s["progress"]["round"] for s in stamps] == [1, 2]
    assert [s["is_last"] for s in stamps] == [False, True]
    assert stamps[-1]["progress"]["tokens_seen"] > stamps[0]["progress"]["tokens_seen"] > 0
    assert [r["round"] for r in made if r["split"] == "test" and r["decoding"] == "greedy"] == [0, 1, 2]
    assert run.is_complete
    assert all("greedy | 16 |" in (folder / "README.md").read_text() for folder in folders), (
        "a round is measured after it"
    )
    assert not list(run.stage_dir.glob("round-*/checkpoint-*")), "what a round needed while it trained is gone"
    assert not list(run.stage_dir.rglob("optimizer*"))


@pytest.mark.slow
def test_what_was_kept_becomes_more_likely(asked, learned):
    """Many epochs on a round: the model's loss on exactly the kept responses falls."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = train(asked(rounds=1, num_train_epochs=20, learning_rate=5e-3))
    kept = [row for row in samples(run, 1) if row["kept"]]
    tokenizer = AutoTokenizer.from_pretrained(learned)

    def likelihood(folder):
        model, total = AutoModelForCausalLM.from_pretrained(folder), 0.0
        for row in kept:
            prompt = tokenizer(row["prompt"])["input_ids"]
            with torch.no_grad():
                scores = model(torch.tensor([prompt + row["ids"]])).logits.log_softmax(-1)[0]
            total += sum(scores[len(prompt) - 1 + i, token].item() for i, token in enumerate(row["ids"]))
        return total / len(kept)

    assert likelihood(checkpoints.newest(run.stage_dir)) > likelihood(learned) + 0.2


def test_what_is_kept_is_learned_token_for_token_and_its_prompt_is_not(tokenizer):
    from datasets import Dataset

    from rarecot.mixtures.lengths import Lengths
    from rarecot.rendering import Template
    from rarecot.training.rl.star import _rendered
    from rarecot.training.text import Text

    text = Text(tokenizer, Template(), Lengths(4, 4, 4, 2), 8)
    kept = Dataset.from_dict({"problem_id": ["a"], "prompt": ["01="], "ids": [[4, 3, 2]]})
    assert _rendered(kept, text)[:] == {"input_ids": [[1, 3, 4, 5, 4, 3, 2]], "labels": [[-100] * 4 + [4, 3, 2]]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "when",
    ["while it trains", "after sampling", "before the round is over", "at the last evaluation"],
)
def test_an_interrupted_round_goes_on_as_if_nothing_had_been(asked, monkeypatch, when):
    from rarecot.training import session
    from rarecot.training.rl import star

    whole = train(asked("whole"))
    calls = []

    class Stop(Exception):
        pass

    def interrupted(name, original, at):
        def call(*args, **kwargs):
            calls.append(name)
            if calls.count(name) == at:
                raise Stop
            return original(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        if when == "while it trains":
            stamp = session.StampCallback.on_save
            patch.setattr(session.StampCallback, "on_save", interrupted("save", stamp, at=7))
        elif when == "before the round is over":
            patch.setattr(star, "_end", interrupted("end", star._end, at=2))
        elif when == "at the last evaluation":
            patch.setattr(star, "_evaluate", interrupted("evaluate", star._evaluate, at=3))
        else:
            patch.setattr(star, "learn", interrupted("learn", star.learn, at=2))
        with pytest.raises(Stop):
            train(asked("killed"))
        assert not checkpoints.newest(asked("killed").output_dir) or not checkpoints.is_last(
            checkpoints.newest(asked("killed").output_dir)
        )
    killed = train(asked("killed"))

    def measured(run):
        return [{k: v for k, v in r.items() if k != "seconds"} for r in records.read(run.dir)]

    assert measured(killed) == measured(whole)
    last = checkpoints.newest(whole.stage_dir)
    again = killed.stage_dir / last.name
    assert filecmp.cmp(last / "model.safetensors", again / "model.safetensors", shallow=False)


def test_a_round_that_keeps_nothing_says_why_and_leaves_no_checkpoint(asked):
    request = asked(keep_from=2.0)
    with pytest.raises(RunError, match=r"round 1 of STaR kept none of 40 responses.*keep_from = 2") as stopped:
        train(request)
    for word in ("Success rate", "long share", "Raise prompts_per_round", "temperature"):
        assert word in str(stopped.value)
    assert not list(request.output_dir.glob("checkpoint-*"))
    assert [r["kept_share"] for r in records.read(request.run_dir) if r["split"] == "rollouts"] == [0]


def test_prompts_are_reused_only_when_they_are_used_up(asked):
    from rarecot.training.rl.star import prompts_of
    from rarecot.training.run import open_run

    run = open_run(asked(prompts_per_round=32), {})
    rounds = [list(prompts_of(run, number)["problem_id"]) for number in range(5)]  # 160 of 80 problems: each twice
    assert all(len(names) == len(set(names)) or number == 2 for number, names in enumerate(rounds))
    flat = [name for names in rounds for name in names]
    assert sorted(flat[:80]) == sorted(flat[80:]) == sorted(run.mixture.rl["problem_id"])
    assert flat[:80] != flat[80:], "a new order"


def test_two_processes_never_train_in_one_directory(asked):
    """Another process holds it: refused, in words; once it has ended, the directory is free."""
    import subprocess
    import sys

    from rarecot.training.run import open_run

    request = asked()
    code = (
        "import sys, time, pathlib; from rarecot.holding import hold\n"
        "hold(pathlib.Path(sys.argv[1]), 'trains', '--run_dir'); print('held', flush=True); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, str(request.run_dir)], stdout=subprocess.PIPE)
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=rf"another process \(pid {other.pid} on .*\) trains in"):
        open_run(request, {})
    other.kill()
    other.communicate()
    open_run(request, {})
    open_run(request, {})  # this process may, as often as it likes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rounds": 0}, "rounds is 0"),
        ({"prompts_per_round": 81}, "prompts_per_round is 81, but the RL split has 80"),
        ({"max_steps": 5}, "max_steps is 5"),
        ({"save_strategy": "no"}, "save_strategy is no"),
        ({"max_length": 12}, "max_length is 12, but prompt and long demonstration need 17 tokens"),
        ({"temperature": 0}, "temperature is 0"),
        ({"reward_funcs": ["answr"]}, "did you mean 'answer'"),
        ({"reward_weights": [1, 2]}, "reward_weights has 2 entries for 1 rewards"),
        ({"max_completion_length": 7}, "every long response would be cut off"),
        ({"false_positive_rate": 1.5}, "false_positive_rate is 1.5"),
        ({"num_generations": 4}, "'num_generations' is no option of star"),
        ({"p_cot": 0.25}, "was trained with p_cot 0.5, but the mixture here says 0.25"),
        ({"d": 6, "n_rl": 40, "n_test": 8, "eval_n": 8}, "was trained on another task"),
    ],
)
def test_bad_options_are_refused(asked, options, expected):
    with pytest.raises(ConfigError) as refused:
        asked(**options)
    assert expected in " ".join(refused.value.problems)
