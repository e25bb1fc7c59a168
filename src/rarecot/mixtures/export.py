"""A mixture in the files of a dedicated RL engine: what verl documents for RL and SFT data (docs/preparation/prepare_data.rst,
docs/preparation/reward_function.rst), checked against verl 0.9.1's RLHFDataset and MultiTurnSFTDataset.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from rarecot.errors import ConfigError
from rarecot.mixtures.build import Mixture, column
from rarecot.mixtures.lengths import Lengths, measure
from rarecot.rendering import CHAT_OPTIONS, PLAIN, Template, as_transformers_tokenizer
from rarecot.tasks import Blend, Generated

ENGINES = ("verl",)
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
# Puts texts together as `Template` does without a chat template: one bos where the tokenizer puts one, eos behind a response.
CONCATENATE = (
    "{BOS}{% for message in messages %}{{ message.content }}"
    "{% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
BOS_ONCE = "{% if messages[0].role != 'assistant' %}{{ bos_token }}{% endif %}"

REWARD = '''"""The reward of rarecot's mixture `{name}`, for verl: reward.custom_reward_function.path is this file, name is compute_score.

A response that was cut off gets no reward where `extra_info["finished"]` says so, as rarecot.rewards.verl.EndedRewardManager
does. Under verl's own reward managers nobody says so: the text is then judged as it stands.
"""

from rarecot.rewards.single import score

REWARDS, WEIGHTS = {names}, {weights}


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """`score`, what is rewarded, and `acc`, 1 where the final answer is right."""
    return score(solution_str, ground_truth, extra_info or {{}}, REWARDS, WEIGHTS)
'''


@dataclass(frozen=True)
class Export:
    """What to write.

    Args:
        mixture: a built mixture.
        template: how a problem becomes text; `chat` leaves that to the model's own chat template.
        reward_names: of rewards that need text alone (`rarecot.rewards.CORRECTNESS`).
        reward_weights: one a name.
        tokenizer: the model's; None: not known, for `chat` alone. A generated task has its own.
    """

    mixture: Mixture
    template: Template
    reward_names: tuple[str, ...] = ("answer",)
    reward_weights: tuple[float, ...] = (1.0,)
    tokenizer: Any = None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.mixture.spec.to_mapping()["task"]

    def problems(self) -> list[str]:
        """Why the mixture cannot be written so, a sentence each."""
        made_up = isinstance(self.mixture.spec.task, Generated)
        if made_up and self.template.name != "bare":
            return [
                f"template is {self.template.name}, but {self.name} has a vocabulary of its own, without words. Use bare."
            ]
        if self.template.name != "chat" and not made_up and self.tokenizer is None:
            return [
                f"template is {self.template.name}, but verl puts every prompt into the tokenizer's chat template, so that a "
                f"tokenizer is written whose template adds nothing. Name the --model whose tokenizer it is, or use "
                f"--template chat."
            ]
        if self.template.name == "chat" and self.tokenizer is not None and not self.tokenizer.chat_template:
            return ["template is chat, but the model's tokenizer has no chat template. Use --template plain."]
        return []


def write(export: Export, folder: Path) -> list[str]:
    """Write train.parquet, test.parquet, sft.parquet (not of an online mixture), reward.py, README.md and, where prompts are not for
    a model's own chat template, tokenizer/.

    Returns:
        The names of what was written.

    Raises:
        ConfigError: the mixture cannot be written so; see `Export.problems`.
    """
    if found := export.problems():
        raise ConfigError(found)
    folder.mkdir(parents=True, exist_ok=True)
    mixture = export.mixture
    pq.write_table(rl_table(export, mixture.rl, "train"), folder / "train.parquet")
    pq.write_table(rl_table(export, mixture.test, "test"), folder / "test.parquet")
    if mixture.fixed is not None:
        pq.write_table(sft_table(export, mixture.fixed), folder / "sft.parquet")
    names, weights = tuple(export.reward_names), tuple(export.reward_weights)
    (folder / "reward.py").write_text(REWARD.format(name=export.name, names=names, weights=weights))
    tokenizer = export.tokenizer
    if isinstance(mixture.spec.task, Generated):
        tokenizer = as_transformers_tokenizer(mixture.spec.task.tokenizer())
    lengths = measure(mixture, tokenizer, export.template) if tokenizer is not None else None
    if export.template.name != "chat":
        concatenating(tokenizer).save_pretrained(folder / "tokenizer")
    (folder / "README.md").write_text(readme(export, folder, lengths))
    return sorted(path.name for path in folder.iterdir())


def rl_table(export: Export, rows: Dataset, split: str) -> pa.Table:
    """A split as verl's RLHFDataset reads it.

    Args:
        export: what is written.
        rows: of a mixture's RL or test split.
        split: its name in `extra_info`.

    Returns:
        Columns data_source, prompt (list of role and content), ability, reward_model (style, ground_truth) and extra_info (split,
        index, problem_id, style; long and short where the reward `chain` compares with them).
    """
    kept = ["problem_id", "style", *(("long", "short") if "chain" in export.reward_names else ())]
    extra = pa.struct([("split", pa.string()), ("index", pa.int64()), *((name, pa.string()) for name in kept)])
    values = zip(*(column(rows, name) for name in kept), strict=True)
    ids, answers = column(rows, "problem_id"), column(rows, "answer")
    ability = export.name if isinstance(export.mixture.spec.task, Generated) else "math"
    columns = {
        "data_source": pa.array([_source(export, i) for i in ids], pa.string()),
        "prompt": pa.array([_asked(export, text) for text in column(rows, "prompt")], MESSAGES),
        "ability": pa.array([ability] * len(rows), pa.string()),
        "reward_model": pa.array(
            [{"style": "rule", "ground_truth": gold} for gold in answers],
            pa.struct([("style", pa.string()), ("ground_truth", pa.string())]),
        ),
        "extra_info": pa.array(
            [{"split": split, "index": i, **dict(zip(kept, row, strict=True))} for i, row in enumerate(values)], extra
        ),
    }
    return pa.table(columns)


def sft_table(export: Export, rows: Dataset) -> pa.Table:
    """Demonstrations as verl's MultiTurnSFTDataset reads them: column messages; kind and problem_id for people."""
    pairs = zip(column(rows, "prompt"), column(rows, "completion"), strict=True)
    said = [[*_asked(export, prompt), {"role": "assistant", "content": text}] for prompt, text in pairs]
    kinds, ids = (pa.array(column(rows, name), pa.string()) for name in ("kind", "problem_id"))
    return pa.table({"messages": pa.array(said, MESSAGES), "kind": kinds, "problem_id": ids})


