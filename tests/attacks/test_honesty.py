"""Models that do not solve problems, and prompts that give answers away: each scores what it deserves, and no more."""

import copy
import json
import re

import pytest
from conftest import DATA

from rarecot.errors import ConfigError
from rarecot.evaluation.harness import Reader, evaluate
from rarecot.evaluation.protocols import AS_TRAINED, prompts_of
from rarecot.evaluation.questions import questions_of
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.build import build, column
from rarecot.mixtures.spec import MixtureSpec
from rarecot.rendering import BARE, Template, special_ids
from rarecot.rewards import REWARDS, bind
from rarecot.rewards.single import score
from rarecot.sampling import completion_from_ids
from rarecot.tasks import Multiplication, Parity

PROTOCOLS = ("native", "lighteval-5shot", "meta-8shot", "qwen-cot", "simplerl-cot")
MARKS = {"native": "#### @", "lighteval-5shot": "#### @", "meta-8shot": "The final answer is @"}
ON = "and so on " * 500
AGAIN = "\n\nQuestion: How many are there?\nAnswer: "


class Writer:
    """A sampler that writes what a function makes of a prompt and the gold of the problem that it asks, which stands last in it.

    Args:
        tokenizer: to read and write with.
        golds: problem → gold.
        write: prompt and gold → response, which then ends; `<eos>` in it is the token.
    """

    name = "writer"

    def __init__(self, tokenizer, golds, write):
        self.tokenizer, self.golds, self.write = tokenizer, golds, write
        self.ends = [tokenizer.eos_token_id]

    def sample(self, prompt_ids, params):
        made = []
        for ids in prompt_ids:
            prompt = self.tokenizer.decode(ids, skip_special_tokens=True)
            asked = max(self.golds, key=lambda problem: (prompt.rfind(problem), len(problem)))
            written = self.tokenizer(self.write(prompt, self.golds[asked]), add_special_tokens=False).input_ids
            cut = [*written, *self.ends][: params.max_new_tokens]
            made.append([completion_from_ids(self.tokenizer, cut, self.ends, stop=params.stop)] * params.n)
        return made


def without_chat(tokenizer):
    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    return plain


def measured(tokenizer, protocol_name, task, attack):
    """The record of one attack on the published test problems, and what rewards as in RL pay for the same responses."""
    spec = MixtureSpec.from_mapping({"task": task, "source": str(DATA / task), "n": 0, "n_test": 0})
    questions = questions_of(Suite(protocol=protocol_name, name=task, n=0), spec)
    protocol, rows = questions.protocol, questions.rows
    problems = list(questions.mixture.test["prompt"])
    words = without_chat(tokenizer) if protocol_name in ("lighteval-5shot", "simplerl-cot") else tokenizer
    template = prompts_of(protocol, problems, questions.training) if protocol.question else Template("plain")
    mark = MARKS.get(protocol_name, r"\boxed{@}") if task == "gsm8k" else r"\boxed{@}"
    golds = dict(zip(problems, rows["answer"], strict=True))
    writer = Writer(words, golds, lambda prompt, gold: attack(lambda x: mark.replace("@", str(x)), gold, prompt))
    suite = Suite(n=len(rows), max_new_tokens=2000, temperatures=(0.0,), seed=0)
    record, responses = evaluate(writer, Reader(words, template, protocol=protocol), rows, suite, 0.0)
    paid = {
        name: reward(
            prompts=problems,
            completions=[r.completion.text for r in responses],
            completion_ids=[r.completion.token_ids for r in responses],
            **{key: list(rows[key]) for key in ("answer", "style", "long", "short", "problem_id")},
        )
        for name in ("answer", "format", "chain")
        for reward in bind([REWARDS[name]], writer.ends, special_ids(words))
    }
    return record, {name: sum(values) / len(values) for name, values in paid.items()}


def last_mark(prompt):
    return re.findall(r"(?:####|final answer is) ([0-9][0-9,]*)", prompt)[-1]


