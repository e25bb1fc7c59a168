"""What is recorded of a batch of rollouts, and the trainer's scores, by hand."""

import dataclasses
import shutil

import pytest
import torch
import yaml

from rarecot.evaluation import records
from rarecot.training.request import parse

MIXTURE = {"task": "parity", "d": 7, "p_cot": 0.5, "n": 16, "n_rl": 80, "n_test": 16}
EOS, ZERO, ONE = 2, 3, 4


@pytest.fixture
def opened(tmp_path, learned):
    """An open GRPO run, its text, TRL's config and model options."""
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config

    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(MIXTURE))
    values = {"mixture": str(tmp_path / "mixture.yaml"), "run_dir": str(tmp_path / "run"), "eval_n": 16}
    values |= {"model_name_or_path": str(learned), "max_completion_length": 8, "num_generations": 3, "max_steps": 1}
    values |= {"per_device_train_batch_size": 9, "disable_tqdm": True}
    (tmp_path / "grpo.yaml").write_text(yaml.safe_dump(values))
    request = parse("grpo", "", ["--config", str(tmp_path / "grpo.yaml")])
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    return run, text_of(run, config), config, options


def test_the_record_of_a_batch(opened):
    """Three problems, three responses each: one group all right, one all wrong (both dead), one mixed."""
    from rarecot.training.rl.rollouts import RolloutRecorder, rewards_of

    run, text, _, _ = opened
    progress = {"step": 0, "round": 0, "sequences_seen": 0, "tokens_seen": 5}
    recorder = RolloutRecorder(run, text.reader, [EOS], {}, 3, lambda _: progress)
    written = [[ZERO, EOS]] * 3 + [[ONE, EOS]] * 2 + [[ZERO]] + [[ONE, ZERO, EOS], [ONE, EOS], [ONE, ZERO, EOS]]
    names = [f"p{i // 3}" for i in range(9)]
    (reward,) = rewards_of(run.request, text.tokenizer, [EOS], recorder)
    texts = [text.tokenizer.decode(ids, skip_special_tokens=True) for ids in written]
    paid = reward(texts, written, answer=["0"] * 9, style=["bits"] * 9, problem_id=names)
    assert paid == [1, 1, 1, 0, 0, 0, 1, 0, 1], "the sixth says 0 but did not end"
    recorder.write()
    (made,) = records.read(run.dir)
    assert made["dead_group_share"] == pytest.approx(2 / 3)
    assert made["reward_mean"] == made["accuracy"] == pytest.approx(5 / 9)
    assert (made["reward_long_mean"], made["reward_short_mean"]) == (1, pytest.approx(3 / 7))
    assert (made["long_share"], made["truncated_share"]) == (pytest.approx(2 / 9), pytest.approx(1 / 9))
    assert "tokens_seen" not in made


def test_a_batch_that_comes_again_after_a_kill_has_one_line(opened):
    run, heard = opened[0], []
    run.listeners.append(heard.append)
    record = {"stage": "grpo", "step": 3, "split": "rollouts", "seed": 0, "decoding": "sampled", "reward_mean": 0.5}
    for each in (run, run, dataclasses.replace(run)):  # the last as a process that goes on sees it
        each.append(record)
    run.append({**record, "step": 4})
    assert (run.dir / records.FILE).read_bytes().count(b"\n") == 2
    assert len(heard) == 4, "a tracker that begins anew is told again"


@pytest.mark.slow
def test_scores_are_of_the_responses_own_tokens(opened):
    """Prompts and responses of unequal lengths in one batch: the log-probability that the model gives each by itself."""
    from rarecot.training.rl import grpo

    run, text, config, options = opened
    model, adapter = grpo.make_model(run.request, options)
    trainer = grpo.make_trainer(run, config, model, adapter, text, {})
    prompts = text.prompt_ids(["0101010=", "01=", "1111111=", "010="])
    responses = [[ZERO, EOS], [ONE, ONE, ZERO, ZERO, ONE, ONE, EOS], [ONE], [ZERO, ONE, EOS]]
    expected = []
    for prompt, ids in zip(prompts, responses, strict=True):
        with torch.no_grad():
            scores = model(torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1] / run.request.value(
                "temperature"
            )
        expected.append(scores.log_softmax(-1).gather(-1, torch.tensor(ids)[:, None]).sum().item())
    assert trainer.score(prompts, responses) == pytest.approx(expected, abs=1e-4)


def test_rollouts_are_the_policys_at_its_temperature(opened):
    """First tokens as often as the model says, at the run's temperature; each response whole, and no longer than allowed."""
    from rarecot.training.rl import grpo

    run, text, config, options = opened
    config.temperature = 0.5
    model, adapter = grpo.make_model(run.request, options)
    trainer = grpo.make_trainer(run, config, model, adapter, text, {})
    (prompt,) = text.prompt_ids(["0101010="])
    torch.manual_seed(0)
    responses, _ = trainer._generate_single_turn([prompt] * 4000, None, {}, 4)
    with torch.no_grad():
        expected = (model(torch.tensor([prompt])).logits[0, -1] / 0.5).softmax(-1)
    shares = torch.bincount(torch.tensor([ids[0] for ids in responses]), minlength=len(expected)) / len(responses)
    assert (shares - expected).abs().max() < 0.03  # standard deviation at most 0.008
    assert all(ids[-1] == EOS or len(ids) == 8 for ids in responses)
    assert all(EOS not in ids[:-1] for ids in responses)
    assert max(map(len, responses)) == 8
    assert trainer._metrics["train"]["seconds/generate"]


def test_rollouts_come_in_the_order_of_their_prompts(opened, monkeypatch):
    """By our sampler, not TRL's `generate`: each of several unequal prompts gets what the sampler writes to it."""
    from trl import GRPOTrainer

    from rarecot.sampling import SamplingParams
    from rarecot.sampling.hf import HfSampler
    from rarecot.training.rl import grpo

    run, text, config, options = opened
    config.temperature = 1e-4  # as good as greedy
    model, adapter = grpo.make_model(run.request, options)
    trainer = grpo.make_trainer(run, config, model, adapter, text, {})
    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", lambda *_: pytest.fail("TRL was asked"))
    prompts = text.prompt_ids(["0101010=", "11=", "0000000=", "110=", "1=", "0111010="] * 3)
    responses, logprobs = trainer._generate_single_turn(prompts, None, {}, 4)
    expected = HfSampler(model, text.tokenizer).sample(prompts, SamplingParams(8))
    assert responses == [completion.token_ids for (completion,) in expected]
    assert len(set(map(tuple, responses))) > 1
    assert logprobs is None


def test_what_a_kill_left_of_a_save_is_done_by_the_next_start(opened, learned):
    """Killed between the stamp of the second checkpoint and its card: a card is written, and room is made."""
    from rarecot import checkpoints
    from rarecot.training import session

    run, text, _, _ = opened
    for step in (2, 4, 6):
        folder = run.stage_dir / f"checkpoint-{step}"
        shutil.copytree(learned, folder)
        progress = {"step": step, "round": step, "sequences_seen": 9 * step, "tokens_seen": 0}
        run.stamp(folder, progress, {}, text.stamp())
    session.finish_saving(run, 2)
    assert [checkpoints.step_of(folder) for folder in checkpoints.complete(run.stage_dir)] == [4, 6]
    assert (run.stage_dir / "checkpoint-6" / "README.md").is_file()
