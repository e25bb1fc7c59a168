"""Every batch of rollouts is rewarded and measured in one way, whatever learns from it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from accelerate.utils import gather_object

from rarecot.evaluation.harness import Reader, respond_all
from rarecot.evaluation.metrics import summarise
from rarecot.forecast import audit
from rarecot.rendering import special_ids
from rarecot.rewards import CORRECTNESS, Reward, bind, named
from rarecot.sampling import completion_from_ids
from rarecot.training.request import Request
from rarecot.training.rl.live import Live
from rarecot.training.rl.mismatch import TokenRatios
from rarecot.training.rl.mismatch import summarise as summarise_mismatch
from rarecot.training.run import Run
from rarecot.types import Kind, Response


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
        self.live = Live(run) if run.is_main else None
        self.responses: list[Response] = []  # of this rank's batch, in its order; and their rewards
        self.rewards: list[float] = []
        self.everywhere: list[Response] = []  # of all ranks' batches
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
        completions = [completion_from_ids(self.reader.tokenizer, list(ids), self.ends) for ids in completion_ids]
        self.responses, self.rewards = respond_all(problem_id, completions, answer, style), list(rewards)
        judged = gather_object(list(zip(self.responses, rewards, strict=True)))
        self.everywhere = [response for response, _ in judged]
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
            **{f"reward_{kind}_mean": _mean_of(judged, kind) for kind in ("long", "short")},
            **(
                {"dead_group_share": sum(len(seen) == 1 for seen in groups.values()) / len(groups)}
                if self.samples > 1
                else {}
            ),
        }

    def mismatch(self, ratios: Sequence[TokenRatios]) -> float:
        """Add what is known about sampler and trainer to the batch's record; on every rank, in the batch's order.

        Returns:
            The largest absolute log ratio of a token, over all ranks.
        """
        everywhere = gather_object(list(zip(ratios, [response.kind for response in self.responses], strict=True)))
        self.add(summarise_mismatch(*zip(*everywhere, strict=True)))
        return max(ratio.worst for ratio, _ in everywhere)

    def batch(self, rewards: np.ndarray, importance: np.ndarray | None = None) -> audit.Batch:
        """The batch as the selection audit takes it (rank 0).

        Args:
            rewards: of each response and reward function, without their weights, shape (B, F); NaN where there is none.
            importance: mean importance-sampling weight of each response's tokens, shape (B,); None: nothing was corrected.
        """
        request, completions = self.run.request, [response.completion for response in self.everywhere]
        weighted = rewards * np.array(weights_of(request))
        right = np.array([name in CORRECTNESS for name in request.arguments.reward_funcs])
        correctness = np.nansum(weighted[:, right], axis=1)
        correctness[np.isnan(weighted).all(axis=1)] = np.nan  # as TRL sums them: not scored if nothing scored it
        return audit.Batch(
            long=np.array([response.kind == "long" for response in self.everywhere]),
            finished=np.array([completion.finish_reason == "stop" for completion in completions]),
            tokens=np.array([len(completion.token_ids) for completion in completions]),
            correctness=correctness,
            penalties=np.nansum(weighted[:, ~right], axis=1),
            importance=np.ones(len(completions)) if importance is None else importance,
        )

    def usual(self, paid: bool = True) -> tuple[float, float]:
        """Share of right answers among long and short responses before RL (rank 0); times what they are paid."""
        names, weights = self.run.request.arguments.reward_funcs, weights_of(self.run.request)
        pay = sum(weight for name, weight in zip(names, weights, strict=True) if name in CORRECTNESS) if paid else 1.0
        long, short = self.live.usual()
        return pay * long, pay * short

    def add(self, fields: dict[str, Any]) -> None:
        """Further fields of the batch's record."""
        self._record |= fields

    def write(self) -> None:
        """The batch is complete: append its record (rank 0)."""
        self.run.append(self._record)
        if self.live is not None:
            self.live(self._record)


def _mean_of(judged: Sequence[tuple[Response, float]], kind: Kind) -> float | None:
    rewards = [reward for response, reward in judged if response.kind == kind]
    return sum(rewards) / len(rewards) if rewards else None


def rewards_of(request: Request, tokenizer: Any, ends: Collection[int], observer: RolloutRecorder) -> list[Reward]:
    """The rewards that a request names, with its weights, its verifier's noise, and an observer of every batch."""
    arguments, limit = request.arguments, request.value("max_completion_length")
    names = arguments.reward_funcs
    chosen = named(names, arguments.false_positive_rate, arguments.false_negative_rate, request.seed)
    settings = {
        "max_completion_length": limit,
        "soft_overlong_tokens": arguments.soft_overlong_tokens or max(1, limit // 5),
    }
    return bind(chosen, ends, special_ids(tokenizer), weights_of(request), observer, settings)


def weights_of(request: Request) -> list[float]:
    """Of the rewards in their sum."""
    weights = request.value("reward_weights") or [1.0] * len(request.arguments.reward_funcs)
    return weights if isinstance(weights, list) else [weights]
