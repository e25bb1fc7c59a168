"""Our measurements in the trackers that `report_to` names (trackio, wandb, tensorboard, …), under names that stay.

The trainers report their own losses through transformers' callbacks; what the harness measures goes the same way, at the same step:
`eval/greedy/accuracy`, `eval/sampled/long_share`, … of the test problems, and `train/rollouts/long_share`, … of RL's own rollouts.
"""

import copy
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState
from transformers.integrations import get_reporting_integration_callbacks

from rarecot.evaluation.records import Record, is_own

# Fields of a record → what trackers show of it.
EVALUATION = (
    *("accuracy", "accuracy_lenient", "accuracy_long", "accuracy_short", "long_share", "long_share_by_length"),
    *("length_mean", "length_median", "length_p95", "length_correct_mean", "length_wrong_mean"),
    *("truncated_share", "no_answer_share", "correct_per_1000_tokens"),
)
ROLLOUTS = (
    *("round", "accuracy", "accuracy_long", "accuracy_short", "long_share", "length_mean", "length_correct_mean"),
    *(
        "length_wrong_mean",
        "truncated_share",
        "reward_mean",
        "reward_long_mean",
        "reward_short_mean",
        "dead_group_share",
    ),
    *("kept_share", "kept_long_share", "log_odds_shift", "log_ratio_max_long", "log_ratio_max_short"),
)


def tracked(record: Record) -> dict[str, float]:
    """The numbers of a record by the names that the trainers' callbacks turn into those above; empty for other problems or protocols."""
    if not is_own(record):
        return {}
    rollouts = record["split"] == "rollouts"
    prefix, fields = ("rollouts", ROLLOUTS) if rollouts else (f"eval_{record['decoding']}", EVALUATION)
    return {f"{prefix}/{field}": float(record[field]) for field in fields if record.get(field) is not None}


def listener(trainer: Any) -> Callable[[Record], None]:
    """What sends records on to the trackers of a trainer, at its step."""

    def send(record: Record) -> None:
        if logs := tracked(record):
            # A copy: whoever logs takes the trainer's own log of this step, its loss, for done.
            trainer.callback_handler.on_log(trainer.args, trainer.state, copy.copy(trainer.control), logs)

    return send


class StageTrackers(TrainerCallback):
    """The trackers of a stage that has many trainers one after another (STaR): opened once, with steps that go on; a context that closes
    them, whatever happens.

    As a callback of one of its trainers it passes on what that trainer logs.

    Args:
        config: of the stage; its `report_to` names the trackers.
        is_main: whether this process reports (rank 0).
    """

    def __init__(self, config: Any, is_main: bool = True):
        self.config, self.offset = config, 0
        names = config.report_to if is_main else []
        self.trackers = [make() for make in get_reporting_integration_callbacks(names)]
        for tracker in self.trackers:
            tracker.on_train_begin(config, TrainerState(), TrainerControl(), model=None)

    def send(self, record: Record) -> None:
        """A record of the stage, at its step."""
        self._log(tracked(record), record["step"])

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero:
            self._log(logs or {}, self.offset + state.global_step)

    def __enter__(self) -> "StageTrackers":
        return self

    def __exit__(self, *_: Any) -> None:
        for tracker in self.trackers:
            tracker.on_train_end(self.config, TrainerState(), TrainerControl())

    def _log(self, logs: dict[str, Any], step: int) -> None:
        for tracker in self.trackers if logs else ():
            tracker.on_log(self.config, TrainerState(global_step=step), TrainerControl(), logs=dict(logs))
