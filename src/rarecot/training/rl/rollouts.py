"""Every batch of rollouts is rewarded and measured in one way, whatever learns from it."""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

from accelerate.utils import gather_object

from rarecot.evaluation.harness import Reader, respond_all
from rarecot.evaluation.metrics import summarise
from rarecot.rendering import special_ids
from rarecot.rewards import CORRECTNESS, REWARDS, Reward, bind, noisy
from rarecot.sampling import completion_from_ids
from rarecot.training.request import Request
from rarecot.training.rl.mismatch import TokenRatios
from rarecot.training.rl.mismatch import summarise as summarise_mismatch
from rarecot.training.run import Run
from rarecot.types import Response


class RolloutRecorder:
    """An observer for `rewards.bind`: makes one record (split `rollouts`) a batch of rollouts, and adds it by `write`.

    The record's step and round are those of the policy that sampled: round n means after learning from n batches.

    Args:
        run: the open run.
        reader: the model's.
        ends: ids that end a response.
        constants: fields of every record of the stage.
        samples: responses a prompt.
        progress: where the stage stood when a batch was sampled; it is given the trainer's state, if a trainer samples.
    """

    def __init__(
        self,
        run: Run,
        reader: Reader,
        ends: Collection[int],
        constants: dict[str, Any],
        samples: int,
        progress: Callable[[Any], dict[str, int]],
    ):
        self.run, self.reader, self.ends, self.constants = run, reader, ends, constants
        self.samples, self.progress = samples, progress
        self.responses: list[Response] = []  # of this rank's batch, in its order; and their rewards
        self.rewards: list[float] = []
        self._record: dict[str, Any] = {}

    def __call__(
        self,
        completion_ids: Sequence[Sequence[int]],
        rewards: Sequence[float],
        answer: Sequence[str],
        style: Sequence[str],
        problem_id: Sequence[str],
        trainer_state: Any = None,
        **_: Any,
    ) -> None:
        started = time.perf_counter()
        completions = [completion_from_ids(self.reader.tokenizer, list(ids), self.ends) for ids in completion_ids]
        self.responses, self.rewards = respond_all(problem_id, completions, answer, style), list(rewards)
        judged = gather_object(list(zip(self.responses, rewards, strict=True)))
        if not self.run.is_main:
            return
        request = self.run.request
        groups: dict[str, set[float]] = defaultdict(set)
        for response, reward in judged:
            groups[response.problem_id].add(reward)
        self._record = {
            "stage": request.stage,
            "seed": request.seed,
            **self.constants,
            **{k: v for k, v in self.progress(trainer_state).items() if k != "tokens_seen"},
            "split": "rollouts",
            "decoding": "sampled",
            "temperature": request.value("temperature"),
            "protocol": "native",
            "samples": self.samples,
            "max_new_tokens": request.value("max_completion_length"),
            **summarise([response for response, _ in judged], self.reader.long_from),
            "reward_mean": sum(reward for _, reward in judged) / len(judged),
            **(
                {"dead_group_share": sum(len(seen) == 1 for seen in groups.values()) / len(groups)}
                if self.samples > 1
                else {}
            ),
            "seconds": round(time.perf_counter() - started, 3),
        }

    def mismatch(self, ratios: Sequence[TokenRatios]) -> float:
        """Add what is known about sampler and trainer to the batch's record; on every rank, in the batch's order.

        Returns:
            The largest absolute log ratio of a token, over all ranks.
        """
        everywhere = gather_object(list(zip(ratios, [response.kind for response in self.responses], strict=True)))
        self.add(summarise_mismatch(*zip(*everywhere, strict=True)))
        return max(ratio.worst for ratio, _ in everywhere)

    def add(self, fields: dict[str, Any]) -> None:
        """Further fields of the batch's record."""
        self._record |= fields

    def write(self) -> None:
        """The batch is complete: append its record (rank 0)."""
        self.run.append(self._record)


def rewards_of(request: Request, tokenizer: Any, ends: Collection[int], observer: RolloutRecorder) -> list[Reward]:
    """The rewards that a request names, with its weights, its verifier's noise, and an observer of every batch."""
    arguments, limit = request.arguments, request.value("max_completion_length")
    named = arguments.reward_funcs
    chosen = [REWARDS[name] for name in named]
    rates = arguments.false_positive_rate, arguments.false_negative_rate
    if any(rates):
        chosen = [
            noisy(reward, *rates, request.seed) if name in CORRECTNESS else reward
            for name, reward in zip(named, chosen, strict=True)
        ]
    settings = {
        "max_completion_length": limit,
        "soft_overlong_tokens": arguments.soft_overlong_tokens or max(1, limit // 5),
    }
    weights = request.value("reward_weights") or [1.0] * len(named)
    weights = weights if isinstance(weights, list) else [weights]
    return bind(chosen, ends, special_ids(tokenizer), weights, observer, settings)
