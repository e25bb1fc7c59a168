"""The arithmetic of a step over several processes, and the order that they share."""

import json
from types import SimpleNamespace

import pytest
from conftest import ROOT
from datasets import Dataset

from rarecot.errors import ConfigError
from rarecot.evaluation.callback import blank_rows, progress
from rarecot.training import batch
from rarecot.training.request import make_request

HERE = ROOT / "recipes/parity/tiny/here.yaml"


def request(monkeypatch, world=1, stage="sft", words=None, **values):
    monkeypatch.setenv("WORLD_SIZE", str(world))
    given = {
        "mixture": str(ROOT / "data_mixes/parity-tiny.yaml"),
        "run_dir": "/tmp/nowhere",
        "eval_n": 16,
    }
    given |= {"max_length": None} if stage == "sft" else {}
    return make_request(stage, {**given, **values}, words or {}, HERE)


@pytest.mark.parametrize(
    ("world", "held", "accumulated"), [(1, 8, 8), (2, 8, 4), (8, 8, 1), (4, 2, 8), (16, 8, 1), (2, 7, 8)]
)
def test_accumulation_follows(monkeypatch, world, held, accumulated):
    made = request(monkeypatch, world, global_batch_size=64, per_device_train_batch_size=held)
    assert made.trainer_value("gradient_accumulation_steps") == accumulated
    assert made.value("gradient_accumulation_steps") == accumulated
    assert world * accumulated * made.trainer_value("per_device_train_batch_size") == 64
    assert made.trainer_value("per_device_train_batch_size") <= held


def test_without_it_accumulation_is_as_asked(monkeypatch):
    assert request(monkeypatch, 2, gradient_accumulation_steps=3).trainer_value("gradient_accumulation_steps") == 3
    assert request(monkeypatch, 2).trainer_value("gradient_accumulation_steps") == 1


@pytest.mark.parametrize(
    ("world", "values", "said"),
    [
        (3, {"global_batch_size": 64}, "3 processes cannot share equally. Start a number of processes that divides it"),
        (2, {"global_batch_size": 64, "gradient_accumulation_steps": 2}, "2 processes × 8 sequences at once need 4"),
        (1, {"global_batch_size": -1}, "global_batch_size is -1: it must be 0 or more"),
    ],
)
def test_what_does_not_divide_is_refused(monkeypatch, world, values, said):
    with pytest.raises(ConfigError) as caught:
        request(monkeypatch, world, per_device_train_batch_size=8, **values)
    assert [said in problem for problem in caught.value.problems] == [True]


def test_rounds_of_rollouts_follow_or_are_given_in_rollouts(monkeypatch, learned):
    given = {"model_name_or_path": str(learned), "d": 7, "max_completion_length": 8, "num_generations": 4}
    given |= {"global_batch_size": 16, "per_device_train_batch_size": 4, "n_rl": 32}
    assert request(monkeypatch, 2, "grpo", **given).trainer_value("gradient_accumulation_steps") == 2
    request(monkeypatch, 2, "grpo", **given, generation_batch_size=32)
    with pytest.raises(ConfigError, match="Set generation_batch_size"):
        request(monkeypatch, 2, "grpo", **given, steps_per_generation=4)


def test_trl_gets_it(monkeypatch, tmp_path):
    from rarecot.training.trl_config import trl_config

    values = {"run_dir": str(tmp_path), "global_batch_size": 24, "per_device_train_batch_size": 4}
    for given in (values, {**values, "gradient_accumulation_steps": 6}):
        config, _ = trl_config(request(monkeypatch, 1, **given))
        assert config.gradient_accumulation_steps == 6
    config, _ = trl_config(request(monkeypatch, 1, words={"per_device_train_batch_size": ["7"]}, **values))
    assert (config.per_device_train_batch_size, config.gradient_accumulation_steps) == (6, 4)


def test_in_words():
    assert batch.describe("sft", 8, 4, 2) == ("a step: 64 demonstrations = 8 a process × 4 accumulated × 2 processes")
    assert batch.describe("grpo", 8, 1, 1) == "a step: 8 rollouts = 8 a process × 1 accumulated × 1 process"


def config_of(held, accumulated, world, **more):
    return {**dict(zip(batch.FACTORS, (held, accumulated, world), strict=True)), **more}


