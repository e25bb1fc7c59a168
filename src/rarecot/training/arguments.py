"""What each recipe takes beside the mixture's and TRL's options: name, type, default, help. No torch."""

from dataclasses import dataclass, field
from typing import Any, Literal


def _option(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


def _path(default: str, help: str) -> Any:
    """A path; where the default is empty, empty: none."""
    return field(default=default, metadata={"help": help, "path": True})


_WHEN = "denser in the first interval, always at the first and last step"


@dataclass(frozen=True)
class RunArguments:
    """Options of every stage."""

    run_dir: str = _path("runs/parity-tiny", "folder of the run; its stages share it")
    mixture: str = _path("data_mixes/parity-tiny.yaml", "a mixture's YAML, or a folder that data_mixes/build.py wrote")
    model_name_or_path: str = _path(
        "", "checkpoint to start from; empty: a model from scratch (sft), the newest checkpoint in RUN_DIR/sft (RL)"
    )
    template: Literal["auto", "bare", "plain", "chat"] = _option(
        "auto",
        "what a problem is put into: auto is the checkpoint's own, else bare for generated tasks and plain for corpora",
    )
    system_prompt: str = _option("", "what the system says in a chat template; empty: the template's own, if any")
    max_prompt_tokens: int = _option(512, "longest rendered prompt of a corpus, in tokens; memory is planned for it")
    dry_run: Literal["false", "true", "later"] = _option(
        "false",
        "true: check everything that can be checked without a model, and leave; later: its start need not be there yet",
    )
    global_batch_size: int = _option(
        0,
        "sequences (demonstrations, or rollouts) of one optimizer step over all processes: each then holds per_device_train_batch_size at most, and gradient_accumulation_steps follows. 0: not fixed",
    )
    move_aside: bool = _option(False, "rename a run_dir that holds another run to RUN_DIR.old-N instead of refusing")
    eval_every: int = _option(50, f"optimizer steps between evaluations; {_WHEN}")
    eval_n: int = _option(256, "test problems of an evaluation during training")
    eval_n_last: int = _option(0, "test problems of a stage's last evaluation; 0: eval_n")
    eval_temperature: float = _option(1.0, "temperature of the sampled evaluation; the other one is greedy")
    eval_batch_size: int = _option(256, "sequences decoded together in evaluation")
    eval_max_new_tokens: int = _option(
        0,
        "cap on a response in evaluation, in tokens; 0: what 99 % of a corpus's long demonstrations need, all of a generated task's",
    )
    split_by_length: bool = _option(
        True, "compute the loss of short and long rows of a batch apart: the same loss, without the padding"
    )


@dataclass(frozen=True)
class SftArguments(RunArguments):
    """Options of `recipes/sft.py`; the shape is that of a model from scratch."""

    # A step is quicker than a round of RL: at 50, evaluations would be a sixth of the headline's time (`eval/bench.py --rows harness`).
    eval_every: int = _option(100, f"optimizer steps between evaluations; {_WHEN}")
    model_type: Literal["llama", "gpt2", "mistral", "qwen3"] = _option("llama", "architecture of a model from scratch")
    num_layers: int = _option(2, "depth of a model from scratch")
    hidden_size: int = _option(128, "width of a model from scratch")
    num_heads: int = _option(4, "attention heads of a model from scratch")
    intermediate_size: int = _option(512, "width of the MLP of a model from scratch")
    max_positions: int = _option(0, "positions of a model from scratch, in tokens; 0: what prompt + long chain need")
    tokenizer_name_or_path: str = _path(
        "",
        "folder or hub id whose tokenizer a model from scratch gets; needed for a corpus, whose words have no vocabulary of their own",
    )
    tie_embeddings: bool = _option(False, "share input and output embeddings of a model from scratch")


@dataclass(frozen=True)
class RlArguments(RunArguments):
    """Options of every kind of RL."""

    reward_funcs: list[str] = field(
        default_factory=lambda: ["answer"], metadata={"help": "rewards by name, summed with reward_weights"}
    )
    allow_truncation: bool = _option(
        False, "accept a max_completion_length that cuts long demonstrations off (they are then never rewarded)"
    )
    soft_overlong_tokens: int = _option(
        0, "reward soft_overlong: tokens below max_completion_length from which it falls to -1; 0: a fifth of it"
    )
    false_positive_rate: float = _option(
        0.0, "a noisy verifier: probability that a wrong response is rewarded, the same whenever it is written again"
    )
    false_negative_rate: float = _option(
        0.0,
        "a noisy verifier: probability that a right response is not rewarded, the same whenever it is written again",
    )


@dataclass(frozen=True)
class GrpoArguments(RlArguments):
    """Options of `recipes/grpo.py`."""

    eval_backend: Literal["auto", "transformers", "vllm"] = _option(
        "auto", "what samples in evaluation; auto: the rollouts' vLLM where there is one and the model is large enough"
    )
    vllm_dtype: Literal["auto", "float32", "bfloat16", "float16"] = _option(
        "auto", "data type of vLLM's weights and computation; auto: that of training (bfloat16 with bf16, else float32)"
    )
    vllm_enforce_eager: Literal["auto", "true", "false"] = _option(
        "auto", "do not compile in vLLM (slower tokens, faster start); auto: on a CPU"
    )
    sync_check_every: int = _option(
        10, "weight syncs between checks that vLLM generates with the trained weights; the first always; 0: never"
    )
    sync_tolerance: float = _option(
        0.0, "largest difference in log-probability (nats) that the sync check accepts; 0: what the data type explains"
    )
    vllm_request_timeout: int = _option(1800, "seconds that one answer of a vLLM server may take")
    vllm_server_log: str = _path("", "log of the vLLM server, shown when it fails; empty: RUN_DIR/server.log")


@dataclass(frozen=True)
class ReinforceArguments(GrpoArguments):
    """Options of `recipes/reinforce.py`."""

    baseline: Literal["none", "group", "running"] = _option(
        "none",
        "what is taken off a response's reward: nothing; the mean of its prompt's responses; the running mean of the rounds before",
    )
    baseline_decay: float = _option(0.9, "baseline running: weight of the past against the latest round, in [0, 1)")


@dataclass(frozen=True)
class StarArguments(RlArguments):
    """Options of `recipes/star.py`. The options of training (epochs, learning rate, batch) are those of one round."""

    rounds: int = _option(5, "rounds of sampling, keeping, and next-token prediction on what was kept")
    prompts_per_round: int = _option(2048, "fresh RL prompts of a round, one response each")
    temperature: float = _option(1.0, "of the rollouts (tau_RL)")
    max_completion_length: int = _option(256, "cap on a rollout in tokens, end-of-sequence included")
    reward_weights: list[float] = field(
        default_factory=list, metadata={"help": "of the rewards in their sum, one each; empty: 1 each"}
    )
    keep_from: float = _option(1.0, "total reward from which a response is kept")
    use_vllm: bool = _option(False, "sample rollouts and evaluations with vLLM")
    eval_every: int = _option(1, "rounds between evaluations; always before the first and after the last")


ARGUMENTS: dict[str, type[RunArguments]] = {
    "sft": SftArguments,
    "grpo": GrpoArguments,
    "reinforce": ReinforceArguments,
    "star": StarArguments,
}
