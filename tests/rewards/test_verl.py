"""The manager that verl imports, on a stand-in for verl's own (verl itself is not installed here)."""

import asyncio
import importlib
import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch


class Naive:
    """What of verl's naive manager ours builds on: text from ids, `extra_info` handed on."""

    def __init__(self, config, tokenizer):
        self.config, self.tokenizer = config, tokenizer

    async def run_single(self, data):
        return data[-1:][0].non_tensor_batch["extra_info"]


class Data:
    """Rows of a DataProto."""

    def __init__(self, batch, non_tensor_batch):
        self.batch, self.non_tensor_batch = batch, non_tensor_batch

    def __getitem__(self, key):
        return Data(*({k: v[key] for k, v in part.items()} for part in (self.batch, self.non_tensor_batch)))


@pytest.fixture
def verl(monkeypatch):
    path = "verl.experimental.reward_loop.reward_manager.naive"
    for end in (i for i in range(len(path) + 1) if path[i : i + 1] in (".", "")):
        monkeypatch.setitem(sys.modules, path[:end], ModuleType(path[:end]))
    sys.modules[path].NaiveRewardManager = Naive
    yield importlib.import_module("rarecot.rewards.verl")
    del sys.modules["rarecot.rewards.verl"]


def test_it_knows_which_responses_ended(verl, tokenizer, tmp_path):
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 4]}))
    pad, bos, eos = tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id

    def finished(folder, *ids):
        model = SimpleNamespace(path=str(folder))
        config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(model=model))
        responses = torch.tensor([[*ids, *[pad] * (5 - len(ids))]])
        mask = torch.tensor([[0, 1, 1] + [1] * len(ids) + [0] * (5 - len(ids))])
        rows = {"extra_info": np.array([{"style": "bits"}], dtype=object)}
        manager = verl.EndedRewardManager(config, tokenizer)
        found = asyncio.run(manager.run_single(Data({"responses": responses, "attention_mask": mask}, rows)))
        assert found["style"] == "bits"
        return found["finished"]

    assert finished("elsewhere", 3, 4, eos)
    assert not finished("elsewhere", 3, 4)
    assert not finished("elsewhere", 3, bos, 4, eos)
    assert not finished("elsewhere")
    assert finished(tmp_path, 3, 4)  # vLLM stops at the ends that the model's generation_config names
