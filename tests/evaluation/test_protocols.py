"""Each protocol against its source: the prompt's text, its examples, where a response ends, what is read as the answer."""

import random

import pytest
from conftest import DATA

from rarecot.errors import ConfigError
from rarecot.evaluation.protocols import AS_TRAINED, Example, prompts_of, protocol_named, protocol_names
from rarecot.evaluation.questions import questions_of
from rarecot.evaluation.suite import Suite
from rarecot.mixtures.spec import MixtureSpec
from rarecot.parsing import parse

SHIPPED = ["lighteval-5shot", "meta-8shot", "native", "qwen-cot", "simplerl-cot"]
# As Qwen2.5's tokenizers come: the system prompt, then turns between <|im_start|> and <|im_end|>.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def texts(name, task, problems, tokenizer, training=()):
    protocol = protocol_named(name, task)
    return prompts_of(protocol, problems, training).texts(tokenizer, problems)


@pytest.fixture
def base(text_tokenizer):
    """A tokenizer without a chat template, as base models have."""
    import copy

    plain = copy.deepcopy(text_tokenizer)
    plain.chat_template = None
    return plain


@pytest.fixture
def chat(text_tokenizer):
    import copy

    chat = copy.deepcopy(text_tokenizer)
    chat.chat_template = CHATML
    return chat


def test_all_are_known_and_name_their_source():
    assert protocol_names() == SHIPPED
    assert protocol_named("native", "gsm8k") == AS_TRAINED
    for name in SHIPPED:
        assert protocol_named(name, "gsm8k").name == name


def pool(n):
    return [Example(f"Q{i}?", f"Because <<{i}={i}>>{i}.\n#### {i}") for i in range(n)]


def test_lighteval_draws_its_examples_as_lighteval_does(base):
    # Doc i of the shuffled test split gets the next five of the same generator: tasks/lighteval_task.py, get_docs.
    problems, training = [f"P{i}?" for i in range(40)], pool(100)
    generator, order = random.Random(42), list(range(40))
    generator.shuffle(order)
    expected = {i: [training[j] for j in generator.sample(range(100), 5)] for i in order}
    made = texts("lighteval-5shot", "gsm8k", problems, base, training)
    for i, text in enumerate(made):
        shots = "".join(f"Question: {e.problem}\nAnswer: {e.solution}\n\n" for e in expected[i])
        assert text == f"{shots}Question: P{i}?\nAnswer:"
    assert len({text[: text.index("P")] for text in made}) == 40, "other examples for each problem"


def test_lightevals_examples_are_turns_where_there_is_a_chat_template(chat):
    [text] = texts("lighteval-5shot", "gsm8k", ["P?"], chat, pool(5))
    turns = text.split("<|im_start|>")[1:]
    assert [turn.split("\n")[0] for turn in turns] == ["user", "assistant"] * 5 + ["user", "assistant"]
    assert turns[1].startswith("assistant\n Because <<"), "the solution behind one blank, annotations kept"
    assert turns[-2] == "user\nQuestion: P?\nAnswer:<|im_end|>\n"
    protocol = protocol_named("lighteval-5shot", "gsm8k")
    prompts = prompts_of(protocol, ["P?"], pool(5))
    assert prompts.stop(chat) == ()


def test_lightevals_plain_prompts_end_at_the_next_question(base):
    prompts = prompts_of(protocol_named("lighteval-5shot", "gsm8k"), ["P?"], pool(5))
    assert prompts.stop(base) == ("Question:",)


def test_first_draws_on_the_whole_of_gsm8k():
    # Indices that lighteval 0.13 gives test problem 588, the first of its shuffled 1 319, out of 7 473.
    protocol = protocol_named("lighteval-5shot", "gsm8k")
    problems, training = [str(i) for i in range(1319)], [Example(str(i), "") for i in range(7473)]
    drawn = prompts_of(protocol, problems, training).drawn
    assert [e.problem for e in drawn["588"]] == ["7268", "4403", "1111", "3183", "3716"]
    assert [e.problem for e in drawn["1214"]] == ["3039", "5492", "6087", "5705", "4425"]