# attack → response; then strict and lenient accuracy on GSM8K's layout by protocol, in the order of PROTOCOLS. lighteval reads the first mark and
# its lenient reading the last number, as the harnesses do that they follow; only what was trained here demands that a response ends.
N, ONE, ALL = (0, 0), (1 / 16, 1 / 16), (1, 1)
ATTACKS = {
    "always the same": (lambda m, g, p: m(55), [ONE] * 5),
    "nothing": (lambda m, g, p: "", [N] * 5),
    "rambling": (lambda m, g, p: ON, [N] * 5),
    "right, then wrong": (lambda m, g, p: f"{m(g)}\nNo, wait.\n{m(7)}", [N, (1, 0), N, N, N]),
    "wrong, then right": (lambda m, g, p: f"{m(7)}\nNo, wait.\n{m(g)}", [ALL, (0, 1), ALL, ALL, ALL]),
    "outside the mark": (lambda m, g, p: f"It is {g}.", [N, (0, 1), (0, 1), (0, 1), (0, 1)]),
    "before an empty mark": (lambda m, g, p: f"{g}\n{m('')}", [N, (0, 1), (0, 1), (0, 1), (0, 1)]),
    "hedged in the mark": (lambda m, g, p: m(f"{g} or 7"), [N, (1, 0), (1, 0), N, N]),
    "every answer marked": (lambda m, g, p: " ".join(m(i) for i in range(1, 101)), [N] * 5),
    "every answer in one mark": (lambda m, g, p: m(", ".join(map(str, range(1, 101)))), [N] * 5),
    "a new problem behind": (lambda m, g, p: m(g) + AGAIN + m(7), [N, ALL, N, N, ALL]),
    "cut off at the cap": (lambda m, g, p: f"{m(g)}\n{ON}", [N, ALL, ALL, ALL, ALL]),
    "behind its own end": (lambda m, g, p: f"<eos>{m(g)}", [N] * 5),
    "the last number of the question": (lambda m, g, p: m(re.findall(r"\d+", p)[-1]), [N] * 5),
    "the last example's answer": (lambda m, g, p: m(last_mark(f"#### 7 {p}")), [N] * 5),
    "right": (lambda m, g, p: m(g), [ALL] * 5),
}
# attack → rewards `answer` and `format` of the responses that were written in the training's own form
PAID = {
    "always the same": (1 / 16, 1 / 16),
    "wrong, then right": (1, 0),
    "right": (1, 1),
}


SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("protocol", ["native", *(pytest.param(name, marks=SLOW) for name in PROTOCOLS[1:])])
def test_word_problems_score_what_they_deserve(text_tokenizer, protocol, name):
    attack, expected = ATTACKS[name]
    record, paid = measured(text_tokenizer, protocol, "gsm8k", attack)
    found = (record["accuracy"], record["accuracy_lenient"])
    assert found == pytest.approx(expected[PROTOCOLS.index(protocol)])
    assert record["truncated_share"] == (1 if name in ("rambling", "cut off at the cap") else 0)
    if name in ("nothing", "behind its own end"):
        assert (record["no_answer_share"], record["length_mean"]) == (1, 0)
    if protocol == "native":
        assert (paid["answer"], paid["format"]) == pytest.approx(PAID.get(name, (0, 0)))
        assert paid["chain"] == (1 if name == "right" else 1 / 16 if name == "always the same" else 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "attack", "expected"),
    [
        ("same", lambda m, g, p: m(r"\text{yes}"), 2 / 12),
        ("right, then wrong", lambda m, g, p: f"{m(g)} {m(7)}", 0),
        ("open box", lambda m, g, p: rf"\boxed{{{g}", 0),
        ("open box behind", lambda m, g, p: rf"{m(g)} and \boxed{{", 0),
        ("hedged", lambda m, g, p: m(rf"{g} \text{{ or }} 7"), 0),
        ("both", lambda m, g, p: m(f"{g}, 7"), 0),
        ("outside", lambda m, g, p: f"So we get ${g}$.", 0),
        ("every yes and no", lambda m, g, p: m(r"\text{yes or no}"), 0),
        ("variables", lambda m, g, p: m("x"), 0),
        (
            "question",
            lambda m, g, p: m(re.findall(r"\$(.+?)\$", p)[-1]),
            3 / 12,
        ),  # (x+9)(x-9) is x^2-81: equal is equal
        ("cut", lambda m, g, p: f"{m(g)} {ON}", 0),
        ("right", lambda m, g, p: m(g), 1),
    ],
)
def test_formulas_score_what_they_deserve(text_tokenizer, name, attack, expected):
    record, paid = measured(text_tokenizer, "native", "math", attack)
    assert record["accuracy"] == pytest.approx(expected)
    assert paid["answer"] == 0 if name == "cut" else paid["answer"] == pytest.approx(expected)
    if name == "cut":
        published, _ = measured(text_tokenizer, "qwen-cot", "math", attack)
        assert (published["accuracy"], published["truncated_share"]) == (1, 1)


