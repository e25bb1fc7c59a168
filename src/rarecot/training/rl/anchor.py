"""How far each round moved the odds of long, without sampling: responses written once before RL, weighed again by every round's
policy.

A share of a batch of rollouts is known to some points, and a round of policy gradient moves it by less. With w = π_n(y|x) / π_0(y|x), the
log-odds of long have moved by log E[w | long] − log E[w | short] since the responses were sampled (importance sampling), and the
same responses at every round make their noise cancel.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rarecot import checkpoints, whole
from rarecot.evaluation.harness import respond_all
from rarecot.forecast.overlay import ANCHORS
from rarecot.mixtures.build import column
from rarecot.sampling import Sampler, SamplingParams
from rarecot.sampling.shared import from_main
from rarecot.training.run import Run
from rarecot.training.text import Text
from rarecot.types import Kind

FILE = "anchor.parquet"
PROMPTS = 512  # one response each
STREAM = 13  # random stream

# prompts and responses in ids → log-probability of each response at the sampling temperature
Score = Callable[[Sequence[Sequence[int]], Sequence[Sequence[int]]], Sequence[float]]


@dataclass(frozen=True)
class Anchor:
    """Responses that were sampled before RL.

    Args:
        prompts: ids.
        responses: ids.
        kinds: long or short.
        scores: log-probability of each response before RL.
    """

    prompts: list[list[int]]
    responses: list[list[int]]
    kinds: list[Kind]
    scores: np.ndarray

    def fields(self, score: Score) -> dict[str, float]:
        """What a record says of a policy; nothing if one of the modes was not sampled."""
        return shift(np.asarray(score(self.prompts, self.responses)) - self.scores, np.array(self.kinds))


def shift(log_weights: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """Change of the log-odds of long, in nats, and the effective share of the responses behind it, by the worse mode.

    Args:
        log_weights: log π_n − log π_0 of each response, shape (B,).
        kinds: `long` or `short`, shape (B,).

    Returns:
        `log_odds_shift` and `log_odds_ess`; empty if a mode has no response.
    """
    means, effective = {}, []
    for kind in ("long", "short"):
        mine = log_weights[kinds == kind]
        if not len(mine):
            return {}
        top = mine.max()
        weights = np.exp(mine - top)
        means[kind] = top + np.log(weights.mean())
        effective.append(weights.sum() ** 2 / (weights**2).sum() / len(weights))
    return {"log_odds_shift": float(means["long"] - means["short"]), "log_odds_ess": float(min(effective))}


def open_anchor(run: Run, text: Text, sampler: Callable[[], Sampler], score: Score) -> Anchor | None:
    """The anchor of a stage, sampled if it has none yet; None for a stage that began without one. On every rank.

    Args:
        run: the open run.
        text: how the stage reads and writes.
        sampler: of the policy that RL starts from, as one of all processes.
        score: by the same policy.
    """
    path = run.stage_dir / FILE
    is_there, began = from_main((path.is_file(), checkpoints.newest(run.stage_dir) is not None))  # rank 0 decides
    if not is_there:
        if began:
            return None
        policy = sampler()
        prompts, responses, kinds = from_main(_sample(run, text, policy))
        scores = np.asarray(score(prompts, responses))
        if run.is_main:
            _write(path, prompts, responses, kinds, scores)
        return Anchor(prompts, responses, kinds, scores)
    table = pq.read_table(path).to_pydict()
    return Anchor(table["prompt"], table["response"], table["kind"], np.array(table["score"]))


def _sample(run: Run, text: Text, sampler: Sampler) -> tuple[list[list[int]], list[list[int]], list[Kind]]:
    """At most ANCHORS responses of each kind, to problems of the test split."""
    request, rows = run.request, run.mixture.test
    n = min(PROMPTS, len(rows))
    prompts = text.prompt_ids(column(rows, "prompt")[:n])
    seed = int(np.random.SeedSequence([request.seed, STREAM]).generate_state(1)[0])
    params = SamplingParams(text.max_new_tokens, request.value("temperature"), 1, seed)
    completions = [several[0] for several in sampler.sample(prompts, params)]
    judged = respond_all(
        *(column(rows, "problem_id")[:n], completions, column(rows, "answer")[:n], column(rows, "style")[:n])
    )
    kinds = [response.kind for response in judged]
    chosen = sorted(i for kind in ("long", "short") for i in [j for j in range(n) if kinds[j] == kind][:ANCHORS])
    return [prompts[i] for i in chosen], [completions[i].token_ids for i in chosen], [kinds[i] for i in chosen]


def _write(
    path: Path, prompts: list[list[int]], responses: list[list[int]], kinds: list[Kind], scores: np.ndarray
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"prompt": prompts, "response": responses, "kind": kinds, "score": scores.tolist()})
    with whole.replacing(path) as temporary:
        pq.write_table(table, temporary)