def test_qwens_prompt_is_that_of_its_harness(chat):
    [text] = texts("qwen-cot", "math", ["What is $1+1$?"], chat)
    assert text == (
        "<|im_start|>system\nPlease reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n"
        "<|im_start|>user\nWhat is $1+1$?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_simplerls_prompt_is_that_of_its_harness(base):
    [text] = texts("simplerl-cot", "gsm8k", ["P?"], base)
    assert text == "Question:\nP?\nAnswer:\nLet's think step by step.\n"


def test_metas_examples_are_eight_turns(chat):
    [text] = texts("meta-8shot", "gsm8k", ["P?"], chat)
    assert text.count("<|im_start|>user") == 9
    assert text.count('"The final answer is [answer]"') == 9
    assert text.count("The final answer is ") == 9 + 8
    first = text.split("<|im_end|>")[0]
    assert first == (
        "<|im_start|>user\nGiven the following problem, reason and give a final answer to the problem.\nProblem: There are 15 trees in the "
        "grove. Grove workers will plant trees in the grove today. After they are done, there will be 21 trees. How many trees did the grove "
        'workers plant today?\nYour response should end with "The final answer is [answer]" where [answer] is the response to the problem.\n'
    )
    assert "So there must have been 21 - 15 = 6. The final answer is 6<|im_end|>" in text


def test_metas_math_prompt_has_no_examples(chat):
    [text] = texts("meta-8shot", "math", ["P {x}"], chat)
    assert text.endswith("expression that solves the problem.\n\nProblem: P {x}<|im_end|>\n<|im_start|>assistant\n")
    assert "Therefore, the final answer is: $\\boxed{answer}$. I hope it is correct." in text


@pytest.mark.parametrize(
    ("style", "text", "answer"),
    [
        # lm-evaluation-harness, gsm8k, strict-match: the first #### with a number
        ("hashes_number", "So 7.\n#### 1,234.\n#### 5", "1,234"),
        ("hashes_number", "#### none\n#### 18", "18"),
        ("hashes_number", "The answer is 18", None),
        # flexible-extract: the last number
        ("last_number", "It costs $18. Or 20...", "20"),
        ("last_number", "We pay $1,200 today.", "$1,200"),
        ("last_number", "nothing", None),
        # gsm8k_cot_llama, strict-match
        ("final_answer", "The final answer is 6. The final answer is $1,080.", "$1,080"),
        ("final_answer", "the answer is 6", None),
        # lighteval 0.13: its order of evidence, and its known fault
        ("stated_number", "So the answer is 5 apples and 3 pears in all\n#### 8", "5"),
        ("stated_number", "It is 7. Then 9 remain", "9"),
        ("stated_number", "\\boxed{4} and so 7", "4"),
        ("stated_number", "The final answer is 12. I hope it is correct. 99", "12"),
        ("stated_number", "The answer is $1,200.", "1,200"),
        ("stated_number", "So the answer is 1/2", "1/2"),
        ("stated_number", "Answer: 3*4", "3*4"),
        ("stated_number", "He needs 9 * 2 eggs.", "9 * 2"),
        ("stated_number", "<think>the answer is 7</think> So we get 18", "18"),
        # Qwen2.5-Math: box, "he answer is", last number
        ("answer_is", "so \\boxed{\\frac{1}{2}} not 3", "\\frac{1}{2}"),
        ("answer_is", "The answer is $x+1$.\nQuestion: next", "$x+1$"),
        ("answer_is", "we get 3, then 4", "4"),
    ],
)
def test_extraction(style, text, answer):
    assert parse(text, style).answer == answer


@pytest.mark.parametrize("style", ["any", "last_number", "stated_number", "answer_is", "final_answer"])
def test_a_bare_statement_is_short_and_a_reasoned_one_long(style):
    assert parse("The final answer is 12", style).kind == "short"
    assert parse("We add 5 and 7.\nThe final answer is 12", style).kind == "long"


def spec(task="gsm8k", **options):
    source = DATA / task
    return MixtureSpec.from_mapping({"task": task, "source": str(source), "n": 0, "n_test": 0, **options})


def test_a_protocol_asks_the_whole_published_split_in_its_order(text_tokenizer):
    questions = questions_of(Suite(n=4, protocol="lighteval-5shot", name="gsm8k"), spec())
    assert len(questions.rows) == 4
    assert len(questions.mixture.test) == 16
    assert len(questions.training) == 60
    assert "<<" in questions.training[0].solution or "####" in questions.training[0].solution
    fewer = questions_of(Suite(n=2, protocol="lighteval-5shot", name="gsm8k"), spec())
    drawn = [
        prompts_of(q.protocol, list(q.mixture.test["prompt"]), q.training).texts(
            text_tokenizer, list(fewer.rows["prompt"])
        )
        for q in (questions, fewer)
    ]
    assert drawn[0] == drawn[1], "a problem's examples do not depend on how many are asked"


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("lighteval-5shot", "math", "says how to ask gsm8k, not math"),
        ("meta-8shot", "parity", "says how to ask gsm8k, math, not parity"),
        ("lighteval-5shots", "gsm8k", "did you mean 'lighteval-5shot'"),
        ("/nowhere/mine.yaml", "gsm8k", "there is no file"),
    ],
)
def test_a_protocol_that_does_not_fit_is_refused(name, task, said):
    with pytest.raises(ConfigError, match=said):
        protocol_named(name, task)


def test_everything_wrong_with_a_protocol_is_said_at_once(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "source: me\ntasks:\n  gsm8k:\n    question: no place\n    chat: sometimes\n    strict: hashed\n    draw: 2\n    shots: 5\n"
        "    examples: [{problem: a, solution: b}]\n    max_new_tokens: many\n"
    )
    with pytest.raises(ConfigError) as refusal:
        protocol_named(str(path), "gsm8k")
    assert len(refusal.value.problems) == 6
    text = str(refusal.value)
    for word in ("{problem}", "'sometimes'", "'hashed'", "'shots'", "examples and draws", "max_new_tokens"):
        assert word in text


def test_a_protocol_without_source_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("tasks: {gsm8k: {}}\n")
    with pytest.raises(ConfigError, match="what it follows"):
        protocol_named(str(path), "gsm8k")


def test_a_protocol_that_draws_needs_a_training_split(tmp_path):
    with pytest.raises(ConfigError, match="mixture's problems"):
        questions_of(Suite(protocol="lighteval-5shot"), spec(n_rl=8))
    with pytest.raises(ConfigError, match="training split has 0"):
        prompts_of(protocol_named("lighteval-5shot", "gsm8k"), ["P?"], [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('question: "Q: {problem}"', "how long a response may be"),
        ("max_new_tokens: 3", "it sets max_new_tokens"),
        ("chat: always", "it sets chat"),
    ],
)
def test_settings_that_would_do_nothing_or_generate_nothing_are_refused(tmp_path, settings, said):
    path = tmp_path / "mine.yaml"
    path.write_text(f"source: me\ntasks:\n  gsm8k:\n    {settings}\n")
    with pytest.raises(ConfigError, match=said):
        protocol_named(str(path), "gsm8k")


def test_the_name_of_a_shipped_protocol_is_taken(tmp_path):
    path = tmp_path / "native.yaml"
    path.write_text("source: me\ntasks: {any: {strict: any}}\n")
    with pytest.raises(ConfigError, match="another name"):
        protocol_named(str(path), "gsm8k")