def test_a_resumed_run_keeps_its_step():
    before = config_of(8, 2, 2)
    assert batch.changes(before, config_of(8, 4, 1)) == []
    assert batch.changes(before, config_of(4, 1, 8)) == []
    (said,) = batch.changes(before, config_of(8, 2, 1))
    assert said.startswith("a step of 32 sequences (8 a process × 2 accumulated × 2 processes) → 16 (8 a process")
    assert batch.changes({**before, "loss_type": "bnpo"}, config_of(8, 4, 1)) != []
    assert batch.resumed_elsewhere("sft", before, before) == ""
    assert "to the digit" not in batch.resumed_elsewhere("sft", before, config_of(8, 4, 1))
    assert "goes on with 1 process instead of 2" in batch.resumed_elsewhere("grpo", before, config_of(8, 4, 1))
    assert "not to the digit" in batch.resumed_elsewhere("grpo", before, config_of(8, 4, 1))


def trainer_args(world, held=4, accumulated=1):
    as_usual = {"dataloader_drop_last": False, "train_sampling_strategy": "random"}
    return SimpleNamespace(train_batch_size=held, gradient_accumulation_steps=accumulated, world_size=world, **as_usual)


def test_blank_rows_are_not_counted():
    assert blank_rows(trainer_args(1), 29) == 0
    assert (blank_rows(trainer_args(2), 29), blank_rows(trainer_args(2), 32)) == (3, 0)
    state = SimpleNamespace(global_step=8, num_input_tokens_seen=1000)
    counted = progress(trainer_args(2), state, 29)
    assert (counted["sequences_seen"], counted["tokens_seen"]) == (2 * 29, 1000 - 2 * 3 * 2)
    state.global_step = 7  # the second epoch's blanks are still to come
    assert progress(trainer_args(2), state, 29)["tokens_seen"] == 1000 - 3 * 2


@pytest.mark.parametrize(("rows", "held", "world"), [(29, 4, 2), (29, 3, 3), (1, 8, 2), (16, 4, 2), (13, 2, 5)])
def test_each_row_comes_once_an_epoch_in_the_order_of_one_process(rows, held, world):
    from accelerate.data_loader import BatchSamplerShard, SeedableRandomSampler
    from torch.utils.data import BatchSampler

    from rarecot.training.exact_epochs import ThenBlanks

    blanks = blank_rows(trainer_args(world, held), rows)
    for epoch in (0, 1):
        alone = SeedableRandomSampler(range(rows), data_seed=7)
        alone.set_epoch(epoch)
        shards = []
        for rank in range(world):  # each process has a sampler of its own
            filled = ThenBlanks(SeedableRandomSampler(range(rows), data_seed=7), rows, blanks)
            filled.set_epoch(epoch)
            shards.append(list(BatchSamplerShard(BatchSampler(filled, held, drop_last=False), world, rank)))
        assert {len(shard) for shard in shards} == {-(-rows // (held * world))}
        together = [row for batches in zip(*shards, strict=True) for one in batches for row in one]
        assert together[:rows] == list(alone)
        assert together[rows:] == list(range(rows, rows + blanks))


def test_blank_rows_are_ignored_by_the_loss():
    from rarecot.training.exact_epochs import with_blanks

    rows = Dataset.from_dict({"input_ids": [[5, 6, 7]], "labels": [[-100, 6, 7]]})
    filled = with_blanks(rows, 2, token=1)
    assert filled[0] == rows[0]
    assert [filled[i] for i in (1, 2)] == [{"input_ids": [1, 1], "labels": [-100, -100]}] * 2
    assert json.dumps(filled.features.to_dict()) == json.dumps(rows.features.to_dict())


def test_scores_are_shared_out_in_equal_batches():
    from rarecot.training.rl.grpo import of_rank

    batches = [[0, 1, 2], [3, 4, 5], [6]]
    assert of_rank(batches, 3, 1, 0) == batches
    assert [of_rank(batches, 3, 2, rank) for rank in (0, 1)] == [[[0, 1, 2], [6, 6, 6]], [[3, 4, 5], [6, 6, 6]]]
    assert of_rank([], 3, 2, 1) == []


def test_rollouts_that_are_used_twice_are_counted_once():
    args = SimpleNamespace(**vars(trainer_args(2)), num_iterations=2, steps_per_generation=1)
    counted = progress(args, SimpleNamespace(global_step=6, num_input_tokens_seen=0))
    assert (counted["sequences_seen"], counted["round"]) == (6 * 8 // 2, 3)