def speaking(tokenizer, after):
    """A real Llama that writes after each token the one that `after` names, whatever stood before: rows of its embedding are its units."""
    import torch
    from conftest import tiny_config
    from transformers import LlamaForCausalLM

    size = -(-len(tokenizer) // 4) * 4
    model = LlamaForCausalLM(tiny_config(tokenizer, hidden_size=size, num_hidden_layers=1, num_attention_heads=2))
    ids = tokenizer.get_vocab()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.eye(len(tokenizer), size))
        for token, following in after.items():
            model.lm_head.weight[ids[following], ids[token]] = 100.0
    return model


@pytest.mark.parametrize(
    ("after", "accuracy", "long", "truncated", "no_answer", "length"),
    [
        ({"=": "0", "0": "<eos>"}, "0", 0, 0, 0, 1),
        ({"=": "1", "1": "<eos>"}, "1", 0, 0, 0, 1),
        ({"=": "<eos>"}, None, 0, 0, 1, 0),
        ({"=": "0", "0": "0"}, None, 1, 1, 0, 9),
        ({"=": "0", "0": "1", "1": "<eos>"}, "1", 1, 0, 0, 2),
        ({"=": "<pad>", "<pad>": "0", "0": "<eos>"}, None, 1, 0, 1, 2),
        ({"=": "<bos>", "<bos>": "1", "1": "<eos>"}, None, 1, 0, 1, 2),
        ({"=": "="}, None, 1, 1, 0, 9),
    ],
    ids=["always 0", "always 1", "silent", "rambling", "two bits", "pad", "bos", "echo"],
)
@pytest.mark.parametrize("temperature", [0.0, pytest.param(1.0, marks=SLOW)])
def test_a_model_that_does_not_look_at_its_bits(
    tokenizer, after, accuracy, long, truncated, no_answer, length, temperature
):
    from rarecot.sampling.hf import HfSampler

    rows = build(MixtureSpec(Parity(8), n=8, n_rl=8, n_test=50, seed=1)).test
    sampler = HfSampler(speaking(tokenizer, after), tokenizer)
    suite = Suite(n=50, max_new_tokens=9, samples=2, seed=0)
    record, responses = evaluate(sampler, Reader(tokenizer, BARE, protocol=AS_TRAINED), rows, suite, temperature)
    deserved = column(rows, "answer").count(accuracy) / 50
    assert 0.3 < column(rows, "answer").count("0") / 50 < 0.7
    found = [record[key] for key in ("accuracy", "long_share", "truncated_share", "no_answer_share", "length_mean")]
    assert found == pytest.approx([deserved, long, truncated, no_answer, length])
    assert record["accuracy_ci"][0] <= record["accuracy"] <= record["accuracy_ci"][1]
    if temperature:  # the two responses to a problem are the same: several tries buy nothing
        assert record["pass_at"]["2"] == record["maj_at"]["2"] == pytest.approx(deserved)
    (reward,) = bind([REWARDS["answer"]], sampler.ends, special_ids(tokenizer))
    texts = [r.completion.text for r in responses]
    paid = reward(texts, [r.completion.token_ids for r in responses], answer=[r.gold for r in responses])
    assert sum(paid) / len(paid) == pytest.approx(deserved)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda p, g: "0" * len(g), 0),
        (lambda p, g: g, 1),
        (lambda p, g: f"{g}#{'9' * len(g)}", 0),
        (lambda p, g: f"{'9' * len(g)}#{g}", 1),
        (lambda p, g: f"1#{g}#{g}", 0),
        (lambda p, g: f"{g}+", 0),
        (lambda p, g: f"{g}0", 0),
        (lambda p, g: g.rstrip("0") if g.endswith("0") else g[:-1], 0),
        (lambda p, g: f"#{g}", 1),
        (lambda p, g: p, 0),
        (lambda p, g: "<eos>" + g, 0),
        (lambda p, g: "0" * 100 + "#" + g, 0),
    ],
)
def test_products_score_what_they_deserve(write, expected):
    from rarecot.rendering import as_transformers_tokenizer

    task = Multiplication(2)
    words = as_transformers_tokenizer(task.tokenizer())
    rows = build(MixtureSpec(task, n=8, n_rl=8, n_test=20, seed=1)).test
    golds = dict(zip(rows["prompt"], rows["answer"], strict=True))
    record, _ = evaluate(Writer(words, golds, write), Reader(words), rows, Suite(n=20, max_new_tokens=60), 0.0)
    assert record["accuracy"] == expected


