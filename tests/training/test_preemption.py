"""Where a resumed run stands in its data, on loaders as accelerate makes them."""

from types import SimpleNamespace

import pytest
from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader
from transformers import TrainerControl

from rarecot.checkpoints import newest, resumable, stamp
from rarecot.evaluation.callback import steps_a_round
from rarecot.training import preemption
from rarecot.training.preemption import DataPosition, PromptOrder, StopCallback


def order():
    return PromptOrder(list(range(12)), mini_repeat_count=2, batch_size=4, repeat_count=1, shuffle=True, seed=7)


def test_a_pass_is_the_same_whether_or_not_those_before_it_were_made_here():
    undisturbed = order()
    passes = [list(undisturbed) for _ in range(4)]
    assert passes[0] != passes[1]
    for number in (3, 0, 2):
        resumed = order()
        resumed.set_epoch(number)
        assert list(resumed) == passes[number]


def test_prompts_that_are_not_shuffled_have_one_order():
    fixed = PromptOrder(list(range(4)), mini_repeat_count=1, batch_size=2, repeat_count=1, shuffle=False, seed=7)
    fixed.set_epoch(3)
    assert list(fixed) == [0, 1, 2, 3]


def stopping_at(step, folder, monkeypatch, **options):
    """What a trainer's loop does at a step and, where it saves, after saving; returns the callback and the folder it saves into."""
    monkeypatch.setattr(preemption, "asked_anywhere", lambda: True)
    args = SimpleNamespace(**{"output_dir": str(folder), "save_strategy": "steps", **options})
    state = SimpleNamespace(global_step=step, epoch=step / 4, is_world_process_zero=True)
    control = TrainerControl(should_save=options.get("save_strategy", "steps") == "steps" and step % 4 == 0)
    callback = StopCallback()
    callback.on_step_end(args, state, control)
    assert control.should_training_stop
    saves = int(control.should_save)
    # As transformers does: saved is saved, and an epoch that is broken off comes to its end, too.
    control.should_save = options.get("save_strategy") == "epoch"
    callback.on_epoch_end(args, state, control)
    saves += control.should_save
    place = folder / args.output_dir.removeprefix(str(folder)).lstrip("/") / f"checkpoint-{step}"
    place.mkdir(parents=True)
    stamp(place, {})
    callback.on_save(args, state, control)
    return saves, place


@pytest.mark.parametrize(
    ("options", "step", "apart"),
    [
        ({}, 8, False),
        ({}, 6, True),
        ({"save_strategy": "epoch"}, 8, False),
        ({"save_strategy": "epoch"}, 6, True),
        ({"save_strategy": "no"}, 8, True),
    ],
)
def test_only_what_would_not_have_been_saved_lies_apart(tmp_path, monkeypatch, options, step, apart):
    saves, place = stopping_at(step, tmp_path, monkeypatch, **options)
    assert saves == 1
    assert (place.parent.name == "stopped") == apart
    assert resumable(tmp_path) == place
    assert newest(tmp_path) == (None if apart else place)


def test_what_lies_apart_goes_when_the_run_has_saved_again(tmp_path, monkeypatch):
    _, first = stopping_at(5, tmp_path, monkeypatch)
    _, second = stopping_at(6, tmp_path, monkeypatch)
    assert [first.exists(), second.exists()] == [False, True]
    _, regular = stopping_at(8, tmp_path, monkeypatch)
    assert not second.parent.exists()
    assert resumable(tmp_path) == newest(tmp_path) == regular


@pytest.mark.parametrize("skipped", [0, 2])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_pass_is_told_through_all_wrappers(skipped, processes):
    from accelerate.data_loader import BatchSamplerShard, DataLoaderShard, SkipBatchSampler

    inner = order()
    batches = BatchSampler(inner, batch_size=2, drop_last=False)
    if processes > 1:
        batches = BatchSamplerShard(batches, num_processes=processes, process_index=0)
    if skipped:
        batches = SkipBatchSampler(batches, skipped)
    loader = DataLoaderShard(list(range(12)), batch_sampler=batches)
    args, state = SimpleNamespace(gradient_accumulation_steps=2), SimpleNamespace(global_step=2 * -(-len(loader) // 2))
    DataPosition().on_train_begin(args, state, None, train_dataloader=loader)
    expected = order()
    first, second, third = (list(expected) for _ in range(3))
    assert list(inner) == third
    assert third not in (first, second)


def test_a_run_that_begins_and_a_stream_have_no_position():
    inner = order()
    loader = DataLoader(list(range(12)), batch_sampler=BatchSampler(inner, 2, False))
    args = SimpleNamespace(gradient_accumulation_steps=1)
    DataPosition().on_train_begin(args, SimpleNamespace(global_step=0), None, train_dataloader=loader)
    assert list(inner) == list(order())
    stream = DataLoader(Dataset.from_dict({"x": [1, 2]}).to_iterable_dataset())
    DataPosition().on_train_begin(args, SimpleNamespace(global_step=9), None, train_dataloader=stream)
    assert [row["x"].item() for row in stream] == [1, 2]


def test_steps_that_share_a_batch_of_rollouts():
    of = SimpleNamespace(steps_per_generation=8, num_iterations=2, gradient_accumulation_steps=4)
    assert steps_a_round(of) == 4
    assert steps_a_round(SimpleNamespace()) == 1


def test_a_stage_leaves_only_where_a_batch_of_rollouts_is_used_up(tmp_path, monkeypatch):
    monkeypatch.setattr(preemption, "asked_anywhere", lambda: True)
    rounds = {"steps_per_generation": 2, "num_iterations": 2, "gradient_accumulation_steps": 1}
    args = SimpleNamespace(output_dir=str(tmp_path), save_strategy="no", **rounds)
    left = []
    for step in range(1, 9):
        control = TrainerControl()
        state = SimpleNamespace(global_step=step, epoch=0.1, is_world_process_zero=True)
        StopCallback().on_step_end(args, state, control)
        assert control.should_save == control.should_training_stop
        left += [step] if control.should_training_stop else []
    assert left == [4, 8]
