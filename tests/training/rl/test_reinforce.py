"""REINFORCE: its advantages, and that the step TRL takes with them is the policy gradient's."""

import pytest
import torch
import yaml

from rarecot.errors import ConfigError
from rarecot.training.request import parse

NAN = float("nan")


@pytest.mark.parametrize(
    ("baseline", "running", "expected"),
    [
        ("none", None, [1, 0, 0, 3]),
        ("group", None, [0.5, -0.5, -1.5, 1.5]),
        ("running", 0.25, [0.75, -0.25, -0.25, 2.75]),
        ("running", None, [0, -1, -1, 2]),  # the first round takes its own mean
    ],
)
def test_advantages(baseline, running, expected):
    from rarecot.training.rl.reinforce import advantages

    found = advantages(torch.tensor([1.0, 0.0, 0.0, 3.0]), 2, baseline, running)
    assert found.tolist() == expected


def test_a_response_without_a_score_moves_nothing():
    from rarecot.training.rl.reinforce import advantages

    rewards = torch.tensor([1.0, NAN, 0.0, 1.0])
    assert advantages(rewards, 2, "none").tolist() == [1, 0, 0, 1]
    assert advantages(rewards, 2, "group").tolist() == [0, 0, -0.5, 0.5]


def test_running_mean():
    from rarecot.training.rl.reinforce import running_mean

    assert running_mean([], 0.9) is None
    assert running_mean([0.5], 0.9) == 0.5
    assert running_mean([0.5, 1.0, 0.0], 0.9) == pytest.approx(0.9 * (0.9 * 0.5 + 0.1))


@pytest.fixture
def asked(tmp_path, learned):
    mixture = {"task": "parity", "d": 7, "p_cot": 0.5, "n": 16, "n_rl": 80, "n_test": 16}
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(mixture))
    values = {"mixture": str(tmp_path / "mixture.yaml"), "run_dir": str(tmp_path / "run"), "eval_n": 16}
    values |= {"model_name_or_path": str(learned), "max_completion_length": 8, "num_generations": 4}
    values |= {"per_device_train_batch_size": 32, "max_steps": 1, "optim": "sgd", "learning_rate": 0.5}
    values |= {"max_grad_norm": 0, "lr_scheduler_type": "constant", "weight_decay": 0.0, "disable_tqdm": True}

    def ask(**options):
        path = tmp_path / "reinforce.yaml"
        path.write_text(yaml.safe_dump({**values, **options}))
        return parse("reinforce", "", ["--config", str(path)])

    return ask


@pytest.mark.parametrize("baseline", ["none", "group"])
def test_a_step_is_that_of_the_policy_gradient(asked, baseline):
    """One SGD step with TRL's trainer against lr/(B·L) · Σ (r − b) ∇ log π(y | x), by autograd on a copy."""
    import copy

    from rarecot.training import session
    from rarecot.training.rl import grpo, reinforce
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config

    request = asked(baseline=baseline)
    config, options = trl_config(request)
    run = open_run(request, config.to_dict())
    text, constants = text_of(run, config), reinforce.constants(request, config)
    assert baseline in constants["loss_normalisation"]
    model, adapter = grpo.make_model(request, options)
    before = copy.deepcopy(model)
    seen = {}

    class Watched(reinforce.ReinforceTrainer):
        def _generate_and_score_completions(self, inputs):
            output = super()._generate_and_score_completions(inputs)
            seen.update(output, rewards=list(self.recorder.rewards))
            return output

    trainer = grpo.make_trainer(run, config, model, adapter, text, constants, Watched)
    session.train(run, trainer, text, constants)

    rewards = torch.tensor(seen["rewards"])
    assert 0 < rewards.sum() < len(rewards)
    taken_off = rewards.view(-1, 4).mean(1).repeat_interleave(4) if baseline == "group" else torch.zeros(len(rewards))
    ids = torch.cat([seen["prompt_ids"], seen["completion_ids"]], dim=1)
    mask = torch.cat([seen["prompt_mask"], seen["completion_mask"]], dim=1)
    width = seen["completion_ids"].shape[1]
    logits = before(ids, attention_mask=mask).logits[:, -width - 1 : -1]
    log_probabilities = logits.log_softmax(-1).gather(-1, seen["completion_ids"].unsqueeze(-1)).squeeze(-1)
    whole = (log_probabilities * seen["completion_mask"]).sum(1)  # log π(y | x), (B,)
    (((rewards - taken_off) * whole).sum() / (len(rewards) * config.max_completion_length)).backward()
    moved = 0.0
    for (name, old), new in zip(before.named_parameters(), trainer.model.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old.detach() + 0.5 * old.grad, rtol=1e-4, atol=1e-6, msg=name)
        moved = max(moved, float((new - old).detach().abs().max()))
    assert moved > 1e-4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"baseline": "mean"}, "It must be one of none, group, running"),
        ({"baseline_decay": 1.0}, "baseline_decay is 1.0"),
        ({"loss_type": "grpo"}, "REINFORCE weighs whole responses"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "REINFORCE sums rewards"),
        ({"steps_per_generation": 2, "save_steps": 3, "max_steps": 8}, "save_steps is 3, but 2 optimizer steps"),
        ({"scale_rewards": "group"}, "REINFORCE takes rewards as they are"),
    ],
)
def test_bad_options_are_refused(asked, options, expected):
    with pytest.raises(ConfigError) as refused:
        asked(**options)
    assert expected in " ".join(refused.value.problems)
