"""What a plan rests on: a checkpoint's two modes, measured by sampling."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rarecot.errors import ConfigError
from rarecot.evaluation.harness import Reader, respond_all
from rarecot.evaluation.suite import Suite
from rarecot.forecast import branching
from rarecot.forecast.pay import Pay
from rarecot.rendering import render_prompts, special_ids
from rarecot.rewards import bind, named
from rarecot.sampling import Sampler, SamplingParams
from rarecot.types import Completion, Response

DEPTH = 16  # tokens of a greedy response whose alternatives are looked at: the modes part early
TOP = 8  # alternatives of a token


@dataclass(frozen=True)
class Measured:
    """N prompts, k sampled responses each, and one greedy response each.

    Args:
        temperature: of the samples.
        long: whether each sample is long by its marks, shape (N, k).
        long_by_length: the same by its length; None: not known.
        correct: whether its answer is right.
        truncated: whether RL's cap would cut it off.
        ungraded: whether its gold could not be read.
        reward: what RL would pay.
        kept: whether STaR would keep it.
        length: tokens, end-of-sequence not counted.
        greedy_long: shape (N,).
        greedy_correct: shape (N,).
        branch: where greedy responses would change sides.
        sampler: what sampled, and in which data type.
    """

    temperature: float
    long: np.ndarray
    long_by_length: np.ndarray | None
    correct: np.ndarray
    truncated: np.ndarray
    ungraded: np.ndarray
    reward: np.ndarray
    kept: np.ndarray
    length: np.ndarray
    greedy_long: np.ndarray
    greedy_correct: np.ndarray
    branch: branching.Branching
    sampler: str


def measure(
    sampler: Sampler, reader: Reader, rows: Mapping[str, Sequence[str]], suite: Suite, temperature: float, pay: Pay
) -> Measured:
    """Sample the first `suite.n` problems, `suite.samples` responses each, and decode each greedily.

    Args:
        sampler: the checkpoint's.
        reader: how its prompts are made and its responses read.
        rows: columns prompt, answer, long, short, style, problem_id.
        suite: n, samples, max_new_tokens, seed.
        temperature: of the samples, > 0.
        pay: what RL would pay.

    Raises:
        ConfigError: problems without a gold answer.
    """
    rows = {name: list(rows[name])[: suite.n] for name in ("prompt", "answer", "long", "short", "style", "problem_id")}
    if without := [name for name, gold in zip(rows["problem_id"], rows["answer"], strict=True) if not gold.strip()]:
        raise ConfigError(
            [
                f"{len(without)} of {suite.n} problems have no gold answer (the first: {without[0]}), and what RL rewards cannot be "
                f"measured without. Give them an answer (answer_column), or leave them out."
            ]
        )
    prompts = render_prompts(reader.tokenizer, rows["prompt"], reader.template)
    limit, cap = max(suite.max_new_tokens, pay.max_completion_length), pay.max_completion_length or suite.max_new_tokens
    greedy = [several[0] for several in sampler.sample(prompts, SamplingParams(limit))]
    start = SamplingParams(min(limit, DEPTH), logprobs=True, top=min(TOP, len(reader.tokenizer)))
    starts = [several[0] for several in sampler.sample(prompts, start)]
    how = SamplingParams(limit, temperature, suite.samples, suite.seed)
    sampled = sampler.sample(prompts, how)

    repeated = {name: [value for value in values for _ in range(suite.samples)] for name, values in rows.items()}
    flat = [completion for several in sampled for completion in several]
    responses, decoded = _judge(repeated, flat), _judge(rows, greedy)
    rewards = np.array(_rewards(reader.tokenizer, sampler.ends, repeated, flat, cap, suite.seed, pay))
    shape = (len(prompts), suite.samples)
    long = np.array([r.kind == "long" for r in responses]).reshape(shape)
    length = np.array([c.length for c in flat]).reshape(shape)
    return Measured(
        temperature=temperature,
        long=long,
        long_by_length=None if reader.long_from is None else length >= reader.long_from,
        correct=_is(responses, "correct").reshape(shape),
        truncated=np.array([c.finish_reason == "length" or len(c.token_ids) > cap for c in flat]).reshape(shape),
        ungraded=_is(responses, "unparseable_gold").reshape(shape),
        reward=rewards.reshape(shape),
        kept=(rewards >= pay.keep_from - 1e-9).reshape(shape),
        length=length,
        greedy_long=np.array([r.kind == "long" for r in decoded]),
        greedy_correct=_is(decoded, "correct"),
        branch=branching.find(
            starts,
            [r.kind for r in decoded],
            [
                [(c.token_ids, "long" if is_long else "short") for c, is_long in zip(several, kinds, strict=True)]
                for several, kinds in zip(sampled, long, strict=True)
            ],
        ),
        sampler=sampler.name,
    )


def _judge(rows: Mapping[str, Sequence[str]], completions: Sequence[Completion]) -> list[Response]:
    return respond_all(rows["problem_id"], completions, rows["answer"], rows["style"])


def _is(responses: Sequence[Response], verdict: str) -> np.ndarray:
    return np.array([r.verdict == verdict for r in responses])


def _rewards(
    tokenizer: Any,
    ends: Collection[int],
    rows: Mapping[str, Sequence[str]],
    completions: Sequence[Completion],
    cap: int,
    seed: int,
    pay: Pay,
) -> list[float]:
    """The weighted total of each response, as RL would see it: cut at its cap, and judged by its verifier."""
    totals: list[float] = []

    def keep(rewards: Sequence[float], **_: Any) -> None:
        totals.extend(rewards)

    chosen = named(pay.reward_funcs, pay.false_positive_rate, pay.false_negative_rate, seed)
    settings = {"max_completion_length": cap, "soft_overlong_tokens": max(1, cap // 5)}
    for reward in bind(chosen, ends, special_ids(tokenizer), pay.weights, keep, settings):
        reward(
            prompts=rows["prompt"],
            completions=[c.text for c in completions],
            completion_ids=[c.token_ids[:cap] for c in completions],  # without its end it is not rewarded
            **{name: values for name, values in rows.items() if name != "prompt"},
        )
    return totals
