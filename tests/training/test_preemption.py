"""Where a resumed run stands in its data, on loaders as accelerate makes them."""

from types import SimpleNamespace

import pytest
from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader

from rarecot.evaluation.callback import steps_a_round
from rarecot.training.preemption import DataPosition, PromptOrder


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