def concatenating(tokenizer: Any) -> Any:
    """A copy of the tokenizer with a chat template that adds what our renderer adds and nothing else."""
    tokenizer = copy.deepcopy(tokenizer)
    bos = tokenizer("").input_ids[:1] == [tokenizer.bos_token_id] and tokenizer.bos_token_id is not None
    tokenizer.chat_template = CONCATENATE.replace("{BOS}", BOS_ONCE if bos else "")
    return tokenizer


def readme(export: Export, folder: Path, lengths: Lengths | None) -> str:
    """What verl has to be told, as a page with the commands."""
    place, chat = folder.resolve(), export.template.name == "chat"
    prompt, response = (lengths.prompt, lengths.long) if lengths else ("PROMPT_TOKENS", "RESPONSE_TOKENS")
    fixed = json.dumps(CHAT_OPTIONS).replace(" ", "").replace('"26Jul2024"', "'26 Jul 2024'").replace('"', "")
    fixed = f'"+data.apply_chat_template_kwargs={fixed}"' if chat else ""
    own = [] if chat else [f"actor_rollout_ref.model.tokenizer_path={place / 'tokenizer'}"]
    options = [
        f"data.train_files={place / 'train.parquet'}",
        f"data.val_files={place / 'test.parquet'}",
        f"data.max_prompt_length={prompt}",
        f"data.max_response_length={response}",
        f"data.train_batch_size={_batch(len(export.mixture.rl))}",
        *([fixed] if chat else []),
        "actor_rollout_ref.model.path=MODEL",
        *own,
        "actor_rollout_ref.rollout.name=vllm",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={_batch(len(export.mixture.rl))}",
        "actor_rollout_ref.actor.use_dynamic_bsz=True",
        "'trainer.logger=[console]'",
        f"reward.custom_reward_function.path={place / 'reward.py'}",
        "reward.custom_reward_function.name=compute_score",
        "reward.reward_manager.source=importlib",
        "reward.reward_manager.module.path=pkg://rarecot.rewards.verl",
        "reward.reward_manager.name=EndedRewardManager",
    ]
    sft = [
        f"data.train_files={place / 'sft.parquet'}",
        "data.messages_key=messages",
        "data.ignore_input_ids_mismatch=True",
        f"data.train_batch_size={_batch(len(export.mixture.fixed or ()))}",
        f"data.max_length={prompt + response if lengths else 'PROMPT_AND_RESPONSE_TOKENS'}",
        *([fixed] if chat else []),
        "model.path=MODEL",
        "'trainer.logger=[console]'",
        *([] if chat else [f"model.tokenizer_path={place / 'tokenizer'}"]),
    ]
    tokens = (
        "The two lengths are those of the longest prompt and of the longest long demonstration."
        if lengths
        else "PROMPT_TOKENS and RESPONSE_TOKENS: `data_mixes/build.py --model` says how long prompts and demonstrations are."
    )
    demonstrations = (
        "This mixture draws demonstrations without end, so there is no sft.parquet: train with `recipes/sft.py`, or build it with online: false."
        if export.mixture.fixed is None
        else "SFT (prompt and response are tokenised apart, as rarecot does, which ignore_input_ids_mismatch permits):\n\n"
        + _command("torchrun --standalone --nproc_per_node=8 -m verl.trainer.sft_trainer", sft)
    )
    if chat and export.mixture.fixed is not None:
        demonstrations += "\n\nverl trains on what the chat template puts behind a response, too; rarecot ends with the end-of-sequence token."
    return README.format(
        name=export.name,
        sha=export.mixture.manifest["sha256"][:12],
        rewards=" + ".join(f"{w:g}·{n}" for n, w in zip(export.reward_names, export.reward_weights, strict=True)),
        rl=_command(
            "python -m verl.trainer.main_ppo algorithm.adv_estimator=grpo actor_rollout_ref.rollout.n=8", options
        ),
        tokens=tokens,
        demonstrations=demonstrations,
    )