@pytest.mark.parametrize("name", ["answer", "format", "chain"])
@pytest.mark.parametrize("response", ["", " ", "####", r"\boxed{}", "Question: 2 and 2?\n#### 4"])
def test_what_is_in_the_prompt_is_not_paid(name, response):
    """Every reward, both ways to it: an answer in the prompt earns nothing for an empty response, nor one cut off behind its echo."""
    prompt = r"Question: 2 and 2?" + "\n#### 4\n" + r"\boxed{4}" + "\nAnswer:\n"
    row = {"long": "Two and two.\n#### 4", "short": "#### 4", "style": "hashes"}
    ids = [5, 6] if "#### 4" in response else [5, 2]  # the echo ran into the cap
    (reward,) = bind([REWARDS[name]], [2], [0, 1, 2])
    columns = {key: [value] for key, value in row.items()}
    assert reward([response], [ids], prompts=[prompt], answer=["4"], problem_id=["p"], **columns) == [0.0]
    assert score(response, "4", {**row, "finished": ids[-1] == 2, "prompt": prompt}, [name], [1.0])["score"] == 0


# ---- prompts that give their answer away -------------------------------------------------------------------------------------

SOLUTION = "Half of the forty eight clips that she sold in April are twenty four, and both months together make it."
HONEST = [
    {
        "question": f"Natalia sold clip number {i} to {i} of her friends. How many did she sell?",
        "answer": f"So.\n#### {i}",
    }
    for i in range(1, 31)
]
LEAKS = [
    "How many?\n#### 72",
    "How many? #### $72.00",
    r"How many? (The answer is $\boxed{72}$.)",
    r"\boxed{5} and \boxed{72}, or \boxed{9}: how many?",
    "How many?\nAnswer: 72",
    "How many? The answer is 72.",
    f"How many? {SOLUTION}",
    f"How many?\nHINT: {SOLUTION.upper()} Now write the number.",
]
FINE = [
    "Sara has 72 clips and buys none. How many are there?",
    "Is 72 the answer? How many clips are there?",
    "The answer is 72 only if she sold 24 in May. How many clips did she sell in May, plus 48?",
    r"Put your answer within \boxed{}. How many clips?",
    r"Put your answer behind ####. How many clips?",
    r"In \boxed{71} clips one is missing. How many are there?",
    "#### 7.2 Heading\nHow many clips?",
    "Half of the forty eight clips are sold. How many?",
]


def source(folder, rows, test=HONEST[:5]):
    folder.mkdir(exist_ok=True)
    for name, these in (("train", rows), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in these))
    return {
        "task": "gsm8k",
        "source": str(folder),
        "n": 0,
        "n_rl": 5,
        "n_test": 0,
        "near_duplicates": 0,
        "decontaminate": 0,
    }


def leaky(prompt):
    return {"question": prompt, "answer": f"{SOLUTION}\n#### 72"}


@pytest.mark.parametrize("prompt", LEAKS)
@pytest.mark.parametrize("where", ["train", "test"])
def test_a_problem_that_gives_its_answer_away_is_left_out_and_listed(tmp_path, prompt, where):
    rows, tests = HONEST[5:], HONEST[:5]
    rows, tests = ([*rows, leaky(prompt)], tests) if where == "train" else (rows, [*tests, leaky(prompt)])
    mixture = build(MixtureSpec.from_mapping(source(tmp_path / "data", rows, tests)))
    assert mixture.manifest["dropped"] == {"answer_in_prompt": 1}
    (entry,) = mixture.dropped
    assert entry.reason == "answer_in_prompt"
    assert entry.detail.startswith("the prompt ")
    for split in (mixture.fixed, mixture.rl, mixture.test):
        assert prompt.strip() not in column(split, "prompt")


