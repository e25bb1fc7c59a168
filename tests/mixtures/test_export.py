"""What verl reads: columns, types and verdicts as its documentation and its loaders have them."""

import importlib.util
import inspect

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DATA, run_command

from rarecot.errors import ConfigError
from rarecot.mixtures.build import build, column
from rarecot.mixtures.export import Export, write
from rarecot.mixtures.spec import MixtureSpec
from rarecot.rendering import Template, render_demonstrations, render_prompts
from rarecot.verify import verify

SIZES = {"p_cot": 0.5, "n": 20, "n_rl": 6, "n_test": 6, "near_duplicates": 1, "decontaminate": 0}
GSM8K = {"task": "gsm8k", "source": str(DATA / "gsm8k"), **SIZES}
MATH = {"task": "math", "source": str(DATA / "math"), **SIZES}
PARITY = {"task": "parity", "d": 6, "p_cot": 0.5, "n": 20, "n_rl": 6, "n_test": 6}
BLEND = {
    "task": "blend",
    "parts": [{**{k: made[k] for k in ("task", "source")}, "share": 0.5} for made in (GSM8K, MATH)],
    **SIZES,
}
TASKS = {"gsm8k": GSM8K, "math": MATH, "parity": PARITY, "blend": BLEND}


def exported(values, folder, names=("answer",), weights=(1.0,), template=None, tokenizer=None):
    mixture = build(MixtureSpec.from_mapping(values))
    template = template or Template("bare" if values["task"] == "parity" else "chat")
    write(Export(mixture, template, names, weights, tokenizer), folder)
    return mixture


