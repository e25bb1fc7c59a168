"""Every batch of rollouts is a measurement: what RL samples for training, judged and recorded."""

import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from accelerate.utils import gather_object

from rarecot.evaluation.callback import progress
from rarecot.evaluation.harness import Reader, respond_all
from rarecot.evaluation.metrics import summarise
from rarecot.sampling import completion_from_ids
from rarecot.training.mismatch import TokenRatios
from rarecot.training.mismatch import summarise as summarise_mismatch
from rarecot.training.run import Run
from rarecot.types import Kind


class RolloutRecorder:
    """An observer for `rewards.bind`: makes one record (split `rollouts`) a generation batch, and adds it by `write`.

    The record's step is that of the policy that sampled: step s means after s optimizer steps.

    Args:
        run: the open run.
        config: the trainer's config, for temperature and batch arithmetic.
        reader: the model's.
        ends: ids that end a response.
        constants: fields of every record of the stage.
    """

    def __init__(self, run: Run, config: Any, reader: Reader, ends: Collection[int], constants: dict[str, Any]):
        self.run, self.config, self.reader, self.ends, self.constants = run, config, reader, ends, constants
        self._record: dict[str, Any] = {}
        self._kinds: list[Kind] = []

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        rewards: Sequence[float],
        answer: Sequence[str],
        style: Sequence[str],
        problem_id: Sequence[str],
        trainer_state: Any,
        **_: Any,
    ) -> None:
        started = time.perf_counter()
        completions = [completion_from_ids(self.reader.tokenizer, list(ids), self.ends) for ids in completion_ids]
        responses = respond_all(problem_id, completions, answer, style)
        self._kinds = [response.kind for response in responses]
        judged = gather_object(list(zip(responses, rewards, strict=True)))
        if not self.run.is_main:
            return
        groups: dict[str, set[float]] = defaultdict(set)
        for response, reward in judged:
            groups[response.problem_id].add(reward)
        self._record = {
            "stage": self.run.request.stage,
            "seed": self.run.request.seed,
            **self.constants,
            **{k: v for k, v in progress(self.config, trainer_state).items() if k != "tokens_seen"},
            "split": "rollouts",
            "decoding": "sampled",
            "temperature": self.config.temperature,
            "protocol": "native",
            "samples": self.config.num_generations,
            "max_new_tokens": self.config.max_completion_length,
            **summarise([response for response, _ in judged], self.reader.long_from),
            "reward_mean": sum(reward for _, reward in judged) / len(judged),
            "dead_group_share": sum(len(seen) == 1 for seen in groups.values()) / len(groups),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def mismatch(self, ratios: Sequence[TokenRatios]) -> float:
        """Add what is known about sampler and trainer to the batch's record; on every rank, in the batch's order.

        Returns:
            The largest absolute log ratio of a token, over all ranks.
        """
        everywhere = gather_object(list(zip(ratios, self._kinds, strict=True)))
        self._record |= summarise_mismatch(*zip(*everywhere, strict=True))
        return max(ratio.worst for ratio, _ in everywhere)

    def write(self) -> None:
        """The batch is complete: append its record (rank 0)."""
        self.run.append(self._record)
