"""Which part of an evaluation a process makes; the rest needs several (tests/training/test_processes.py)."""

import pytest

from rarecot.sampling.shared import part, seed_of, shared


@pytest.mark.parametrize(("n", "processes"), [(16, 2), (15, 2), (2, 3), (0, 2), (7, 1)])
def test_parts_are_contiguous_and_even(n, processes):
    parts = [range(*part(n, processes, index)) for index in range(processes)]
    assert [row for rows in parts for row in rows] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_streams_differ_and_the_first_is_that_of_one_process():
    assert seed_of(None, 1) is None
    assert [seed_of(5, 0), seed_of(6, 0)] == [5, 6]
    assert len({seed_of(seed, index) for seed in (5, 6) for index in range(4)}) == 8


def test_a_single_process_samples_as_it_did():
    sampler = object()
    assert shared(sampler) is sampler
