import math

import pytest
import torch

from rarecot.evaluation.records import FIELDS
from rarecot.training.rl.mismatch import TokenRatios, summarise, token_ratios


def test_ratios_of_each_response():
    trainer = torch.tensor([[-1.0, -2.0, -9.0], [-1.0, -1.0, -1.0]])
    sampler = torch.tensor([[-1.5, -2.0, -1.0], [-1.0, -0.5, math.nan]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    first, second = token_ratios(trainer, sampler, mask, highest=math.exp(0.4))
    assert first == TokenRatios(tokens=2, total=0.5, worst=0.5, cut=1)  # exp(0.5) is over the bound
    assert second == TokenRatios(tokens=2, total=-0.5, worst=0.5, cut=0)  # the last one was not reported
    assert [r.cut for r in token_ratios(trainer, sampler, mask, highest=None)] == [0, 0]
    assert [r.cut for r in token_ratios(trainer, sampler, mask, highest=None, lowest=0.7)] == [0, 1]  # exp(−0.5)


def test_summary_by_length_class():
    ratios = [TokenRatios(50, 0.5, 0.2, 5), TokenRatios(50, -0.1, 0.3, 0), TokenRatios(2, 0.0, 0.0, 0)]
    fields = summarise(ratios, ["long", "long", "short"])
    assert fields["log_ratio_mean_long"] == pytest.approx(0.004)
    assert fields["log_ratio_max_long"] == 0.3
    assert fields["is_cut_share_long"] == 0.05
    assert fields["log_ratio_mean_short"] == 0.0
    assert set(fields) <= set(FIELDS)
    assert summarise(ratios[:2], ["long", "long"])["log_ratio_max_short"] is None
