"""Several processes that evaluate together: each completes its part of the prompts, and all get every completion."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from rarecot.sampling.base import Sampler, SamplingParams
from rarecot.types import Completion


class SharedSampler:
    """A sampler that every process has, as one. Call `sample` on every process, with the same prompts.

    Greedy completions are those of one process. Sampled ones come from a random stream of each process (the first one's is that of
    one process), so that they depend on how many processes there are.

    Args:
        sampler: of this process.
    """

    def __init__(self, sampler: Sampler):
        self.sampler, self.name = sampler, sampler.name

    @property
    def ends(self) -> Collection[int]:
        """Ids that end a response."""
        return self.sampler.ends

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`."""
        process = PartialState()
        first, last = part(len(prompt_ids), process.num_processes, process.process_index)
        params = replace(params, seed=seed_of(params.seed, process.process_index))
        return gather_object(self.sampler.sample(prompt_ids[first:last], params))


class MainSampler:
    """A sampler that rank 0 alone uses (a server), as one of all processes. Call `sample` on every process.

    Args:
        sampler: what rank 0 samples with.
    """

    def __init__(self, sampler: Sampler):
        self.sampler, self.name = sampler, sampler.name

    @property
    def ends(self) -> Collection[int]:
        """Ids that end a response."""
        return self.sampler.ends

    def sample(self, prompt_ids: Sequence[Sequence[int]], params: SamplingParams) -> list[list[Completion]]:
        """See `Sampler.sample`."""
        return from_main(self.sampler.sample(prompt_ids, params) if PartialState().is_main_process else None)


def shared(sampler: Sampler) -> Sampler:
    """A sampler of every process as one of all; of a single process, the sampler itself."""
    return SharedSampler(sampler) if PartialState().num_processes > 1 else sampler


def part(n: int, processes: int, index: int) -> tuple[int, int]:
    """The contiguous part of n rows that a process takes, from first to before last; parts differ in size by one at most."""
    size, more = divmod(n, processes)
    first = index * size + min(index, more)
    return first, first + size + (index < more)


def seed_of(seed: int | None, index: int) -> int | None:
    """The seed of a process's random stream: rank 0 has the seed itself, as a single process would."""
    if seed is None or index == 0:
        return seed
    return int(np.random.SeedSequence([seed, index]).generate_state(1)[0])


def from_main(value: Any) -> Any:
    """What rank 0 has, on every process."""
    box = [value]
    broadcast_object_list(box, from_process=0)
    return box[0]