def reward_of(path):
    """As verl.utils.import_utils.load_module does."""
    spec = importlib.util.spec_from_file_location("custom_module_1", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.compute_score


@pytest.mark.parametrize("name", TASKS)
def test_columns_and_types(name, tmp_path):
    mixture = exported(TASKS[name], tmp_path)
    text, number = pa.string(), pa.int64()
    messages = pa.list_(pa.struct([("role", text), ("content", text)]))
    extra = pa.struct([("split", text), ("index", number), ("problem_id", text), ("style", text)])
    reward = pa.struct([("style", text), ("ground_truth", text)])
    for split, rows in (("train", mixture.rl), ("test", mixture.test)):
        table = pq.read_table(tmp_path / f"{split}.parquet")
        assert table.schema.equals(
            pa.schema(
                [
                    ("data_source", text),
                    ("prompt", messages),
                    ("ability", text),
                    ("reward_model", reward),
                    ("extra_info", extra),
                ]
            )
        )
        found = table.to_pylist()
        assert [row["prompt"] for row in found] == [[{"role": "user", "content": p}] for p in column(rows, "prompt")]
        assert [row["reward_model"] for row in found] == [
            {"style": "rule", "ground_truth": gold} for gold in column(rows, "answer")
        ]
        assert [row["extra_info"]["index"] for row in found] == list(range(len(rows)))
        assert {row["extra_info"]["split"] for row in found} == {split}
        assert [row["extra_info"]["style"] for row in found] == column(rows, "style")
    sources = {row["data_source"] for row in found}
    assert sources == ({"rarecot/gsm8k", "rarecot/math"} if name == "blend" else {f"rarecot/{name}"})
    sft = pq.read_table(tmp_path / "sft.parquet")
    assert sft.schema.field("messages").type == messages
    said = [[m["content"] for m in row] for row in sft.column("messages").to_pylist()]
    assert said == [
        list(pair) for pair in zip(*(column(mixture.fixed, c) for c in ("prompt", "completion")), strict=True)
    ]


@pytest.mark.parametrize("name", TASKS)
def test_nothing_of_test_is_trained_on(name, tmp_path):
    exported(TASKS[name], tmp_path)
    read = {split: pq.read_table(tmp_path / f"{split}.parquet").to_pylist() for split in ("train", "test", "sft")}
    prompts = {split: {row["prompt"][0]["content"] for row in read[split]} for split in ("train", "test")}
    ids = {split: {row["extra_info"]["problem_id"] for row in read[split]} for split in ("train", "test")}
    assert not prompts["train"] & prompts["test"]
    assert not ids["test"] & (ids["train"] | {row["problem_id"] for row in read["sft"]})
    assert not prompts["test"] & {row["messages"][0]["content"] for row in read["sft"]}


@pytest.mark.parametrize("name", TASKS)
def test_the_reward_file_gives_our_verdicts(name, tmp_path):
    mixture = exported(TASKS[name], tmp_path)
    compute_score = reward_of(tmp_path / "reward.py")
    assert list(inspect.signature(compute_score).parameters)[:4] == [
        "data_source",
        "solution_str",
        "ground_truth",
        "extra_info",
    ]
    verdicts = set()
    for exported_row, row in zip(pq.read_table(tmp_path / "train.parquet").to_pylist(), mixture.rl, strict=True):
        gold, extra = exported_row["reward_model"]["ground_truth"], exported_row["extra_info"]
        other = {"0": "1", "1": "0"}[gold] if name == "parity" else "123456789"
        wrong = row["short"].replace(row["answer"], other)
        for response in (row["long"], row["short"], wrong, row["long"][: len(row["long"]) // 2], ""):
            verdict = verify(row["answer"], response, row["style"])
            verdicts.add(verdict)
            told = {"solution_str": response, "ground_truth": gold, "data_source": exported_row["data_source"]}
            found = compute_score(**told, extra_info={**extra, "num_turns": 2}, reward_router_address=None)
            assert found == {"score": float(verdict == "correct"), "acc": float(verdict == "correct")}
            assert compute_score(**told, extra_info={**extra, "finished": True}) == found
            assert compute_score(**told, extra_info={**extra, "finished": False}) == {"score": 0.0, "acc": 0.0}
    assert verdicts >= {"correct", "wrong", "no_answer"}


def test_weights_and_the_reward_that_needs_demonstrations(tmp_path):
    exported(GSM8K, tmp_path, ("answer", "format", "chain"), (1.0, 0.5, 0.25))
    row = pq.read_table(tmp_path / "train.parquet").to_pylist()[0]
    compute_score, gold = reward_of(tmp_path / "reward.py"), row["reward_model"]["ground_truth"]
    scores = [
        compute_score("gsm8k", text, gold, row["extra_info"])["score"]
        for text in (row["extra_info"]["long"], f"Well.\n#### {gold}", f"#### {gold}\nI hope so")
    ]
    assert scores == [1.75, 1.5, 1.0]
    with pytest.raises(ConfigError, match="no `style`"):
        compute_score("gsm8k", "#### 1", gold)


def rendered(tokenizer, messages, generate):
    return tokenizer.apply_chat_template(messages, add_generation_prompt=generate, return_dict=False)


@pytest.mark.parametrize("name", ["parity", "gsm8k"])
def test_the_tokenizer_that_is_written_renders_as_we_do(name, tmp_path, text_tokenizer):
    """verl's rollouts tokenise a prompt by the chat template; its SFT each message by itself (MultiTurnSFTDataset)."""
    from transformers import AutoTokenizer

    template = Template("bare" if name == "parity" else "plain")
    kept = text_tokenizer.chat_template
    mixture = exported(TASKS[name], tmp_path, template=template, tokenizer=text_tokenizer if name == "gsm8k" else None)
    assert text_tokenizer.chat_template == kept
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tokenizer")
    rows = pq.read_table(tmp_path / "train.parquet").to_pylist()
    ours = render_prompts(tokenizer, column(mixture.rl, "prompt"), template)
    assert [rendered(tokenizer, row["prompt"], True) for row in rows] == ours
    said = pq.read_table(tmp_path / "sft.parquet").column("messages").to_pylist()
    apart = [[i for message in row for i in rendered(tokenizer, [message], False)] for row in said]
    pairs = (column(mixture.fixed, key) for key in ("prompt", "completion"))
    assert apart == render_demonstrations(tokenizer, *pairs, template)["input_ids"]


def test_refusals(tmp_path, tokenizer):
    for values, template, given, words in (
        (GSM8K, "plain", None, ["--model", "--template chat"]),
        (GSM8K, "chat", tokenizer, ["has no chat template", "plain"]),
        (PARITY, "chat", None, ["vocabulary of its own", "bare"]),
    ):
        with pytest.raises(ConfigError) as refused:
            exported(values, tmp_path / "none", template=Template(template), tokenizer=given)
        assert all(word in refused.value.problems[0] for word in words), refused.value
    assert not (tmp_path / "none").exists()


def test_an_online_mixture_has_no_fixed_demonstrations(tmp_path):
    exported({**PARITY, "online": True}, tmp_path)
    assert not (tmp_path / "sft.parquet").exists()
    assert "draws demonstrations without end" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_the_command(tmp_path):
    out, words = tmp_path / "out", ["data_mixes/export.py", "data_mixes/parity-tiny.yaml", "--to", "verl"]
    done = run_command("python", *words, "--out", out, "--n_rl", "12")
    assert done.returncode == 0, done.stderr
    assert "12 RL prompts" in done.stdout
    text = (out / "README.md").read_text()
    assert "data.max_response_length=7" in text  # six bits and the end
    assert f"custom_reward_function.path={out / 'reward.py'}" in text
    refused = run_command("python", *words, "--out", out, "--reward_funcs", "anwser", "length_penalty")
    assert refused.returncode == 2
    for expected in ("did you mean 'answer'", "counts tokens", "is not empty"):
        assert expected in refused.stderr
    built = tmp_path / "built"
    assert run_command("python", "data_mixes/build.py", words[1], "--out", built).returncode == 0
    late = run_command("python", words[0], built, *words[2:], "--out", tmp_path / "b", "--n_rl", "3")
    assert "comes too late" in late.stderr
    assert run_command("python", words[0], built, *words[2:], "--out", tmp_path / "b").returncode == 0