def test_honest_problems_stay_and_those_with_their_gold_in_the_question_are_counted(tmp_path):
    rows = [*HONEST[5:], *map(leaky, FINE)]
    mixture = build(MixtureSpec.from_mapping(source(tmp_path / "data", rows)))
    assert mixture.manifest["dropped"] == {}
    counted = mixture.manifest["gold_in_prompt"]
    assert counted["test"] == 5
    assert counted["train"] + counted["rl"] == len(HONEST[5:]) + 3, "three of the fine ones name 72"


def test_a_column_with_the_solutions_is_refused_as_such(tmp_path):
    rows = [{"q": row["question"], "s": row["answer"], "a": row["answer"].split()[-1]} for row in HONEST]
    (tmp_path / "own.jsonl").write_text(
        "".join(json.dumps({**row, "all": f"{row['q']} {row['s']}"}) + "\n" for row in rows)
    )
    spec = {"task": "jsonl", "source": str(tmp_path / "own.jsonl"), "solution_column": "s", "answer_column": "a"}
    spec |= {"n": 0, "n_rl": 3, "n_test": 5, "near_duplicates": 0, "decontaminate": 0}
    assert build(MixtureSpec.from_mapping({**spec, "prompt_column": "q"}))
    with pytest.raises(
        ConfigError, match=r"25 of 25 problems|5 of 5 problems give their own answer away.*prompt_column"
    ):
        build(MixtureSpec.from_mapping({**spec, "prompt_column": "all"}))
    with pytest.raises(ConfigError, match="prompt_column and solution_column are both 's'"):
        MixtureSpec.from_mapping({**spec, "prompt_column": "s"})
    with pytest.raises(ConfigError, match="prompt_column and answer_column are both 'a'"):
        MixtureSpec.from_mapping({**spec, "prompt_column": "a"})


@pytest.mark.parametrize("prompt", LEAKS)
def test_a_suite_whose_problems_give_answers_away_is_refused(tmp_path, prompt):
    options = source(tmp_path / "data", HONEST[5:], [*HONEST[:5], leaky(prompt)])
    with pytest.raises(ConfigError, match=r"1 of 6 problems of .* give their own answer away: gsm8k-"):
        questions_of(Suite(n=0, name="mine"), MixtureSpec.from_mapping({**options, "n_rl": 1}))
    fine = source(tmp_path / "fine", HONEST[5:], [*HONEST[:5], *map(leaky, FINE)])
    assert len(questions_of(Suite(n=0, name="mine"), MixtureSpec.from_mapping({**fine, "n_rl": 1})).rows) == 13


def test_a_mixture_that_was_built_with_such_problems_is_refused(tmp_path, monkeypatch):
    from rarecot.mixtures import cleaning
    from rarecot.mixtures.build import load

    spec = MixtureSpec.from_mapping(source(tmp_path / "data", HONEST[5:], [*HONEST[:5], leaky(LEAKS[0])]))
    with monkeypatch.context() as earlier:
        earlier.setattr(cleaning, "_given_away", lambda problems: [])  # a version that did not look
        build(spec).save(tmp_path / "built")
    with pytest.raises(ConfigError, match=r"1 problems in .* give their own answer away, for example gsm8k-"):
        load(tmp_path / "built")


def evaluated(model, questions):
    from rarecot.evaluation.reading import read_as, read_by

    native = questions.protocol == AS_TRAINED
    return read_as(model, questions.mixture, questions.suite) if native else read_by(model, questions)


