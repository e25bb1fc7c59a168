"""Post-training by STaR with the chain reward (PAPER §3, Theorem 2).

A round samples one response to each of n fresh inputs, keeps those that are the exact long or the exact short demonstration,
and trains on them by the SGD of pre-training, from zero. A warm start would be the same to one sample: the first step, of size
1/λ, replaces the weights by the first gradient over λ.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rarecot.theory.linear.model import Policy
from rarecot.theory.linear.sgd import Demonstrations, draw_inputs, fit_chain, fit_heads


@dataclass(frozen=True)
class Round:
    """One policy after a round, with what it was trained on: kept responses of n, and the share of long among them."""

    policy: Policy
    kept: int
    kept_long_share: float


def star(
    policies: Sequence[Policy], rounds: int, n: int, lambda_heads: float, lambda_chain: float, seed: int
) -> Iterator[list[Round]]:
    """STaR from each of the policies, side by side: round after round, one `Round` a policy.

    Args:
        policies: where to start, all on the same number of bits.
        rounds: how many.
        n: fresh inputs a round and policy, ≥ 1. A round that keeps nothing leaves the policy as it is.
        lambda_heads: λ of position 1 and of the stop decision.
        lambda_chain: λ of positions 2..d.
        seed: of inputs and responses.
    """
    if n < 1:
        raise ValueError(f"a round needs an input or more, got {n}")
    policies, d = list(policies), policies[0].first.size
    rng = np.random.default_rng([seed, d, n])
    for _ in range(rounds):
        data = [_kept(policy, n, rng) for policy in policies]
        counts = [[len(own)] for own in data]
        heads = [own[0] for own in fit_heads(data, counts, lambda_heads)] if any(map(len, data)) else policies
        found = []
        for old, head, own in zip(policies, heads, data, strict=True):
            many = int(own.long.sum())
            chain = fit_chain(own.inputs[own.long], [many], lambda_chain)[many]
            policy = Policy(head.first, head.stop, chain) if len(own) else old
            found.append(Round(policy, len(own), many / len(own) if len(own) else float("nan")))
        policies = [own.policy for own in found]
        yield found


def _kept(policy: Policy, n: int, rng: np.random.Generator) -> Demonstrations:
    """What is rewarded of one response to each of n fresh inputs."""
    x = draw_inputs(rng, n, policy.first.size)
    responses = policy.sample(x, rng)
    keep = responses.demonstrated(x)
    return Demonstrations(x[keep], np.arange(int(keep.sum())), responses.long[keep])
