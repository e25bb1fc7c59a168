"""Imported by verl, never by us: a reward manager that knows which responses ended.

verl hands a reward function text alone, in which a response that was cut off looks like one that ended. Its reward managers
see the token ids; this one adds `finished` to `extra_info`, by the same rule as our own trainers (`rewards.guard.complete`).
Written against verl 0.9 (verl/experimental/reward_loop/reward_manager).
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

from rarecot.rendering import special_ids
from rarecot.rewards.guard import complete


class EndedRewardManager(NaiveRewardManager):
    """verl's naive manager; `compute_score` gets `extra_info["finished"]`."""

    async def run_single(self, data: Any) -> dict[str, Any]:
        """Score the last response of `data`, a DataProto of one row or more: `responses` (rows, response length) and
        `attention_mask` (rows, prompt and response length)."""
        last = data[-1:][0]
        width = last.batch["responses"].shape[-1]
        length = int(last.batch["attention_mask"][-width:].sum())
        ids = last.batch["responses"][:length].tolist()
        folders = (self.tokenizer.name_or_path, str(self.config.actor_rollout_ref.model.path))
        finished = complete(ids, ends_of(self.tokenizer, folders), special_ids(self.tokenizer))
        data.non_tensor_batch["extra_info"][-1] = {**last.non_tensor_batch["extra_info"], "finished": finished}
        return await super().run_single(data)


def ends_of(tokenizer: Any, folders: Iterable[str] = ()) -> set[int]:
    """The ids that end a response: the tokenizer's, and those that a generation_config.json names, where vLLM stops too.

    Args:
        tokenizer: a transformers tokenizer.
        folders: where a model's files may lie.
    """
    found = {tokenizer.eos_token_id}
    for path in (Path(folder) / "generation_config.json" for folder in folders):
        named = json.loads(path.read_text()).get("eos_token_id") if path.is_file() else None
        found |= set(named if isinstance(named, list) else [named])
    return found - {None}