README = """# {name} for verl

Mixture {sha}, written for verl 0.9. RL on train.parquet (our RL split), validation on test.parquet; no problem is in both.

{rl}

{tokens} Batch sizes are a start; the loss and its normalisation, the learning rate and the number of steps are verl's own until you set them.

Each row carries the style its answer is written in (`extra_info.style`), and `reward.py` judges by rarecot's own verifier: {rewards}.
It needs rarecot beside verl. The two ask for different versions of transformers, and the reward needs none of it:
`pip install math-verify` and `pip install --no-deps rarecot` (a checkout's path, as it lies on no index).

rarecot never rewards a response that was cut off. verl hands a reward function text alone, so `EndedRewardManager` looks at the
token ids and tells it. Without the last three options a cut-off response is judged by what it says so far: `#### 12` of `#### 123`
counts as 12, and of parity's running bits any prefix that happens to end on the right bit counts as right. A gold that nothing can be
compared with gives 0, where rarecot leaves the response out of its group.

Older versions of verl have the reward's options at the top: custom_reward_function.path and custom_reward_function.name.

{demonstrations}
"""


def _batch(rows: int) -> int:
    """Sequences of a step: at most 256, as many as there are, and a power of two, which any number of GPUs is likely to divide."""
    return 1 << min(8, max(rows, 1).bit_length() - 1)


def _command(start: str, options: list[str]) -> str:
    return "```bash\n" + " \\\n    ".join([start, *options]) + "\n```"


def _asked(export: Export, prompt: str) -> list[dict[str, str]]:
    """The messages before the model's turn."""
    if export.template.name != "chat":
        return [{"role": "user", "content": PLAIN.format(prompt=prompt) if export.template.name == "plain" else prompt}]
    system = [{"role": "system", "content": export.template.system}] if export.template.system else []
    return [*system, {"role": "user", "content": prompt}]


def _source(export: Export, problem_id: str) -> str:
    """What verl groups its validation by: the task, of a blend the corpus."""
    task = problem_id.rpartition("-")[0] if isinstance(export.mixture.spec.task, Blend) else export.name
    return f"rarecot/{task}"