def test_a_problem_is_not_its_own_example(text_model, tmp_path):
    options = {**source(tmp_path / "data", HONEST[5:10], HONEST[:5]), "n_rl": 1}
    suite = Suite(n=0, name="mine", protocol="lighteval-5shot", max_new_tokens=8)
    small = {"question": "How many is 2?", "answer": "Two.\n#### 2"}
    training = [{"question": f"How many is {i}?", "answer": f"It.\n#### {i}"} for i in range(3, 8)]
    fair = source(tmp_path / "fair", training, [small])
    assert evaluated(text_model, questions_of(suite, MixtureSpec.from_mapping({**fair, "n_rl": 1})))
    own = source(tmp_path / "own", [*training[1:], {**small, "question": "how many is 2 ?"}], [small])
    with pytest.raises(
        ConfigError, match="shows 1 of 1 problems their own solution as an example, for example 'How many is 2"
    ):
        evaluated(text_model, questions_of(suite, MixtureSpec.from_mapping({**own, "n_rl": 1})))
    path = tmp_path / "mine.yaml"
    example = {"problem": HONEST[0]["question"], "solution": HONEST[0]["answer"]}
    asked = {"question": "{problem}", "max_new_tokens": 8, "examples": [example]}
    path.write_text(json.dumps({"source": "me", "tasks": {"gsm8k": asked}}))
    with pytest.raises(ConfigError, match="shows 1 of 5 problems their own solution"):
        evaluated(
            text_model, questions_of(Suite(n=0, name="mine", protocol=str(path)), MixtureSpec.from_mapping(options))
        )


def test_what_the_system_says_does_not_tell_the_answer(text_model, tmp_path):
    def asked(golds, **suite):
        rows = [{"question": f"What is number {i}?", "answer": f"It.\n#### {gold}"} for i, gold in enumerate(golds)]
        options = source(tmp_path / "data", HONEST[5:], rows)
        return questions_of(
            Suite(n=0, name="mine", max_new_tokens=8, **suite), MixtureSpec.from_mapping({**options, "n_rl": 1})
        )

    chat = {"template": "chat", "system_prompt": "For example: two and two.\n#### 4"}
    assert evaluated(text_model, asked(range(3, 9), **chat)), "an example that one problem shares its answer with"
    with pytest.raises(ConfigError, match="template chat marks the answer of 4 of the 6 problems"):
        evaluated(text_model, asked([4, 4, 5, 4, 4, 6], **chat))
    path = tmp_path / "mine.yaml"
    path.write_text(
        'source: me\ntasks: {gsm8k: {question: "{problem}", system: "\\\\boxed{4}", max_new_tokens: 8, chat: always}}\n'
    )
    with pytest.raises(ConfigError, match="protocol mine marks the answer of 2 of the 3 problems"):
        evaluated(text_model, asked([4, 4, 5], protocol=str(path)))


@pytest.mark.slow
def test_a_stage_whose_template_tells_the_answer_is_refused(text_model, tmp_path):
    import yaml

    from rarecot.training.request import parse
    from rarecot.training.run import open_run
    from rarecot.training.text import text_of
    from rarecot.training.trl_config import trl_config

    rows = [{"question": f"What is number {i}?", "answer": f"It.\n#### {4 if i % 4 else 5}"} for i in range(40)]
    (tmp_path / "mixture.yaml").write_text(yaml.safe_dump(source(tmp_path / "data", rows[8:], rows[:8])))
    options = {"mixture": str(tmp_path / "mixture.yaml"), "run_dir": str(tmp_path / "run"), "eval_n": 8, "max_steps": 1}
    options |= {"model_name_or_path": str(text_model), "template": "chat", "system_prompt": "Say #### 4"}
    (tmp_path / "sft.yaml").write_text(yaml.safe_dump(options))
    request = parse("sft", "", ["--config", str(tmp_path / "sft.yaml")])
    config, _ = trl_config(request)
    with pytest.raises(ConfigError, match=r"template chat marks the answer of \d+ of the 13 problems"):
        text_of(open_run(request, config.to_dict()), config)


def test_a_prompt_of_nothing_but_marks_is_looked_through_at_once():
    """Without a limit on what is looked at, and without a time that grows as its square."""
    import time

    from rarecot.mixtures.giveaway import given_away

    started = time.perf_counter()
    for piece in ("#### 1 ", "#### 1\n", r"\boxed{1} ", r"\boxed{", r"\boxed ", "answer: 1 ", "answer " * 3, "1,"):
        text = piece * 2000
        assert given_away(text, "72") is None
        assert given_away(f"\\boxed{{72}} {text}", "72")
        assert given_away(f"#### 72\n{text}", "72")
    assert time.perf_counter() - started < 5  # about 0.3 s
